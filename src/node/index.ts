/** fewbit for Node: the commands as functions, and what the steps of "fewbit" need of files, engines and processes. */

export { type DataOptions, openDataset, openLabels } from "./data.ts";
export { type AvailableEngine, availableEngines, ENGINE_NAMES, type EngineName, type EngineWish } from "./engines.ts";
export { type FileSource, fileSource } from "./file-source.ts";
export { readFolderFiles } from "./folder-files.ts";
export { type NodeHost, nodeHost } from "./host.ts";
export { benchLanguage, compareLanguage } from "./language-compare.ts";
export {
  type BenchOptions,
  bench,
  type CompareOptions,
  type ConvertFolderOptions,
  type ConvertOptions,
  compare,
  convert,
  convertFolder,
  type DataFiles,
  type EvaluationFiles,
  type EvaluationValues,
  inspect,
  plan,
  type QuantizeOptions,
  quantize,
  schemes,
  type TrainFilesOptions,
  train,
} from "./library.ts";
export { planWeights, type QuantizeWeightsFileOptions, quantizeWeights } from "./library-weights.ts";
export { type LlamaWish, openLlama } from "./llama.ts";
export { type OnnxRequest, openAsOnnx } from "./open-as-onnx.ts";
export { type OpenedModel, openModelFile } from "./open-model.ts";
export { type OpenedWeights, openWeights } from "./open-weights.ts";
export type * from "./requests.ts";
export { cleanup, demo, names, writeText } from "./services.ts";
export type { StagedFiles } from "./stage.ts";
export type { WrittenFile } from "./write-files.ts";
export { type WriteModelOptions, writeModel } from "./write-model.ts";
export { type WriteWeightsOptions, writeWeights } from "./write-weights.ts";
