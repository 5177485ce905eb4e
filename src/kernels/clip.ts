/** Scales that minimise the squared error of a block: a little clipping of the extremes gives the rest finer steps. */
import {
  asymmetricScale,
  type BlockGrid,
  type BlockParams,
  codeOf,
  extent,
  type RoundScale,
  reciprocalOf,
  symmetricScale,
  topCode,
  zeroPointOf,
} from "./blocks.ts";
import type { Run } from "./runs.ts";

/** Shares of the range that are tried, whole range first: fewer bits gain more by clipping. */
const shares = (least: number, step: number): readonly number[] =>
  Array.from({ length: Math.round((1 - least) / step) + 1 }, (_, i) => 1 - i * step);

export const CLIP_SHARES: Readonly<Record<BlockGrid["bits"], readonly number[]>> = {
  2: shares(0.4, 0.04),
  4: shares(0.6, 0.025),
  8: shares(0.9, 0.02),
};

/** Sum of squared errors of one block on one grid; gives up above `limit`. */
function squaredError(
  values: Float32Array,
  from: number,
  to: number,
  scale: number,
  zero: number,
  top: number,
  limit: number,
): number {
  const reciprocal = reciprocalOf(scale);
  let sum = 0;
  for (let i = from; i < to && sum < limit; i++) {
    const value = values[i]!;
    const error = value - (codeOf(value, reciprocal, zero, top) - zero) * scale;
    sum += error * error;
  }
  return sum;
}

/**
 * Scale and zero point of every block of a run with the least squared error among `CLIP_SHARES` of its range. Never
 * worse than `blockScales`, whose grid is tried first.
 */
export function clippedScales(run: Run, grid: BlockGrid, round: RoundScale, { scales, zeroPoints }: BlockParams): void {
  const { bits, symmetric } = grid;
  const { values, words, length, count, stride } = run;
  const range = new Float32Array(2);
  const rangeWords = new Int32Array(range.buffer);
  const top = topCode(grid);
  for (let i = 0, from = 0, block = run.at; i < count; i++, from += length, block += stride) {
    extent(words, from, from + length, rangeWords);
    let least = Number.POSITIVE_INFINITY;
    for (const share of CLIP_SHARES[bits]) {
      const min = range[0]! * share;
      const max = range[1]! * share;
      const exact = (symmetric ? symmetricScale : asymmetricScale)(min, max, top);
      const scale = round(exact);
      const zero = symmetric ? (top + 1) >> 1 : zeroPointOf(min, exact, top);
      const error = squaredError(values, from, from + length, scale, zero, top, least);
      if (error >= least) continue;
      least = error;
      scales[block] = scale;
      zeroPoints[block] = zero;
    }
  }
}
