/** The commands as functions for programs: what the command line always says may be left out here. */
import type { Dataset } from "../containers/data.ts";
import type { ConvertFolderReport } from "../pipeline/convert-folder.ts";
import { type Hooks, noHooks } from "../pipeline/progress.ts";
import type {
  BenchReport,
  CompareReport,
  ConvertReport,
  DryRun,
  InspectReport,
  QuantizeReport,
  SchemesReport,
  WeightsReport,
} from "../pipeline/result.ts";
import type { Evaluation } from "../pipeline/verify/outputs.ts";
import { convertFile } from "./convert.ts";
import { type GivenSamples, quantizeFile } from "./quantize.ts";
import type {
  BenchRequest,
  CompareRequest,
  ConvertFolderRequest,
  ConvertRequest,
  DataRequest,
  EvaluationRequest,
  QuantizeRequest,
  TrainRequest,
} from "./requests.ts";
import * as services from "./services.ts";

/** A request where only `K` must be given. */
type Only<T, K extends keyof T> = Pick<T, K> & Partial<Omit<T, K>>;

/** Samples on disk: a path alone, or with settings. */
export type DataFiles = string | Only<DataRequest, "path">;

/** What to measure on, by file names; a path alone is enough where there are no labels. */
export type EvaluationFiles = string | (Omit<Partial<EvaluationRequest>, "data"> & { readonly data?: DataFiles });

/** What to measure on, from memory; `evaluate` is a metric of your own. */
export type EvaluationValues = Only<Evaluation, "data">;

/** What `quantize` and `plan` are asked: as on the command line, only the model is required. */
export interface QuantizeOptions extends Only<Omit<QuantizeRequest, "calibration" | "evaluation">, "model"> {
  readonly calibration?: DataFiles | Dataset;
  readonly evaluation?: EvaluationFiles | EvaluationValues;
}

/** What `compare` is asked: two model files and what to measure on. */
export interface CompareOptions extends Only<Omit<CompareRequest, "evaluation">, "reference" | "candidate"> {
  readonly evaluation: EvaluationFiles | EvaluationValues;
}

/** What `bench` is asked: model files, and samples unless made-up ones will do. */
export interface BenchOptions extends Only<Omit<BenchRequest, "data">, "models"> {
  readonly data?: DataFiles;
}

/** What `convert` is asked: a TFLite file and where its ONNX form goes. */
export interface ConvertOptions extends Only<Omit<ConvertRequest, "data">, "model" | "output"> {
  readonly data?: DataFiles;
}

/** What `convertFolder` is asked: a folder and where the GGUF file goes; `data` is a text file that it then reads. */
export interface ConvertFolderOptions extends Only<Omit<ConvertFolderRequest, "data">, "model" | "output"> {
  readonly data?: DataFiles;
}

/** What `train` is asked: a model file and samples on disk; the rest is as on the command line. */
export interface TrainFilesOptions extends Only<Omit<TrainRequest, "data" | "evaluation">, "model"> {
  readonly data: DataFiles;
  /** Samples the model has not seen, with their labels. */
  readonly evaluation?: EvaluationFiles;
}

const isDataset = (data: unknown): data is Dataset => typeof data === "object" && data !== null && "batches" in data;
const isInMemory = (wish: EvaluationFiles | EvaluationValues): wish is EvaluationValues =>
  typeof wish === "object" && isDataset(wish.data);

const dataRequest = (wish: DataFiles): DataRequest => ({
  seed: 0,
  ...(typeof wish === "string" ? { path: wish } : wish),
});

function evaluationRequest(wish: EvaluationFiles): EvaluationRequest {
  const { data, ...rest } = typeof wish === "string" ? { data: wish } : wish;
  return { metrics: [], ...rest, ...(data === undefined ? {} : { data: dataRequest(data) }) };
}

/** The request for what is on disk, and what is in memory beside it. */
function split({ calibration, evaluation, ...rest }: QuantizeOptions): [QuantizeRequest, GivenSamples | undefined] {
  const defaults = { schemes: [], keep: [], force: false, embeddings: false, threads: 1, command: "quantize()" };
  const inMemory = {
    ...(isDataset(calibration) ? { calibration: { data: calibration, random: calibration.random === true } } : {}),
    ...(evaluation && isInMemory(evaluation) ? { evaluation: { metrics: [], ...evaluation } } : {}),
  };
  const onDisk = {
    ...(calibration && !isDataset(calibration) ? { calibration: dataRequest(calibration) } : {}),
    ...(evaluation && !isInMemory(evaluation) ? { evaluation: evaluationRequest(evaluation) } : {}),
  };
  return [{ ...defaults, ...rest, ...onDisk }, Object.keys(inMemory).length > 0 ? inMemory : undefined];
}

const asHooks = (hooks: Partial<Hooks>): Hooks => ({ ...noHooks, ...hooks });

/**
 * Quantizes a model file, or with samples on disk a transformers.js folder: makes, runs and writes one model per scheme,
 * and reports on each. A scheme that can't be made is listed under `refused`; when none can, the reason is thrown.
 */
export async function quantize(options: QuantizeOptions, hooks: Partial<Hooks> = {}): Promise<QuantizeReport> {
  const [request, samples] = split(options);
  return samples === undefined
    ? services.quantizeModel(request, asHooks(hooks))
    : quantizeFile(request, asHooks(hooks), { samples });
}

/** What `quantize` would do with the same options: the plans, nothing calibrated or written. */
export function plan(options: QuantizeOptions, hooks: Partial<Hooks> = {}): Promise<DryRun> {
  const { calibration } = options;
  // only whether there are samples counts here, not which
  const named = isDataset(calibration) ? { ...options, calibration: calibration.origin } : options;
  return services.planGraph(split(named)[0], asHooks(hooks));
}

/** Runs two model files on the same samples: outputs, accuracy, size, speed, memory. */
export async function compare(options: CompareOptions, hooks: Partial<Hooks> = {}): Promise<CompareReport> {
  const { evaluation } = options;
  const { compareFiles } = await import("./compare.ts");
  const request = { threads: 1, command: "compare()", ...options };
  return isInMemory(evaluation)
    ? compareFiles({ ...request, evaluation: { metrics: [] } }, asHooks(hooks), { metrics: [], ...evaluation })
    : compareFiles({ ...request, evaluation: evaluationRequest(evaluation) }, asHooks(hooks));
}

/** Latency, throughput and memory of model files that take turns; the first is what the others are measured against. */
export const bench = async ({ data, ...rest }: BenchOptions, hooks: Partial<Hooks> = {}): Promise<BenchReport> =>
  (await import("./compare.ts")).benchFiles(
    { threads: 1, batch: 1, ...rest, ...(data === undefined ? {} : { data: dataRequest(data) }) },
    asHooks(hooks),
  );

/** Writes a float TFLite model as ONNX, once both have been run on the same samples and agree. */
export const convert = ({ data, ...rest }: ConvertOptions, hooks: Partial<Hooks> = {}): Promise<ConvertReport> =>
  convertFile(
    { threads: 1, command: "convert()", ...rest, ...(data === undefined ? {} : { data: dataRequest(data) }) },
    asHooks(hooks),
  );

/**
 * Writes a folder of safetensors (Llama, Mistral, Mixtral, Qwen2 or Qwen3, with config.json and the tokenizer's files) as the GGUF
 * file that llama.cpp's converter makes of it, run where llama.cpp's binaries are; "auto" is the type unless another is named.
 */
export const convertFolder = (
  { data, ...rest }: ConvertFolderOptions,
  hooks: Partial<Hooks> = {},
): Promise<ConvertFolderReport> =>
  services.convertFolder(
    { type: "auto", ...rest, ...(data === undefined ? {} : { data: dataRequest(data) }) },
    asHooks(hooks),
  );

/** What is assumed where a request for training says nothing. */
const TRAINING = {
  ...{ threads: 1, epochs: 5, batch: 32, optimizer: "adam", warmup: 0.05 },
  schedule: "cosine",
  ...{ smoothing: 0, distill: 0, decay: 0, blockwise: 0, features: 0, gradual: false },
  ...{ augment: [], views: 1, keep: [], command: "train()" },
} as const;

/**
 * Trains a model file for a scheme, or in floats, in a thread of its own; runs the result and writes it. What comes back is
 * what `quantize` gives, with the settings and the loss curve under `training` of its candidate.
 */
export function train(options: TrainFilesOptions, hooks: Partial<Hooks> = {}): Promise<QuantizeReport> {
  const { data, evaluation, ...rest } = options;
  const mode = rest.scheme === undefined ? "float" : "qat";
  const judged = evaluation === undefined ? {} : { evaluation: evaluationRequest(evaluation) };
  return services.train({ mode, ...TRAINING, ...rest, ...judged, data: dataRequest(data) }, asHooks(hooks));
}

/** What is inside a model file: inputs, ops, weights by type, what can be quantized and what can't. */
export const inspect = (model: string): Promise<InspectReport | WeightsReport> => services.inspect({ model }, noHooks);

/** All schemes; with a model file, whether each fits it and how many bytes its constants would have. */
export const schemes = (model?: string): Promise<SchemesReport> =>
  services.schemes(model === undefined ? {} : { model }, noHooks);
