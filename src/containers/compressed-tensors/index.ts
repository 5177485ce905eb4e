/** The convention of compressed-tensors, which vLLM and transformers load: names, packing, and the entry of config.json. */
export {
  CONFIG_KEY,
  type CompressedForm,
  type CompressedFormat,
  formatOf,
  METHOD,
  quantizationConfig,
  readForm,
} from "./config.ts";
export { codesPerWord, type PackedBits, packRows, packZeroPoints, unpackRows, unpackZeroPoints } from "./packing.ts";
export { type Matrix, type Part, type PartKind, packedBits, partsOf, spanOf } from "./parts.ts";
