/** Quantizing safetensors models to the convention of compressed-tensors: plan, do, read back, report. */
export { decompress } from "./decompress.ts";
export { type CompressedAlgorithm, type CompressedEncoding, encodeRows } from "./encode.ts";
export { listCompressed } from "./list.ts";
export {
  type CompressedPlan,
  type CompressedTensorPlan,
  DEFAULT_SHARD_BYTES,
  type PlanCompressedOptions,
  planCompressed,
  plannedFile,
} from "./plan.ts";
export { compressedFindings, compressedReports, compressedWrittenFindings } from "./report.ts";
export { compareWritten } from "./verify.ts";
export { type CompressedTensor, type CompressedWork, compressedTensors, rangeOf } from "./work.ts";
