/** Quantizing safetensors models to the convention of compressed-tensors: plan, do, read back, report. */
export { decompress } from "./decompress.ts";
export type { CompressedAlgorithm } from "./grids.ts";
export { listCompressed } from "./list.ts";
export {
  type CompressedPlan,
  type CompressedTensorPlan,
  DEFAULT_SHARD_BYTES,
  type PlanCompressedOptions,
  planCompressed,
} from "./plan.ts";
export { type OnBytes, quantizeCompressed } from "./quantize.ts";
export { compressedFindings, compressedReports, compressedWrittenFindings } from "./report.ts";
export { compareWritten } from "./verify.ts";
