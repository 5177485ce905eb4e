/** Ways to train a model file: in floats, for the grids of a scheme, in integers. A row each. */
import { basename, dirname, relative } from "node:path";
import type { GraphContainer } from "../ir/model.ts";
import { brokenPromise, type Made } from "../pipeline/make.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, Finding, QuantizeReport, TrainingSummary } from "../pipeline/result.ts";
import { type FloatMade, type FloatTraining, trainFloat, trainFloatTflite } from "../pipeline/train/float.ts";
import { lowPrecision } from "../pipeline/train/low-precision.ts";
import { qat } from "../pipeline/train/qat.ts";
import type { TrainHost, TrainOptions } from "../pipeline/train/run.ts";
import { trainingSummary } from "../pipeline/train/summary.ts";
import { qatTflite } from "../pipeline/train/tflite.ts";
import type { Evaluation } from "../pipeline/verify/outputs.ts";
import { type NodeHost, nodeHost } from "./host.ts";
import { type Maker, quantizeFile } from "./quantize.ts";
import { engineFindings, reportHead, secondsSince } from "./report-head.ts";
import type { QuantizeRequest, TrainMode, TrainRequest } from "./requests.ts";
import { summaryOf } from "./samples.ts";
import type { StagedFiles } from "./stage.ts";
import { lossWords, type TrainingSamples } from "./train-data.ts";
import type { TrainSource } from "./train-source.ts";
import { startTrainWorker } from "./train-worker.ts";

/** Everything a way to train works with. */
export interface TrainJob {
  readonly request: TrainRequest;
  readonly source: TrainSource;
  readonly host: NodeHost;
  readonly hooks: Hooks;
  readonly samples: TrainingSamples;
  readonly training: FloatTraining;
  readonly evaluation: { readonly evaluation: Evaluation; readonly random: boolean };
  readonly options: TrainOptions;
  /** Where the trained model goes. */
  readonly output: string;
  /** When the work began, by `performance.now()`. */
  readonly start: number;
}

/** One way to train. */
export interface ModeRow {
  readonly summary: string;
  /** Learning rate that suits most models, for weights of so many bits. */
  readonly rate: (bits: number) => number;
  /** Trains towards the grids of a scheme, which must be named. */
  readonly scheme: boolean;
  /** What the result can be. */
  readonly containers: readonly GraphContainer[];
  readonly train: (job: TrainJob) => Promise<QuantizeReport>;
}

/** Trains in a thread of its own, so that this one hears Ctrl-C and tells how far things are. */
async function apart<T>(host: NodeHost, use: (host: NodeHost & TrainHost) => Promise<T>): Promise<T> {
  await using worker = startTrainWorker(host.engine, host.threads);
  return await use({ ...host, background: worker.engine, loop: worker.loop });
}

const summaryFor = ({ request, samples, training }: TrainJob, losses: Float32Array): TrainingSummary => {
  const { kind, rate, warmup = 0 } = training.schedule;
  const { mode, epochs, batch, optimizer, features } = request;
  return trainingSummary(
    {
      ...{ mode, epochs, batch, optimizer, seed: request.data.seed },
      data: summaryOf(samples.samples),
      loss: lossWords(samples.loss, features),
      schedule: `${kind}, rate ${rate}${warmup > 0 ? `, ${warmup} steps of warm-up` : ""}`,
    },
    losses,
  );
};

/** What was measured on the samples the model learned from says little about others. */
function seenFinding({ request }: TrainJob): readonly Finding[] {
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

async function candidateOf(job: TrainJob, made: FloatMade): Promise<Candidate> {
  const { output } = job;
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
    seconds: secondsSince(job.start),
  };
}

/** Where the result of a training runs. */
async function resultHost({ request, source, host, hooks, output }: TrainJob): Promise<NodeHost> {
  const { container } = source.model;
  if (container === "onnx") return host;
  return nodeHost({ threads: request.threads }, hooks.signal, dirname(output), container);
}

/** Fine-tuning by the container of the result, which the first host runs. */
const IN_FLOATS: Readonly<Record<GraphContainer, typeof trainFloatTflite>> = {
  onnx: (_, trainer, ...rest) => trainFloat(trainer, ...rest),
  tflite: trainFloatTflite,
};

async function trainInFloats(job: TrainJob): Promise<QuantizeReport> {
  const { request, source, hooks, evaluation, training, options, output } = job;
  const host = await resultHost(job);
  const reference = { name: source.summary.name, place: { path: source.path }, size: source.summary.size };
  const input = { model: source.model, reference, name: basename(output), ...evaluation, training };
  const train = IN_FLOATS[source.model.container];
  const made = await apart(job.host, (trainer) => train(host, trainer, input, hooks, options));
  const candidate = await candidateOf(job, made);
  return {
    ...reportHead(request, host, source.summary, job.start),
    kind: "quantize",
    evaluation: summaryOf({ data: evaluation.evaluation.data, random: evaluation.random }),
    candidates: [candidate],
    refused: [],
    findings: [...seenFinding(job), ...engineFindings(host)],
  };
}

/** Quantized as ever, with training on the way: `train` takes the place of post-training quantization. */
async function trainOnTheWay(
  job: TrainJob,
  train: (...args: Parameters<Maker>) => Promise<Made & { readonly losses: Float32Array }>,
) {
  const { request, source, samples, evaluation, hooks } = job;
  let losses: Float32Array = new Float32Array(0);
  const make: Maker = async (...args) => {
    const made = await train(...args);
    losses = made.losses;
    return made;
  };
  const quantize: QuantizeRequest = {
    ...{ model: source.path, schemes: [request.scheme!], keep: request.keep, command: request.command },
    ...{ threads: request.threads, force: false, embeddings: false, output: job.output },
    ...(request.ends !== undefined && { ends: request.ends }),
    ...(request.recipe !== undefined && { recipe: request.recipe }),
    ...(request.engine && source.model.container === "onnx" ? { engine: request.engine } : {}),
  };
  const given = { calibration: samples.samples, evaluation: evaluation.evaluation };
  const report = await quantizeFile(quantize, hooks, { samples: given, make });
  const training = summaryFor(job, losses);
  const candidates = report.candidates.map((candidate) => ({ ...candidate, training }));
  return {
    ...report,
    candidates,
    findings: [...seenFinding(job), ...report.findings],
    seconds: secondsSince(job.start),
  };
}

/** Quantization-aware training by the container of the result, which the first host runs. */
const AWARE: Readonly<Record<GraphContainer, typeof qatTflite>> = {
  onnx: (_, trainer, ...rest) => qat(trainer, ...rest),
  tflite: qatTflite,
};

function trainAware(job: TrainJob): Promise<QuantizeReport> {
  const { blockwise, features, dampening, gradual } = job.request;
  const training = { ...job.training, blockwise, features, gradual, ...(dampening !== undefined && { dampening }) };
  const train = AWARE[job.source.model.container];
  return trainOnTheWay(job, (host, input, hooks) =>
    apart(job.host, (trainer) => train(host, trainer, { ...input, training }, hooks, job.options)),
  );
}

const trainInIntegers = (job: TrainJob): Promise<QuantizeReport> =>
  trainOnTheWay(job, (host, input, hooks) =>
    apart(host as NodeHost, (both) => lowPrecision(both, { ...input, training: job.training }, hooks, job.options)),
  );

/** In parts of each weight's own size: coarser grids are farther from where they start. */
const awareRate = (bits: number): number => (bits > 4 ? 1e-3 : bits > 2 ? 3e-3 : 6e-3);

/** Ways to train by name. */
export const TRAIN_MODES: Readonly<Record<TrainMode, ModeRow>> = {
  float: {
    summary: "fine-tune the model as it is",
    rate: () => 1e-4,
    scheme: false,
    containers: ["onnx", "tflite"],
    train: trainInFloats,
  },
  qat: {
    summary: "train weights and grids for the scheme named with -s",
    rate: awareRate,
    scheme: true,
    containers: ["onnx", "tflite"],
    train: trainAware,
  },
  "low-precision": {
    summary: "train in integers, forward and backward, for the scheme named with -s",
    rate: () => 1e-4,
    scheme: true,
    containers: ["onnx"],
    train: trainInIntegers,
  },
};
