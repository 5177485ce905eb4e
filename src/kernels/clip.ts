/** Scales that minimise the squared error of a block: a little clipping of the extremes gives the rest finer steps. */
import {
  asymmetricScale,
  type BlockGrid,
  type BlockParams,
  extent,
  type RoundScale,
  reciprocalOf,
  symmetricScale,
  topCode,
  zeroPointOf,
} from "./blocks.ts";
import type { Run } from "./runs.ts";

/**
 * Shares of the range that are tried, the whole first. Fewer bits gain more by clipping; with 4 and 8 bits most of the
 * gain is that values happen to lie nearer to the grid, and many more shares gain little.
 */
export const CLIP_SHARES: Readonly<Record<BlockGrid["bits"], readonly number[]>> = {
  2: [1, 0.9, 0.82, 0.74, 0.66, 0.58, 0.5, 0.42],
  4: [1, 1.05, 0.95, 0.9, 0.85, 0.78],
  8: [1, 0.99, 1.01, 0.98, 1.02, 0.96],
};

/** Numbers of one candidate: scale, zero point, reciprocal of the scale. */
export const FIELDS = 3;

/** Finds the candidate grids of one block after the other, `FIELDS` numbers each, written to `out` from `at` on. */
export function candidateFinder(grid: BlockGrid, round: RoundScale) {
  const { symmetric } = grid;
  const shares = CLIP_SHARES[grid.bits];
  const top = topCode(grid);
  const range = new Float32Array(2);
  const rangeWords = new Int32Array(range.buffer);
  return ({ words, length }: Run, from: number, out: Float32Array, at: number): void => {
    extent(words, from, from + length, rangeWords);
    for (const share of shares) {
      const min = range[0]! * share;
      const max = range[1]! * share;
      const exact = (symmetric ? symmetricScale : asymmetricScale)(min, max, top);
      const scale = round(exact);
      out[at++] = scale;
      out[at++] = symmetric ? (top + 1) >> 1 : zeroPointOf(min, exact, top);
      out[at++] = reciprocalOf(scale);
    }
  };
}

/** Values between two looks at the limit. */
const STRETCH = 16;

/** Sum of squared errors of one block on the grid of `candidates[at]`; gives up above `limit`. */
function squaredError(
  values: Float32Array,
  from: number,
  to: number,
  candidates: Float32Array,
  at: number,
  top: number,
  limit: number,
): number {
  const scale = candidates[at]!;
  const zero = candidates[at + 1]!;
  const reciprocal = candidates[at + 2]!;
  let sum = 0;
  for (let start = from; start < to && sum < limit; start += STRETCH) {
    const end = Math.min(start + STRETCH, to);
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      const exact = value * reciprocal + zero;
      const code = exact > top ? top : exact > 0 ? (exact + 0.5) | 0 : 0;
      const error = value - (code - zero) * scale;
      sum += error * error;
    }
  }
  return sum;
}

/**
 * Scale and zero point of every block of a run with the least squared error among `CLIP_SHARES` of its range. Not worse
 * than `blockScales`, whose grid is tried first.
 */
export function clippedScales(run: Run, grid: BlockGrid, round: RoundScale, { scales, zeroPoints }: BlockParams): void {
  const { values, length, count, stride } = run;
  const find = candidateFinder(grid, round);
  const candidates = new Float32Array(CLIP_SHARES[grid.bits].length * FIELDS);
  const top = topCode(grid);
  for (let i = 0, from = 0, block = run.at; i < count; i++, from += length, block += stride) {
    find(run, from, candidates, 0);
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < candidates.length; at += FIELDS) {
      const error = squaredError(values, from, from + length, candidates, at, top, least);
      if (error >= least) continue;
      least = error;
      scales[block] = candidates[at]!;
      zeroPoints[block] = candidates[at + 1]!;
    }
  }
}
