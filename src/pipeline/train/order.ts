/** Which samples a step sees, and everything else that is drawn: all of it follows from the seed and the step's number. */
import type { TrainingData } from "../../containers/training-data.ts";
import { type Rng, rng } from "../../numeric/rng.ts";

/** How samples become batches. */
export interface Batching {
  readonly data: Pick<TrainingData, "length">;
  readonly epochs: number;
  /** Samples a step; the last batch of an epoch may be smaller. */
  readonly batch: number;
  /** The model takes batches of just this size: samples at the end of an epoch that don't fill one are left out. */
  readonly dropLast?: boolean;
}

/** Steps of one epoch. */
export const stepsPerEpoch = ({ data, batch, dropLast }: Omit<Batching, "epochs">): number =>
  dropLast ? Math.floor(data.length / batch) : Math.ceil(data.length / batch);

/** Steps of a whole run. */
export const stepCount = (run: Batching): number => run.epochs * stepsPerEpoch(run);

/** Samples that the first `steps` steps see. */
export function samplesOfSteps(run: Batching, steps: number): number {
  const perEpoch = stepsPerEpoch(run);
  const whole = run.dropLast ? perEpoch * run.batch : run.data.length;
  return Math.floor(steps / perEpoch) * whole + (steps % perEpoch) * run.batch;
}

/** Keeps seeds of different uses apart; the factors are odd, so that no two of a run's numbers fall on one seed. */
const seedOf = (seed: number, use: number, index: number): number =>
  (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(use + 1, 0x85ebca6b)) + Math.imul(index, 0xc2b2ae35);

/** Uses of randomness. */
const AUGMENT = 1;
const NOISE = 2;
/** What is done to samples for all of their views. */
const SAMPLE = 3;

/** The samples of an epoch in the order they are shown. */
export const epochOrder = (length: number, seed: number, epoch: number): readonly number[] =>
  rng(seed * 1_000_003 + epoch).shuffle(Array.from({ length }, (_, index) => index));

/** The generator for what is done to the batch of a step, counted from 1, in its view of that number, counted from 0. */
export const augmentRandom = (seed: number, step: number, view = 0): Rng => rng(seedOf(seed, AUGMENT - view, step));

/** The generator for what is done to the batch of a step in all of its views alike. */
export const sampleRandom = (seed: number, step: number): Rng => rng(seedOf(seed, SAMPLE, step));

/** Fresh uniform numbers of a step for the input of a name. */
export function noiseOf(seed: number, step: number, name: string, count: number): Float32Array {
  let use = NOISE;
  for (let i = 0; i < name.length; i++) use = (Math.imul(use, 31) + name.charCodeAt(i)) | 0;
  const { bits } = rng(seedOf(seed, use, step));
  // the upper 24 bits are what a float32 below 1 can hold
  return Float32Array.from({ length: count }, () => (bits() >>> 8) / 2 ** 24);
}

/** Gives the samples of a step, counted from 1; keeps the order of the last epoch asked for. */
export function rowsOfSteps(run: Batching & { readonly seed: number }): (step: number) => readonly number[] {
  const perEpoch = stepsPerEpoch(run);
  let [known, order]: [number, readonly number[]] = [-1, []];
  return (step) => {
    const epoch = Math.floor((step - 1) / perEpoch);
    if (epoch !== known) [known, order] = [epoch, epochOrder(run.data.length, run.seed, epoch)];
    const first = ((step - 1) % perEpoch) * run.batch;
    return order.slice(first, first + run.batch);
  };
}
