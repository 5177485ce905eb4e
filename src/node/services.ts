/** One function per command: what the command line calls and a program can call too. */
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { ALGORITHMS } from "../algorithms/index.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import { OBSERVERS } from "../observers/index.ts";
import { findBadWeights } from "../pipeline/bad-weights.ts";
import { inspectModel } from "../pipeline/inspect.ts";
import { inspectWeights } from "../pipeline/inspect-weights.ts";
import { listSchemes } from "../pipeline/list-schemes.ts";
import { takeGrids } from "../pipeline/prepare.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type {
  DryRun,
  Finding,
  InspectReport,
  QuantizeReport,
  SchemesReport,
  WeightsReport,
} from "../pipeline/result.ts";
import { METRICS } from "../pipeline/verify/outputs.ts";
import { listFileTypes, type SeveralWeightsReport, type WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { FILE_TYPE_NAMES } from "../recipes/ggml/index.ts";
import { SCHEME_NAMES } from "../recipes/schemes.ts";
import { OPTIMIZERS } from "../train/optimizers.ts";
import { ENGINE_NAMES } from "./engines.ts";
import { isWeightsPath, openWeights } from "./open-weights.ts";
import { planFile, quantizeFile } from "./quantize.ts";
import { quantizeFolder } from "./quantize-folder.ts";
import { isGguf } from "./quantize-weights.ts";
import { planWeightsFiles, quantizeWeightsFiles } from "./quantize-weights-several.ts";
import type { QuantizeRequest } from "./requests.ts";
import { openLegalSource } from "./surroundings.ts";
import { TRAIN_MODES } from "./train-modes.ts";

export { benchFiles as bench, compareFiles as compare } from "./compare.ts";
export { convertFile as convert } from "./convert.ts";
export { runDemo as demo } from "./demo.ts";
export { cleanupTemporaries as cleanup } from "./temporaries.ts";
export { trainFile as train } from "./train.ts";
export { writeText } from "./write-text.ts";

/** Names a user can type. */
export const names = {
  schemes: [...SCHEME_NAMES, ...FILE_TYPE_NAMES],
  observers: OBSERVERS.map(({ name }) => name),
  algorithms: ALGORITHMS.map(({ name }) => name),
  metrics: Object.keys(METRICS),
  engines: ENGINE_NAMES,
  optimizers: Object.keys(OPTIMIZERS),
  modes: Object.keys(TRAIN_MODES),
};

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Options of GGUF mean nothing to a model with a graph. */
function refuseGgml({ ggml, model }: QuantizeRequest): void {
  if (ggml !== undefined)
    fail(
      "usage",
      `--imatrix, --tensor-type, --pure, --requantize, --target-bpw, --target-size, --target-types and --max-shard-size are for GGUF files, and ${model} is none; leave them out`,
    );
}

/** Quantizes a model with a graph, or a transformers.js model folder, runs every result, and writes those that work. */
export async function quantizeModel(request: QuantizeRequest, hooks: Hooks): Promise<QuantizeReport> {
  refuseGgml(request);
  return (await isFolder(request.model)) ? quantizeFolder(request, hooks) : quantizeFile(request, hooks);
}

const isWeights = async (path: string): Promise<boolean> => !(await isFolder(path)) && (await isGguf(path));

/** Quantizes a model of any kind: GGUF files are written without being run, and the report says so. */
export const quantize = async (
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<QuantizeReport | WeightsQuantizeReport | SeveralWeightsReport> =>
  (await isWeights(request.model)) ? quantizeWeightsFiles(request, hooks) : quantizeModel(request, hooks);

/** What `quantize` would do, without doing it. */
export const plan = async (
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<DryRun | WeightsQuantizeReport | SeveralWeightsReport> =>
  (await isWeights(request.model)) ? planWeightsFiles(request, hooks) : planGraph(request, hooks);

/** What `quantizeModel` would do with a model file. */
export async function planGraph(request: QuantizeRequest, hooks: Hooks): Promise<DryRun> {
  refuseGgml(request);
  return (await isFolder(request.model))
    ? fail(
        "usage",
        `${request.model} is a folder; --dry-run plans one model file, for example ${request.model}/onnx/model.onnx`,
      )
    : planFile(request, hooks);
}

/** Weights without a graph, and what reports say of their files. */
async function withWeights<T>(
  path: string,
  use: (weights: TensorFile, model: WeightsReport["model"]) => T,
): Promise<T> {
  const { weights, files, close } = await openWeights(path);
  try {
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
    const size = sizes.reduce((sum, own) => sum + own, 0);
    return use(weights, { name: basename(resolve(path)), files: files.length, size });
  } finally {
    await close();
  }
}

/** What is inside a model: a graph, or files of weights alone (GGUF, safetensors, a folder of them). */
export async function inspect(
  { model: path }: { readonly model: string },
  _hooks: Hooks,
): Promise<InspectReport | WeightsReport> {
  if (isWeightsPath(path) || (await isFolder(path)))
    return withWeights(path, (weights, model) => ({ kind: "weights", model, ...inspectWeights(weights) }));
  const source = await openLegalSource(path);
  try {
    const findings: readonly Finding[] = (await findBadWeights(source.model)).map((message) => ({
      severity: "warning",
      code: "bad-weights",
      message,
      remedy: "fix the export; quantize refuses this model",
    }));
    return { kind: "inspect", model: source.summary, ...inspectModel(source.model), findings };
  } finally {
    await source.close();
  }
}

/** All schemes; with a model, those that fit it. */
export async function schemes({ model: path }: { readonly model?: string }, _hooks: Hooks): Promise<SchemesReport> {
  if (path === undefined) return { kind: "schemes", schemes: [...listSchemes(), ...listFileTypes()] };
  if (await isWeights(path))
    return withWeights(path, (weights, model) => ({ kind: "schemes", model, schemes: listFileTypes(weights) }));
  const source = await openLegalSource(path);
  try {
    return { kind: "schemes", model: source.summary, schemes: listSchemes(await takeGrids(source.model)) };
  } finally {
    await source.close();
  }
}
