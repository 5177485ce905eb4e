/** Quantizing models without a graph: plan, do, report. */

export type { Noise } from "../../kernels/ggml/index.ts";
export { bitsPerWeight, sizeLabel } from "./bits.ts";
export { checkCopied } from "./copied.ts";
export { countPieces, type Piece, pieceOf, type TensorWork } from "./cut.ts";
export { addNoise, silence } from "./encode.ts";
export { type MeasuredErrors, sampledRows, type TypeErrors } from "./errors.ts";
export { formatErrors, MAX_ERRORS_CHARACTERS, parseErrors } from "./errors-json.ts";
export { listFileTypes } from "./list.ts";
export {
  layoutOf,
  type NamedImportance,
  type PlanWeightsOptions,
  planWeights,
  type TensorPlan,
  type WeightsPlan,
} from "./plan.ts";
export { type QuantizedWeights, type QuantizeWeightsOptions, quantizeWeights } from "./quantize.ts";
export {
  planFindings,
  type SeveralWeightsReport,
  type TensorReport,
  tensorReports,
  type WeightsQuantizeReport,
} from "./report.ts";
export { type PlanTargetOptions, planTarget, type SizeTarget, type TargetPlan } from "./target.ts";
export { checkAllImportance, importanceFor, type PlannedTensor, plannedTensors } from "./work.ts";
