/** fewbit train: a model file learns from samples, and what came of it is run before it is handed over. */
import { basename, dirname, extname, join } from "node:path";
import type { GraphContainer } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { QuantizeReport } from "../pipeline/result.ts";
import { inOrder } from "../pipeline/train/augment.ts";
import { augmentNamed } from "../pipeline/train/augment-names.ts";
import type { FloatTraining } from "../pipeline/train/float.ts";
import { checkShown, stepCount } from "../pipeline/train/run.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { lossParts } from "../train/losses.ts";
import { OPTIMIZERS } from "../train/optimizers.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { nodeHost } from "./host.ts";
import { checkTarget, EXTENSIONS } from "./output-checks.ts";
import type { TrainRequest } from "./requests.ts";
import { openEvaluation } from "./samples.ts";
import { refuseSource } from "./stage.ts";
import { checkpointOptions, exists } from "./train-checkpoint.ts";
import { openTraining, type TrainingSamples } from "./train-data.ts";
import { type ModeRow, TRAIN_MODES } from "./train-modes.ts";
import { openTrainSource, type TrainedForm, type TrainSource } from "./train-source.ts";

/** `-o`, or beside the model: NAME.trained.onnx, NAME.SCHEME.trained.tflite. */
function outputOf({ model, output, scheme }: TrainRequest, container: GraphContainer): string {
  const name = [basename(model, extname(model)), scheme, "trained"].filter(Boolean).join(".");
  return output ?? join(dirname(model), `${name}${EXTENSIONS[container]}`);
}

/** Settings that only quantization-aware training has, and what other modes do instead. */
const ONLY_AWARE: readonly { flag: string; asked: (request: TrainRequest) => boolean; instead: string }[] = [
  { flag: "--blockwise", asked: ({ blockwise }) => blockwise > 0, instead: "trains the network as a whole" },
  { flag: "--features", asked: ({ features }) => features > 0, instead: "has no values to imitate" },
  { flag: "--dampening", asked: ({ dampening = 0 }) => dampening > 0, instead: "has no codes to keep weights in" },
  { flag: "--gradual", asked: ({ gradual }) => gradual, instead: "has no codes that weights could become" },
  { flag: "--ends", asked: ({ ends }) => ends !== undefined, instead: "has one form for all layers" },
  { flag: "--recipe", asked: ({ recipe }) => recipe !== undefined, instead: "has one scheme for all nodes" },
];

function modeRow(request: TrainRequest, container: GraphContainer): ModeRow {
  const { mode, scheme, freeze } = request;
  const row =
    TRAIN_MODES[mode] ?? fail("usage", `unknown mode "${mode}"; known: ${Object.keys(TRAIN_MODES).join(", ")}`);
  if (!row.containers.includes(container))
    fail(
      "usage",
      `--mode ${mode} makes ONNX models; give the output a name that ends in ${EXTENSIONS.onnx} with -o, or choose --mode qat`,
    );
  if (row.scheme && scheme === undefined)
    fail("usage", `--mode ${mode} trains for a scheme; name it with -s, for example -s w4a4`);
  if (!row.scheme && scheme !== undefined)
    fail("usage", `--mode ${mode} keeps the model's form; leave -s ${scheme} out, or choose --mode qat`);
  if (freeze !== undefined && mode !== "float")
    fail("usage", `--mode ${mode} trains all weights; leave --freeze out, or keep nodes in float with --keep`);
  const other = mode === "qat" ? undefined : ONLY_AWARE.find(({ asked }) => asked(request));
  if (other !== undefined)
    fail("usage", `--mode ${mode} ${other.instead}; leave ${other.flag} out, or choose --mode qat`);
  return row;
}

function settingsOf(
  request: TrainRequest,
  { data, loss }: TrainingSamples,
  row: ModeRow,
  container: GraphContainer,
): FloatTraining {
  const { epochs, batch, optimizer, schedule, warmup, augment, views, clip, decay, freeze, scheme } = request;
  const rate = request.rate ?? row.rate(scheme === undefined ? 32 : schemeNamed(scheme, container).bits);
  const steps = stepCount({ data, epochs, batch });
  if (views > 1 && lossParts(loss).every(({ loss: { kind } }) => kind !== "distillation"))
    fail(
      "usage",
      "--views is about the original's answers, which labels alone leave unasked; add --distill, or leave it out",
    );
  return {
    ...{ data, loss, epochs, batch, decay, views, seed: request.data.seed },
    schedule: { kind: schedule, rate, warmup: Math.round(warmup * steps) },
    optimizer: (OPTIMIZERS[optimizer] ?? fail("usage", `unknown optimizer "${optimizer}"`))(),
    ...(augment.length > 0 && { augment: inOrder(augment.map(augmentNamed)) }),
    ...(clip !== undefined && { clip }),
    ...(freeze && { freeze: (name: string) => freeze.test(name) }),
  };
}

/** Samples to judge on: those of `--eval-data`, else the training samples. */
async function evaluationOf(request: TrainRequest, { model }: TrainedForm, { samples, labels }: TrainingSamples) {
  if (request.evaluation?.data) return openEvaluation(request.evaluation, undefined, model);
  const { metrics = [] } = request.evaluation ?? {};
  return { evaluation: { data: samples.data, metrics, ...(labels ? { labels } : {}) }, random: samples.random };
}

const hasCheckpoint = async ({ checkpoint }: TrainRequest): Promise<boolean> =>
  checkpoint !== undefined && (await exists(checkpoint.path));

async function trainWith(request: TrainRequest, source: TrainSource, output: string, hooks: Hooks) {
  const start = performance.now();
  const { container } = source.model;
  const row = modeRow(request, container);
  if (request.data.path === "random")
    fail("usage", "a model can't be trained on random data; give samples with --data");
  const host = await nodeHost(request, hooks.signal, dirname(output));
  for (const sentence of host.notes) hooks.progress.note(sentence);
  const samples = await openTraining(request, source.form, host);
  const evaluation = await evaluationOf(request, source.form, samples);
  const options = await checkpointOptions(request.checkpoint, hooks.progress.note);
  const training = settingsOf(request, samples, row, container);
  checkShown(training);
  try {
    return await row.train({ request, source, host, hooks, samples, training, evaluation, options, output, start });
  } catch (error) {
    if (hooks.signal.aborted && (await hasCheckpoint(request)))
      hooks.progress.note(`${request.checkpoint!.path} holds where training stands; add --resume to go on`);
    throw error;
  }
}

/** Trains a model file, runs the result and writes it; what comes back is what `quantize` gives, with the training in it. */
export async function trainFile(request: TrainRequest, hooks: Hooks): Promise<QuantizeReport> {
  const source = await openTrainSource(request, hooks);
  try {
    const output = outputOf(request, source.model.container);
    await refuseSource(output);
    await checkTarget(output);
    const made = await makeFolders(dirname(output));
    try {
      return await trainWith(request, source, output, hooks);
    } finally {
      await removeEmptyFolders(made);
    }
  } finally {
    await source.close();
  }
}
