/** The TFLite container: reads and writes every file that version 3 of TFLite's schema can describe. */
export { checkTflite } from "./check.ts";
export {
  graphExtra,
  type MetadataEntry,
  nodeExtra,
  type Signature,
  type SignatureValue,
  type TfliteExtra,
  type TfliteGraphExtra,
  type TfliteNodeExtra,
  type TfliteTensorExtra,
  tensorExtra,
  tfliteExtra,
} from "./extra.ts";
export { MAX_FLATBUFFER_BYTES } from "./limits.ts";
export { opVersion, type Typed, type Types } from "./op-version.ts";
export { readTflite } from "./read.ts";
export { encodeTflite, isUnchanged } from "./write.ts";
