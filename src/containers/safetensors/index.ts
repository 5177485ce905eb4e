/** The safetensors container: reads and writes one file, or several with their index. */
export { indexName } from "./index-file.ts";
export { readSafetensors, readSafetensorsIndex } from "./read.ts";
export {
  type EncodeSafetensorsOptions,
  encodeSafetensors,
  layoutSafetensors,
  type SafetensorsLayout,
} from "./write.ts";
