/**
 * Scales of weights on symmetric grids of few codes. Below 8 bits the scale that covers a whole channel leaves nearly all
 * weights on the code of zero; the one with the least squared error clips the largest instead.
 */
import type { QParams } from "../ir/scheme.ts";
import { fail } from "../numeric/errors.ts";
import { MIN_SCALE } from "../numeric/qparams.ts";
import { channelCount, channelParams, type Grid, type Layout } from "./dynamic-codes.ts";

/** Scale and zero point of every channel of a layout. */
type FindParams = (values: Float32Array, layout: Layout, grid: Grid) => QParams;

/** Shares of the covering scale tried first: 1, 0.9, 0.81, ... down to five percent. */
const COARSE = Array.from({ length: 29 }, (_, i) => 0.9 ** i);
/** Factors tried around the best of them. */
const FINE = [0.93, 0.95, 0.97, 0.985, 1.015, 1.03, 1.05, 1.07];

/** 1.5 * 2^52: adding and subtracting it rounds half to even. */
const ROUND = 1.5 * 2 ** 52;
/** Values between two looks at the limit. */
const STRETCH = 64;

/** Sum of squared errors on one grid; gives up above `limit`. */
function squaredError(values: Float32Array, scale: number, { low, high }: Grid, limit: number): number {
  const perScale = 1 / scale;
  let sum = 0;
  for (let from = 0; from < values.length && sum < limit; from += STRETCH) {
    const to = Math.min(from + STRETCH, values.length);
    for (let i = from; i < to; i++) {
      const value = values[i]!;
      const code = value * perScale + ROUND - ROUND;
      const error = value - (code < low ? low : code > high ? high : code) * scale;
      sum += error * error;
    }
  }
  return sum;
}

/** The scale of least squared error among shares of the one that covers all values. */
function bestScale(values: Float32Array, covering: number, grid: Grid): number {
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

/** Copies channel `c` to `out`. */
function gather(values: Float32Array, { cols, channels }: Layout, c: number, out: Float32Array): Float32Array {
  if (channels !== "columns") return values.subarray(c * out.length, (c + 1) * out.length);
  for (let i = 0, at = c; i < out.length; i++, at += cols) out[i] = values[at]!;
  return out;
}

/** Least squared error per channel; `blocks` of the layout is 1 and the grid symmetric. */
const searched: FindParams = (values, layout, grid) => {
  const covering = channelParams(values, layout, grid);
  const scratch = new Float32Array(values.length / channelCount(layout));
  const scale = covering.scale.map((widest, c) => bestScale(gather(values, layout, c, scratch), widest, grid));
  return { scale, zeroPoint: covering.zeroPoint };
};

const METHODS: Readonly<Record<string, FindParams>> = { rtn: channelParams, mse: searched };

/** Scales and zero points of a weight by the name of an algorithm; `unsupported` for those that have none per channel. */
export const findParams = (algorithm: string): FindParams =>
  METHODS[algorithm] ??
  fail(
    "unsupported",
    `algorithm ${algorithm} has no scales per channel; expected ${Object.keys(METHODS).join(" or ")}`,
  );
