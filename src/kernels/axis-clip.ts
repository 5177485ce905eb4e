/**
 * Scales per channel on symmetric grids of few codes. Below 8 bits the scale that covers a whole channel leaves nearly all
 * weights on the code of zero; the one with the least squared error clips the largest instead.
 */
import { MIN_SCALE } from "../numeric/qparams.ts";
import { roundToOdd } from "../numeric/rounding.ts";
import { type AxisParams, type AxisShape, axisScales } from "./axis.ts";

/** Smallest and largest code of a symmetric grid, and the code that a channel's largest magnitude has without clipping. */
export interface ClipGrid {
  readonly low: number;
  readonly high: number;
  readonly max: number;
  /** Odd codes only. */
  readonly odd?: boolean;
}

/** Shares of the covering scale tried first: 1, 0.9, 0.81, ... down to five percent. */
const COARSE = Array.from({ length: 29 }, (_, i) => 0.9 ** i);
/** Factors tried around the best of them. */
const FINE = [0.93, 0.95, 0.97, 0.985, 1.015, 1.03, 1.05, 1.07];

/** 1.5 * 2^52: adding and subtracting it rounds half to even. */
const ROUND = 1.5 * 2 ** 52;
/** Values between two looks at the limit. */
const STRETCH = 64;

/** Sum of squared errors on one grid; gives up above `limit`. */
function squaredError(
  values: Float32Array,
  scale: number,
  { low, high, odd = false }: ClipGrid,
  limit: number,
): number {
  const perScale = 1 / scale;
  let sum = 0;
  for (let from = 0; from < values.length && sum < limit; from += STRETCH) {
    const to = Math.min(from + STRETCH, values.length);
    for (let i = from; i < to; i++) {
      const value = values[i]!;
      const steps = value * perScale;
      const code = odd ? roundToOdd(steps) : steps + ROUND - ROUND;
      const error = value - (code < low ? low : code > high ? high : code) * scale;
      sum += error * error;
    }
  }
  return sum;
}

/** The scale of least squared error among shares of the one that covers all values. */
function bestScale(values: Float32Array, covering: number, grid: ClipGrid): number {
  let best = covering;
  let least = Number.POSITIVE_INFINITY;
  const attempt = (scale: number): void => {
    const error = squaredError(values, scale, grid, least);
    if (error < least) [best, least] = [scale, error];
  };
  for (const share of COARSE) attempt(Math.max(Math.fround(covering * share), MIN_SCALE));
  const middle = best;
  for (const factor of FINE) attempt(Math.max(Math.fround(middle * factor), MIN_SCALE));
  return best;
}

/** The values of channel `c`: a view where they lie together, else copied to `out`. */
function channelValues(
  values: Float32Array,
  { outer, channels, inner }: AxisShape,
  c: number,
  out: Float32Array,
): Float32Array {
  if (outer === 1) return values.subarray(c * inner, (c + 1) * inner);
  for (let o = 0, i = 0; o < outer; o++)
    for (let at = (o * channels + c) * inner, end = at + inner; at < end; at++, i++) out[i] = values[at]!;
  return out;
}

/** Scale of least squared error for every channel; zero points are 0. */
export function clippedAxisScales(values: Float32Array, shape: AxisShape, grid: ClipGrid): AxisParams {
  const covering = axisScales(values, shape, { min: -grid.max, max: grid.max, symmetric: true });
  const scratch = new Float32Array(shape.outer * shape.inner);
  const scales = covering.scales.map((widest, c) => bestScale(channelValues(values, shape, c, scratch), widest, grid));
  return { scales, zeroPoints: covering.zeroPoints };
}
