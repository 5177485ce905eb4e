/** Quantizing models without a graph: plan, do, report. */
export {
  type NamedImportance,
  type PlanWeightsOptions,
  planWeights,
  type TensorPlan,
  type WeightsPlan,
} from "./plan.ts";
export { type QuantizedWeights, type QuantizeWeightsOptions, quantizeWeights } from "./quantize.ts";
export {
  planFindings,
  type TensorReport,
  tensorReports,
  type WeightsQuantizeReport,
  writtenFindings,
} from "./report.ts";
