/** First values of weights. All numbers come from one seeded generator, so a model is the same on every machine. */
import { elementCount } from "../../numeric/dtypes.ts";
import type { Rng } from "../../numeric/rng.ts";

/** How many values one output sums over, and how many outputs one input reaches. */
export interface Fans {
  readonly fanIn: number;
  readonly fanOut: number;
}

/** Makes the first values of a weight of a shape. */
export type Init = (random: Rng, shape: readonly number[], fans: Fans) => Float32Array;

const filled = (value: number): Init => {
  return (_, shape) => new Float32Array(elementCount(shape)).fill(value);
};

/** All zeros: biases. */
export const zeros: Init = filled(0);
/** All ones: scales of normalizations. */
export const ones: Init = filled(1);

/** Normal numbers of a standard deviation. */
export const normal = (deviation: number): Init => {
  return (random, shape) => Float32Array.from({ length: elementCount(shape) }, () => deviation * random.normal());
};

/** He et al., arXiv:1502.01852: keeps the variance through a layer that a Relu follows. */
export const he: Init = (random, shape, fans) => normal(Math.sqrt(2 / fans.fanIn))(random, shape, fans);

/** Glorot and Bengio (AISTATS 2010), uniform: keeps the variance on the way there and back. */
export const glorot: Init = (random, shape, { fanIn, fanOut }) => {
  const limit = Math.sqrt(6 / (fanIn + fanOut));
  return Float32Array.from({ length: elementCount(shape) }, () => limit * (2 * random.uniform() - 1));
};

/** LeCun et al., "Efficient BackProp" (1998), normal: keeps the variance through a layer without an activation. */
export const lecun: Init = (random, shape, fans) => normal(Math.sqrt(1 / fans.fanIn))(random, shape, fans);

/** An init times a factor: smaller ones for what is added to a residual stream. */
export const scaled = (init: Init, factor: number): Init => {
  return (random, shape, fans) => init(random, shape, fans).map((value) => factor * value);
};
