/** The trainings of fewbit demo: side by side, as many as there are cores. */
import { availableParallelism } from "node:os";
import type { TrainingData } from "../containers/training-data.ts";
import { drawnData } from "../pipeline/demo/data.ts";
import type { Made } from "../pipeline/make.ts";
import { type Hooks, silent } from "../pipeline/progress.ts";
import type { TrainingSummary } from "../pipeline/result.ts";
import { sideBySide } from "../pipeline/side-by-side.ts";
import { learnLowPrecision } from "../pipeline/train/low-precision.ts";
import { learnQat } from "../pipeline/train/qat.ts";
import type { Learned, LearnInput, TrainHost } from "../pipeline/train/run.ts";
import { trainingSummary } from "../pipeline/train/summary.ts";
import type { SingleLoss } from "../train/losses.ts";
import { secondsSince } from "./report-head.ts";
import { startTrainWorker } from "./train-worker.ts";

const TRAINING_SEED = 100_000;
const BATCH = 64;
/** Each network in training takes some hundred megabytes, and with more at a time the longest one alone decides. */
const MOST = 3;

/** How long a scheme is trained, in steps, the highest rate, and the part of it that scales learn with. */
interface Course {
  readonly steps: number;
  readonly rate: number;
  readonly scaleRate?: number;
}

/** One way to train, and for which schemes. */
export interface Way {
  readonly mode: string;
  readonly loss: SingleLoss;
  readonly courses: Readonly<Record<string, Course>>;
  readonly learn: (host: TrainHost, input: Parameters<typeof learnQat>[1], hooks: Hooks) => Promise<Learned<Made>>;
}

/** Towards the float model's answers. Coarser grids take longer; the scales of finer ones are nearly right from the start. */
export const AWARE: Way = {
  mode: "qat",
  loss: { kind: "distillation", temperature: 4 },
  courses: {
    w8a8: { steps: 20, rate: 1e-4, scaleRate: 0.2 },
    w4a4: { steps: 150, rate: 5e-3, scaleRate: 0.2 },
    w2a2: { steps: 240, rate: 5e-3 },
  },
  learn: learnQat,
};

/** Towards labels, with integer products both ways; goes on from the float weights. */
export const IN_INTEGERS: Way = {
  mode: "low-precision",
  loss: { kind: "cross-entropy" },
  courses: {
    w8a8: { steps: 30, rate: 2e-4 },
    w4a8: { steps: 60, rate: 5e-4 },
    w2a8: { steps: 140, rate: 2e-3 },
  },
  learn: learnLowPrecision,
};

/** One network to train. */
export interface Training {
  /** Its name in tables. */
  readonly label: string;
  readonly way: Way;
  readonly scheme: string;
  readonly input: LearnInput;
}

/** A network after its training. */
export interface Trained {
  readonly learned: Learned<Made>;
  readonly summary: TrainingSummary;
  readonly seconds: number;
}

const courseOf = ({ way, scheme }: Training): Course => way.courses[scheme]!;
const samplesOf = (training: Training): number => courseOf(training).steps * BATCH;

/** Fresh images, each seen once; `tick` is told how many were asked for. */
function fresh(length: number, tick: (count: number) => void): TrainingData {
  const drawn = drawnData(TRAINING_SEED, length);
  return {
    length,
    rows(indices) {
      tick(indices.length);
      return drawn.rows(indices);
    },
  };
}

/** What the report says of a training. */
function summaryOf({ mode, loss }: Way, rate: number, losses: Float32Array): TrainingSummary {
  const samples = losses.length * BATCH;
  const data = { origin: "freshly drawn images", samples, random: false };
  const settings = { optimizer: "adam", schedule: `cosine from ${rate}`, epochs: 1, batch: BATCH, seed: 1 };
  return trainingSummary({ mode, data, loss: loss.kind, ...settings }, losses);
}

/** Trains in a thread of its own, calibration on the way included: what runs here would hold up the other threads. */
async function trainOne(host: TrainHost, job: Training, tick: (count: number) => void, hooks: Hooks): Promise<Trained> {
  const start = performance.now();
  const { way, input } = job;
  const { rate, scaleRate } = courseOf(job);
  await using worker = startTrainWorker(host.engine, host.threads);
  const apart = { ...host, engine: worker.engine, background: worker.engine, loop: worker.loop };
  const training = {
    ...{ data: fresh(samplesOf(job), tick), epochs: 1, batch: BATCH, seed: 1, loss: way.loss },
    schedule: { kind: "cosine", rate, warmup: 10 } as const,
    ...(scaleRate !== undefined && { scaleRate }),
  };
  const learned = await way.learn(apart, { ...input, training }, hooks);
  return { learned, summary: summaryOf(way, rate, learned.losses), seconds: secondsSince(start) };
}

/** Trainings at the same time, each with so many threads of its own. */
const atOnce = (threads: number): number => Math.max(1, Math.min(MOST, Math.floor(availableParallelism() / threads)));

/** Trains all networks, the longest first so that none is left alone at the end; answers them by label. */
export async function trainAll(
  host: TrainHost,
  jobs: readonly Training[],
  { progress, signal }: Hooks,
): Promise<ReadonlyMap<string, Trained>> {
  const longestFirst = [...jobs].sort((a, b) => samplesOf(b) - samplesOf(a));
  const total = jobs.reduce((sum, job) => sum + samplesOf(job), 0);
  const step = progress.step(`training ${jobs.length} networks`, total);
  const trained = await sideBySide(longestFirst, atOnce(host.threads), signal, async (job, stopped) => {
    const own = { progress: { ...silent, note: progress.note }, signal: stopped };
    const found = await trainOne(host, job, (count) => step.tick(count), own);
    progress.note(`${job.label} trained: loss ${found.learned.losses.at(-1)!.toPrecision(3)}`);
    return [job.label, found] as const;
  });
  step.done(`${total} images`);
  return new Map(trained);
}
