/** One function per command: what the command line calls and a program can call too. */
import { ALGORITHMS } from "../algorithms/index.ts";
import { OBSERVERS } from "../observers/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { DryRun, QuantizeReport } from "../pipeline/result.ts";
import { METRICS } from "../pipeline/verify/outputs.ts";
import type { SeveralWeightsReport, WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { COMPRESSED_NAMES } from "../recipes/compressed-tensors.ts";
import { FILE_TYPE_NAMES } from "../recipes/ggml/index.ts";
import { SCHEME_NAMES } from "../recipes/schemes.ts";
import { OPTIMIZERS } from "../train/optimizers.ts";
import { ENGINE_NAMES } from "./engine-names.ts";
import { isGguf } from "./is-gguf.ts";
import type { QuantizeRequest } from "./requests.ts";
import { TRAIN_MODE_NAMES } from "./train-mode-names.ts";

export { cleanupTemporaries as cleanup } from "./temporaries.ts";
export { writeText } from "./write-text.ts";

/** Loaded when it is called: each command needs a part of the program, and the whole takes longer to load than to run. */
export const bench: typeof import("./measure-any.ts").benchAny = async (...asked) =>
  (await import("./measure-any.ts")).benchAny(...asked);
/** Loaded when it is called. */
export const compare: typeof import("./measure-any.ts").compareAny = async (...asked) =>
  (await import("./measure-any.ts")).compareAny(...asked);
/** Loaded when it is called. */
export const convert: typeof import("./convert-any.ts").convert = async (...asked) =>
  (await import("./convert-any.ts")).convert(...asked);
/** Loaded when it is called. */
export const convertFolder: typeof import("./convert-any.ts").convertFolder = async (...asked) =>
  (await import("./convert-any.ts")).convertFolder(...asked);
/** Loaded when it is called. */
export const demo: typeof import("./demo.ts").runDemo = async (...asked) =>
  (await import("./demo.ts")).runDemo(...asked);
/** Loaded when it is called. */
export const train: typeof import("./train.ts").trainFile = async (...asked) =>
  (await import("./train.ts")).trainFile(...asked);

/** Loaded when it is called. */
export const inspect: typeof import("./inspect.ts").inspect = async (...asked) =>
  (await import("./inspect.ts")).inspect(...asked);
/** Loaded when it is called. */
export const schemes: typeof import("./inspect.ts").schemes = async (...asked) =>
  (await import("./inspect.ts")).schemes(...asked);
/** Loaded when it is called. */
export const quantizeModel: typeof import("./quantize-model.ts").quantizeModel = async (...asked) =>
  (await import("./quantize-model.ts")).quantizeModel(...asked);
/** Loaded when it is called. */
export const planGraph: typeof import("./quantize-model.ts").planGraph = async (...asked) =>
  (await import("./quantize-model.ts")).planGraph(...asked);

/** Names a user can type. */
export const names = {
  schemes: [...new Set([...SCHEME_NAMES, ...FILE_TYPE_NAMES, ...COMPRESSED_NAMES])],
  observers: OBSERVERS.map(({ name }) => name),
  algorithms: ALGORITHMS.map(({ name }) => name),
  metrics: Object.keys(METRICS),
  engines: ENGINE_NAMES,
  optimizers: Object.keys(OPTIMIZERS),
  modes: TRAIN_MODE_NAMES,
};

/** Quantizes a model of any kind: files of weights are written without being run, and the report says so. */
export async function quantize(
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<QuantizeReport | WeightsQuantizeReport | SeveralWeightsReport> {
  if (await isGguf(request.model))
    return (await import("./quantize-weights-several.ts")).quantizeWeightsFiles(request, hooks);
  const { quantizeFolderGguf, wantsGguf } = await import("./quantize-folder-gguf.ts");
  if (await wantsGguf(request)) return quantizeFolderGguf(request, hooks);
  const { quantizeSafetensors, wantsSafetensors } = await import("./quantize-safetensors.ts");
  return (await wantsSafetensors(request)) ? quantizeSafetensors(request, hooks) : quantizeModel(request, hooks);
}

/** What `quantize` would do, without doing it. */
export async function plan(
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<DryRun | WeightsQuantizeReport | SeveralWeightsReport> {
  if (await isGguf(request.model))
    return (await import("./quantize-weights-several.ts")).planWeightsFiles(request, hooks);
  const { planFolderGguf, wantsGguf } = await import("./quantize-folder-gguf.ts");
  if (await wantsGguf(request)) return planFolderGguf(request);
  const { planSafetensors, wantsSafetensors } = await import("./quantize-safetensors.ts");
  return (await wantsSafetensors(request)) ? planSafetensors(request) : planGraph(request, hooks);
}
