/** The ONNX container: reads and writes every file that onnx.proto of ONNX 1.23 can describe. */
export type { OutputFile } from "../stream.ts";
export type { ExternalOptions } from "./external-layout.ts";
export { MAX_PROTO_BYTES } from "./limits.ts";
export { type ReadOptions, readOnnx } from "./read.ts";
export { type EncodedModel, type EncodeOptions, encodeOnnx, hasExternalData, isUnchanged } from "./write.ts";
