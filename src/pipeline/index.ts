/**
 * The public library: every step as a function of values, and the nouns they speak in. Runs in Node, browsers and
 * workers alike; files and engines come from "fewbit/node" and "fewbit/web".
 */

// 5. Quantizing: algorithms turn weights into codes.
export type { AlgorithmRow, Codes, Weights } from "../algorithms/algorithm.ts";
export { ALGORITHMS, algorithmNamed } from "../algorithms/index.ts";
// 4. Calibrating: samples, observers, statistics.
export type { Dataset } from "../containers/data.ts";
export { type ArraySource, memoryArray } from "../containers/data-arrays.ts";
export { type Column, type RowsOptions, rowsDataset } from "../containers/data-rows.ts";
export { type EncodeGgufOptions, encodeGguf, type ReadGgufOptions, readGguf } from "../containers/gguf/index.ts";
export {
  type ImportanceEntry,
  type ImportanceMatrix,
  imatrixFile,
  importanceOf,
  readImatrix,
} from "../containers/imatrix/index.ts";
export { openNpy, readNpy } from "../containers/npy.ts";
export { npzDataset, openNpz } from "../containers/npz.ts";
// 1. Reading, and at the end writing.
export {
  type EncodedModel,
  type EncodeOptions,
  type ExternalOptions,
  encodeOnnx,
  hasExternalData,
  isUnchanged,
  type OutputFile as EncodedFile,
  type ReadOptions,
  readOnnx,
} from "../containers/onnx/index.ts";
export { type RandomOptions, randomDataset } from "../containers/random-data.ts";
export {
  type EncodeSafetensorsOptions,
  encodeSafetensors,
  readSafetensors,
  readSafetensorsIndex,
} from "../containers/safetensors/index.ts";
export { type Converted, type Origin, tfliteToOnnx, toTflite } from "../conversion/index.ts";
// 6. Verifying: engines run both models.
export type {
  Engine,
  ModelPlace,
  NodeTime,
  Opened,
  OpenOptions,
  OpHistogram,
  Session,
} from "../engines/contract.ts";
export { withTaps } from "../engines/taps.ts";
export { type InterleaveOptions, interleave, type Runner, type Timing } from "../engines/timing.ts";
/** Makes graphs in code: `build.onnxModel({ inputs: [build.valueInfo("x")], ... })`. */
export * as build from "../ir/build.ts";
// Looking at models and changing them.
export { assertLegal, checkModel } from "../ir/check.ts";
export {
  consumers,
  freshNames,
  graphs,
  mapGraphs,
  nodeLabel,
  producers,
  withGraph,
  withTensors,
} from "../ir/edit.ts";

import type { QuantizeReport } from "./result.ts";

// Nouns: models, plans, schemes, statistics.
export type {
  Attribute,
  ContainerName,
  Dim,
  Feeds,
  FunctionDef,
  Graph,
  GraphContainer,
  Model,
  NDArray,
  Node,
  Tensor,
  TypedArray,
  ValueInfo,
} from "../ir/model.ts";
export type { Form, Kept, NodePlan, Place, Plan, ValuePlan } from "../ir/plan.ts";
export {
  type Codebook,
  codesOf,
  type GivenGrid,
  type Granularity,
  gridRow,
  type QParams,
  type Scheme,
} from "../ir/scheme.ts";
export { type ByteSource, bytesSource, computedSource, readAll, sliceSource } from "../ir/source.ts";
export { binWidth, HISTOGRAM_BINS, type Histogram, type Stats, type ValueStats } from "../ir/stats.ts";
export type { MetadataArray, MetadataValue, StorageType, StoredTensor, TensorFile, Text } from "../ir/tensor-file.ts";
export { decodeGgml, encodeGgml, type GgmlFormatName, type GgmlRows, ggmlBytes } from "../kernels/ggml/index.ts";
// 3. Planning: schemes, recipes, forms.
export type { FormRow, LowerContext, Site, WeightFit } from "../lowering/form.ts";
export { FORMS } from "../lowering/index.ts";
export { decodeFloats, encodeFloats, floatsOf } from "../numeric/convert.ts";
export { DTYPES, type DType, type DTypeRow, elementCount } from "../numeric/dtypes.ts";
export { type ErrorCode, FewbitError } from "../numeric/errors.ts";
/** Distances between outputs: SQNR in dB, cosine, mean squared error, top-k, agreement. */
export * as metrics from "../numeric/metrics.ts";
export { OBSERVERS, observerNamed } from "../observers/index.ts";
export type { Observer } from "../observers/observer.ts";
export { formatStats, parseStats } from "../observers/stats-json.ts";
// 2. Preparing: passes that keep what a model computes.
export {
  FIRST,
  GENERAL,
  GRIDS,
  type Pass,
  type PassContext,
  raiseOpset,
  STATIC,
  stripQdq,
  type ValueType,
} from "../passes/index.ts";
export { FILE_TYPE_NAMES, type FileTypeName, fileTypeNamed } from "../recipes/ggml/index.ts";
export type { NamedScheme, StaticGrids, Step } from "../recipes/named-scheme.ts";
export {
  DEFAULT_OBSERVER,
  type Match,
  parseRecipe,
  plainRecipe,
  type Recipe,
  type Rule,
  ruleFor,
} from "../recipes/recipe.ts";
export { SCHEME_NAMES, SCHEMES, schemeNamed } from "../recipes/schemes.ts";
export { type Settings, tune } from "../recipes/tune.ts";
export { findBadWeights, refuseBadWeights } from "./bad-weights.ts";
export { type CalibrateOptions, calibrate, checkStats, mergeStats } from "./calibrate.ts";
export { contractOf, recommend } from "./contract.ts";
export {
  brokenConversion,
  type ConvertInput,
  type ConvertMade,
  convert,
  LEAST_SQNR,
  MOST_DIFFERING,
} from "./convert.ts";
export {
  type ConvertedModel,
  type ConvertFolderReport,
  type FolderFiles,
  type ToGgufOptions,
  type TokenizerSummary,
  toGguf,
} from "./convert-folder.ts";
export type { Footprint, Host, Staged } from "./host.ts";
export { type Contents, inspectModel, realInputs } from "./inspect.ts";
export { inspectWeights, type WeightsContents } from "./inspect-weights.ts";
export { listSchemes } from "./list-schemes.ts";
// All of them in order, and the report.
export {
  brokenPromise,
  calibratePlan,
  type Made,
  type MakeInput,
  make,
  observedValues,
  type Planned,
  planFor,
} from "./make.ts";
export { planModel } from "./plan.ts";
export { type Prepared, type PrepareOptions, type PrepareStep, prepare, takeGrids } from "./prepare.ts";
export { type Hooks, noHooks, type Progress, type ProgressStep, silent, stopIfAborted } from "./progress.ts";
export { type Quantized, quantize } from "./quantize.ts";
export { renderJson } from "./report/json.ts";
export type * from "./result.ts";

/** The report as one HTML page that needs nothing else. The charting library is loaded with the first page. */
export const renderHtml = async (report: QuantizeReport): Promise<string> =>
  (await import("./report.ts")).renderHtml(report);
/** Draws characters like those the demo's model was trained on: images to try things out with. */
export { type Characters, type DrawRequest, drawCharacters } from "./demo/draw.ts";
export { memoryDataset } from "./samples.ts";
export {
  compareOutputs,
  type EvalFunction,
  type Evaluation,
  METRICS,
  type OutputFindings,
  type Run,
} from "./verify/outputs.ts";
export { type Reference, type Verified, type VerifyInput, verify } from "./verify.ts";
// Weights without a graph (GGUF): planned by a file type or a size, and quantized while they are written.
export {
  formatErrors,
  listFileTypes,
  type MeasuredErrors,
  type NamedImportance,
  type PlanTargetOptions,
  type PlanWeightsOptions,
  parseErrors,
  planTarget,
  planWeights,
  type QuantizedWeights,
  type QuantizeWeightsOptions,
  quantizeWeights,
  type SeveralWeightsReport,
  type SizeTarget,
  type TargetPlan,
  type TensorPlan,
  type TensorReport,
  tensorReports,
  type WeightsPlan,
  type WeightsQuantizeReport,
} from "./weights/index.ts";
