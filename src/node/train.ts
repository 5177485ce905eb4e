/** fewbit train: a model file learns from samples, and what came of it is run before it is handed over. */
import { basename, dirname, extname, join, relative } from "node:path";
import { fail } from "../numeric/errors.ts";
import { brokenPromise, type Made } from "../pipeline/make.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, Finding, QuantizeReport, TrainingSummary } from "../pipeline/result.ts";
import { augmentNamed, inOrder } from "../pipeline/train/augment.ts";
import { type FloatMade, type FloatTraining, trainFloat } from "../pipeline/train/float.ts";
import { lowPrecision } from "../pipeline/train/low-precision.ts";
import { qat } from "../pipeline/train/qat.ts";
import { stepCount, type TrainHost, type TrainOptions } from "../pipeline/train/run.ts";
import { trainingSummary } from "../pipeline/train/summary.ts";
import type { Evaluation } from "../pipeline/verify/outputs.ts";
import { OPTIMIZERS } from "../train/optimizers.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { type NodeHost, nodeHost } from "./host.ts";
import { checkTarget } from "./output-checks.ts";
import { type Maker, quantizeFile } from "./quantize.ts";
import type { QuantizeRequest, TrainMode, TrainRequest } from "./requests.ts";
import { openEvaluation, summaryOf } from "./samples.ts";
import { refuseSource, type StagedFiles } from "./stage.ts";
import { environmentOf, openLegalSource, type SourceModel } from "./surroundings.ts";
import { checkpointOptions, exists } from "./train-checkpoint.ts";
import { lossWords, openTraining, type TrainingSamples } from "./train-data.ts";
import { startTrainWorker } from "./train-worker.ts";

/** Everything a way to train works with. */
interface Job {
  readonly request: TrainRequest;
  readonly source: SourceModel;
  readonly host: NodeHost;
  readonly hooks: Hooks;
  readonly samples: TrainingSamples;
  readonly training: FloatTraining;
  readonly evaluation: { readonly evaluation: Evaluation; readonly random: boolean };
  readonly options: TrainOptions;
  readonly start: number;
}

interface ModeRow {
  readonly summary: string;
  /** Learning rate that suits most models. */
  readonly rate: number;
  /** Trains towards the grids of a scheme, which must be named. */
  readonly scheme: boolean;
  readonly train: (job: Job) => Promise<QuantizeReport>;
}

const seconds = (start: number): number => (performance.now() - start) / 1000;

/** Trains in a thread of its own, so that this one hears Ctrl-C and tells how far things are. */
async function apart<T>(host: NodeHost, use: (host: NodeHost & TrainHost) => Promise<T>): Promise<T> {
  await using worker = startTrainWorker(host.engine, host.threads);
  return await use({ ...host, background: worker.engine, loop: worker.loop });
}

const summaryFor = ({ request, samples, training }: Job, losses: Float32Array): TrainingSummary => {
  const { kind, rate, warmup = 0 } = training.schedule;
  const { mode, epochs, batch, optimizer } = request;
  return trainingSummary(
    {
      ...{ mode, epochs, batch, optimizer, seed: request.data.seed },
      data: summaryOf(samples.samples),
      loss: lossWords(samples.loss),
      schedule: `${kind}, rate ${rate}${warmup > 0 ? `, ${warmup} steps of warm-up` : ""}`,
    },
    losses,
  );
};

/** What was measured on the samples the model learned from says little about others. */
function seenFinding({ request }: Job): readonly Finding[] {
  if (request.evaluation?.data !== undefined) return [];
  return [
    {
      severity: "warning",
      code: "seen-samples",
      message: "measured on the samples the model was trained on",
      remedy: "give others with --eval-data and --eval-labels to learn what it does on samples it has not seen",
    },
  ];
}

async function candidateOf(job: Job, made: FloatMade, output: string): Promise<Candidate> {
  const staged = made.staged as StagedFiles;
  const keep = brokenPromise(made.verified) === undefined;
  if (keep) await staged.commit();
  else await staged[Symbol.asyncDispose]();
  return {
    scheme: "trained",
    ...(keep ? { output: relative(".", output) || output } : {}),
    files: keep ? staged.files : [],
    ...made.verified,
    training: summaryFor(job, made.losses),
    seconds: seconds(job.start),
  };
}

async function trainInFloats(job: Job): Promise<QuantizeReport> {
  const { request, source, host, hooks, evaluation, training, options } = job;
  const output = outputOf(request);
  const reference = { name: source.summary.name, place: { path: source.path }, size: source.summary.size };
  const input = { model: source.model, reference, name: basename(output), ...evaluation, training };
  const made = await apart(host, (both) => trainFloat(both, input, hooks, options));
  const candidate = await candidateOf(job, made, output);
  return {
    version: 1,
    kind: "quantize",
    createdAt: new Date().toISOString(),
    command: request.command,
    environment: environmentOf(host.engine, request.threads),
    model: source.summary,
    evaluation: summaryOf({ data: evaluation.evaluation.data, random: evaluation.random }),
    candidates: [candidate],
    refused: [],
    findings: [
      ...seenFinding(job),
      ...host.notes.map((message): Finding => ({ severity: "info", code: "engine", message })),
    ],
    seconds: seconds(job.start),
  };
}

/** `-o`, or beside the model: NAME.trained.onnx, NAME.SCHEME.trained.onnx. */
const outputOf = ({ model, output, scheme }: TrainRequest): string =>
  output ?? join(dirname(model), [basename(model, extname(model)), scheme, "trained.onnx"].filter(Boolean).join("."));

/** Quantized as ever, with training on the way: `train` takes the place of post-training quantization. */
async function trainOnTheWay(
  job: Job,
  train: (...args: Parameters<Maker>) => Promise<Made & { readonly losses: Float32Array }>,
) {
  const { request, samples, evaluation, hooks } = job;
  let losses: Float32Array = new Float32Array(0);
  const make: Maker = async (...args) => {
    const made = await train(...args);
    losses = made.losses;
    return made;
  };
  const quantize: QuantizeRequest = {
    ...{ model: request.model, schemes: [request.scheme!], keep: request.keep, command: request.command },
    ...{ threads: request.threads, force: false, embeddings: false, output: outputOf(request) },
    ...(request.engine ? { engine: request.engine } : {}),
  };
  const given = { calibration: samples.samples, evaluation: evaluation.evaluation };
  const report = await quantizeFile(quantize, hooks, { samples: given, make });
  const training = summaryFor(job, losses);
  const candidates = report.candidates.map((candidate) => ({ ...candidate, training }));
  return { ...report, candidates, findings: [...seenFinding(job), ...report.findings], seconds: seconds(job.start) };
}

const trainAware = (job: Job): Promise<QuantizeReport> =>
  trainOnTheWay(job, (host, input, hooks) =>
    apart(host as NodeHost, (both) => qat(both, { ...input, training: job.training }, hooks, job.options)),
  );

const trainInIntegers = (job: Job): Promise<QuantizeReport> =>
  trainOnTheWay(job, (host, input, hooks) =>
    apart(host as NodeHost, (both) => lowPrecision(both, { ...input, training: job.training }, hooks, job.options)),
  );

/** Ways to train by name. */
export const TRAIN_MODES: Readonly<Record<TrainMode, ModeRow>> = {
  float: { summary: "fine-tune the model as it is", rate: 1e-4, scheme: false, train: trainInFloats },
  qat: { summary: "train weights and grids for the scheme named with -s", rate: 1e-3, scheme: true, train: trainAware },
  "low-precision": {
    summary: "train in integers, forward and backward, for the scheme named with -s",
    rate: 1e-4,
    scheme: true,
    train: trainInIntegers,
  },
};

function modeRow({ mode, scheme }: TrainRequest): ModeRow {
  const row =
    TRAIN_MODES[mode] ?? fail("usage", `unknown mode "${mode}"; known: ${Object.keys(TRAIN_MODES).join(", ")}`);
  if (row.scheme && scheme === undefined)
    fail("usage", `--mode ${mode} trains for a scheme; name it with -s, for example -s w4a4`);
  if (!row.scheme && scheme !== undefined)
    fail("usage", `--mode ${mode} keeps the model's form; leave -s ${scheme} out, or choose --mode qat`);
  return row;
}

function settingsOf(request: TrainRequest, { data, loss }: TrainingSamples, row: ModeRow): FloatTraining {
  const { epochs, batch, optimizer, schedule, warmup, augment, clip, decay, freeze, rate = row.rate } = request;
  const steps = stepCount({ data, epochs, batch });
  return {
    ...{ data, loss, epochs, batch, decay, seed: request.data.seed },
    schedule: { kind: schedule, rate, warmup: Math.round(warmup * steps) },
    optimizer: (OPTIMIZERS[optimizer] ?? fail("usage", `unknown optimizer "${optimizer}"`))(),
    ...(augment.length > 0 && { augment: inOrder(augment.map(augmentNamed)) }),
    ...(clip !== undefined && { clip }),
    ...(freeze && { freeze: (name: string) => freeze.test(name) }),
  };
}

/** Samples to judge on: those of `--eval-data`, else the training samples. */
async function evaluationOf(request: TrainRequest, { model }: SourceModel, { samples, labels }: TrainingSamples) {
  if (request.evaluation?.data) return openEvaluation(request.evaluation, undefined, model);
  const { metrics = [] } = request.evaluation ?? {};
  return { evaluation: { data: samples.data, metrics, ...(labels ? { labels } : {}) }, random: samples.random };
}

const hasCheckpoint = async ({ checkpoint }: TrainRequest): Promise<boolean> =>
  checkpoint !== undefined && (await exists(checkpoint.path));

async function trainWith(request: TrainRequest, source: SourceModel, target: string, hooks: Hooks) {
  const start = performance.now();
  const row = modeRow(request);
  if (request.data.path === "random")
    fail("usage", "a model can't be trained on random data; give samples with --data");
  const host = await nodeHost(request, hooks.signal, target);
  for (const sentence of host.notes) hooks.progress.note(sentence);
  const samples = await openTraining(request, source, host);
  const evaluation = await evaluationOf(request, source, samples);
  const options = await checkpointOptions(request.checkpoint, hooks.progress.note);
  const training = settingsOf(request, samples, row);
  try {
    return await row.train({ request, source, host, hooks, samples, training, evaluation, options, start });
  } catch (error) {
    if (hooks.signal.aborted && (await hasCheckpoint(request)))
      hooks.progress.note(`${request.checkpoint!.path} holds where training stands; add --resume to go on`);
    throw error;
  }
}

/** Trains a model file, runs the result and writes it; what comes back is what `quantize` gives, with the training in it. */
export async function trainFile(request: TrainRequest, hooks: Hooks): Promise<QuantizeReport> {
  const source = await openLegalSource(request.model);
  try {
    const output = outputOf(request);
    await refuseSource(output);
    await checkTarget(output);
    const made = await makeFolders(dirname(output));
    try {
      return await trainWith(request, source, dirname(output), hooks);
    } finally {
      await removeEmptyFolders(made);
    }
  } finally {
    await source.close();
  }
}
