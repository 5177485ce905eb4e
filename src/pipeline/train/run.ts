/** One training run as a value, and what follows from it alone. */
import type { Checkpoint } from "../../containers/checkpoint.ts";
import { fixedBatch } from "../../containers/data-fit.ts";
import type { TrainingData } from "../../containers/training-data.ts";
import type { Engine } from "../../engines/contract.ts";
import type { Feeds, NDArray, Tensor, ValueInfo } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import type { LossSpec } from "../../train/losses.ts";
import type { Optimizer } from "../../train/optimizers.ts";
import { fallenAt, rateAt, type Schedule } from "../../train/schedule.ts";
import { FALLEN, NOISE, numberInput, RATE, type TrainingStep } from "../../train/step.ts";
import { canUnroll } from "../../train/unroll.ts";
import type { Host } from "../host.ts";
import type { MakeInput } from "../make.ts";
import type { Hooks } from "../progress.ts";
import type { Augment } from "./augment.ts";
import type { OpenLoop } from "./loop.ts";
import { type Batching, stepCount as countSteps, noiseOf } from "./order.ts";
import type { Teacher } from "./teacher.ts";

/** What a run shows to a model, how often and how. */
interface Shown {
  /** Rows of the model's inputs by name, with the "labels" (int64) or "target" (float32) that the loss reads. */
  readonly data: TrainingData;
  readonly epochs: number;
  /**
   * Samples a step; the last batch of an epoch may be smaller. A model that fixes its first dimension takes just that
   * many, and samples at the end of an epoch that don't fill a batch are left out.
   */
  readonly batch: number;
  readonly schedule: Omit<Schedule, "steps">;
  /** Order of the samples, and everything else that is drawn. */
  readonly seed: number;
  /** Changes each batch before the model and its teacher see it. */
  readonly augment?: Augment;
  /**
   * How often `augment` draws anew for the teacher: the mean of its answers for so many views of a sample is learned, the first of
   * which is the one that the model sees (Radosavovic et al., arXiv:1712.04440). 1 by default; more need an
   * `augment` that is drawn for each.
   */
  readonly views?: number;
}

/** How a model is trained, whatever it becomes. */
export interface Training extends Shown {
  /** What is made small; each way to train has its own default. */
  readonly loss?: LossSpec;
  /** Adam unless told. */
  readonly optimizer?: Optimizer;
  /** Largest Euclidean norm of all gradients together. */
  readonly clip?: number;
  /** Decay of weights, not of vectors such as biases; none by default. */
  readonly decay?: number;
  /** Output that is trained, where there are several. */
  readonly output?: string;
}

/** How to train on the way. */
export interface WithTraining<T extends Training> {
  readonly training: T;
}

/** One training run: everything its result depends on. */
export interface TrainRun extends Shown {
  readonly step: TrainingStep;
  /** Makes targets of each batch. */
  readonly teacher?: Teacher;
  /** Steps in one run of the engine; chosen by the number of parameters unless given. */
  readonly unroll?: number;
}

/** Where a run ended. */
export interface Trained {
  /** Final values of everything that goes round, by name. */
  readonly state: Feeds;
  /** Loss of every step. */
  readonly losses: Float32Array;
}

/** The part of what `make` needs that training needs. */
export type LearnInput = Omit<MakeInput, "reference" | "name" | "random">;

/** A training that is over, its model not yet in its real form. */
export interface Learned<Made> {
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** Quantizes the model, runs it and compares; speed is measured, so nothing else should run meanwhile. */
  deploy(host: Host, input: MakeInput, hooks: Hooks): Promise<Made>;
}

/** A host that may train in another thread, where the state of a step stays: `background` opens sessions there. */
export type TrainHost = Pick<Host, "engine" | "stage" | "threads"> & {
  readonly loop?: OpenLoop;
  readonly background?: Engine;
};

/** Saving and going on. */
export interface TrainOptions {
  /** Where to go on; of another run it is an error of code "usage". `where` names it in messages. */
  readonly resume?: { readonly checkpoint: Checkpoint; readonly where: string };
  /** Called about every `seconds`, when the run is stopped by its signal, and at its end. */
  readonly save?: { readonly seconds: number; readonly write: (checkpoint: Checkpoint) => Promise<void> };
}

/** The part of a training that its run takes as it is. */
export const shownIn = ({ data, epochs, batch, schedule, seed, augment, views }: Training): Shown => ({
  ...{ data, epochs, batch, schedule, seed },
  ...(augment && { augment }),
  ...(views !== undefined && { views }),
});

/** How the run makes batches. */
export const batchingOf = (
  run: Pick<TrainRun, "data" | "epochs" | "batch"> & Partial<Pick<TrainRun, "step">>,
): Batching => ({
  ...{ data: run.data, epochs: run.epochs, batch: run.batch },
  dropLast: run.step !== undefined && fixedOf(run.step) !== undefined,
});

/** Steps of a whole run; without the step itself, those of a model that takes any batch. */
export const stepCount = (run: Parameters<typeof batchingOf>[0]): number => countSteps(batchingOf(run));

const scalarOf = (value: number): NDArray => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });

const arrayOf = async ({ dtype, shape, data }: Tensor): Promise<NDArray> => ({
  dtype,
  shape,
  data: decodeFloats(await readAll(data), dtype).slice(),
});

/** Initial values of the state. */
export async function initialState({ state }: TrainingStep): Promise<Feeds> {
  const found: [string, NDArray][] = [];
  for (const tensor of state) found.push([tensor.name, await arrayOf(tensor)]);
  return Object.fromEntries(found);
}

const isNoise = ({ name }: ValueInfo): boolean => name.startsWith(NOISE);

/** Numbers of a step that are neither data nor state: the rate, how far it has fallen, and what the optimizer counts. */
const numberNames = ({ optimizer }: TrainingStep): readonly string[] => [
  ...[RATE, FALLEN],
  ...Object.keys(optimizer.numbers(1)).map(numberInput),
];

/** Inputs that data, augmentation or a teacher must fill. */
export function batchInputs(step: TrainingStep): readonly ValueInfo[] {
  const others = new Set([...step.state.map(({ name }) => name), ...numberNames(step)]);
  return step.model.graph.inputs.filter((input) => !others.has(input.name) && !isNoise(input));
}

const fixedOf = (step: TrainingStep): number | undefined => fixedBatch(batchInputs(step));

/** What a step is fed besides its batch and the state. */
export function numbersAt(
  { step, schedule, seed }: Pick<TrainRun, "step" | "schedule" | "seed">,
  steps: number,
  at: number,
): Feeds {
  const numbers = Object.entries(step.optimizer.numbers(at)).map(([name, value]) => [
    numberInput(name),
    scalarOf(value),
  ]);
  const noise = step.model.graph.inputs.filter(isNoise).map(({ name, shape = [] }) => {
    const lengths = shape.map((dim) =>
      typeof dim === "number" ? dim : fail("graph", `training: noise input "${name}" has an open length; fix it`),
    );
    return [name, { dtype: "float32", shape: lengths, data: noiseOf(seed, at, name, elementCount(lengths)) }] as const;
  });
  return {
    ...Object.fromEntries(numbers),
    ...Object.fromEntries(noise),
    [RATE]: scalarOf(rateAt({ ...schedule, steps }, at)),
    ...(step.model.graph.inputs.some(({ name }) => name === FALLEN) && {
      [FALLEN]: scalarOf(fallenAt({ ...schedule, steps }, at)),
    }),
  };
}

/** Throws where there is no view, or all would be alike. */
function checkViews({ augment, views = 1 }: Shown): void {
  if (!(Number.isInteger(views) && views >= 1))
    fail("usage", `training: ${views} views; a whole number from 1 is needed`);
  if (views === 1 || (augment !== undefined && augment.makes !== "sample")) return;
  const by = augment?.label ? `only ${augment.label} changes, once for all of them,` : "nothing changes";
  fail(
    "usage",
    `training: ${views} views of samples that ${by} are alike; name an augmentation drawn for each, such as flip or shift`,
  );
}

/** Throws where what is shown makes no sense for any model: fewer samples than a batch, no epoch, views all alike. */
export function checkShown(shown: Shown): void {
  const { data, epochs, batch } = shown;
  if (data.length < batch)
    fail("data", `training: ${data.length} samples, fewer than a batch of ${batch}; use more, or a smaller batch`);
  if (!(epochs >= 1 && batch >= 1)) fail("usage", "training: at least one epoch and one sample a batch are needed");
  checkViews(shown);
}

/** Throws where the run makes no sense: as `checkShown`, or another batch than the model takes. */
export function checkRun(run: TrainRun): void {
  const { step, batch } = run;
  const fixed = fixedOf(step);
  if (fixed !== undefined && batch !== fixed)
    fail(
      "usage",
      `training: the model takes batches of exactly ${fixed}; train with a batch of ${fixed}, not ${batch}`,
    );
  checkShown(run);
}

/** State of more elements than this takes longer to compute with than to hand over. */
const UNROLL_BELOW = 30_000_000;
/** Steps at once, nodes of a graph that an engine opens in well under a second, and the shortest run that gains. */
const UNROLL = 8;
const UNROLLED_NODES = 6000;
const UNROLLED_STEPS = 64;

/**
 * Steps in one run of the engine: several where starting a run and handing over state is a large part of a step, which it
 * never is for convolutions: their kernels are used at every place of an image.
 */
export function chooseUnroll({ step, unroll: wish }: Pick<TrainRun, "step" | "unroll">, steps: number): number {
  if (!canUnroll(step)) return 1;
  if (wish !== undefined) return Math.max(1, Math.min(wish, steps));
  const kernels = step.state.some(({ shape }) => shape.length > 2);
  const elements = step.state.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (kernels || elements > UNROLL_BELOW || steps < UNROLLED_STEPS) return 1;
  return Math.max(1, Math.min(UNROLL, Math.floor(UNROLLED_NODES / step.model.graph.nodes.length)));
}
