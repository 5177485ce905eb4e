/** What the observers that search for the best clip range share. */
import { binWidth, HISTOGRAM_BINS, type ValueStats } from "../ir/stats.ts";
import type { DTypeRow } from "../numeric/dtypes.ts";

const HALF = HISTOGRAM_BINS / 2;

/** Grids with more codes than this are finer than the histogram's bins: nothing can be said about clipping, nor gained. */
const MAX_CODES = 256;

/** Codes of an integer grid coarse enough for a search; undefined for wide integers and floats. */
export function searchableCodes({ kind, min, max }: DTypeRow): number | undefined {
  const codes = max - min + 1;
  return (kind === "int" || kind === "uint") && codes <= MAX_CODES ? codes : undefined;
}

/** The seen range stretched to contain zero; made symmetric on request. */
export function fullRange({ min, max }: ValueStats, symmetric: boolean): readonly [number, number] {
  const reach = Math.max(-min, max, 0);
  return symmetric ? [-reach, reach] : [Math.min(min, 0), Math.max(max, 0)];
}

/** Occupied bins as points with weights. */
export interface Points {
  readonly values: Float64Array;
  readonly weights: Float64Array;
}

/**
 * Each occupied bin as its middle, kept inside the seen range. The bin that starts at zero stands for zero: behind a
 * ReLU that is where nearly all of it lies.
 */
export function points({ histogram, min, max }: ValueStats): Points {
  if (histogram === null) return { values: new Float64Array(0), weights: new Float64Array(0) };
  const { counts } = histogram;
  const width = binWidth(histogram);
  const occupied = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  const values = new Float64Array(occupied);
  const weights = new Float64Array(occupied);
  for (let i = 0, at = 0; i < HISTOGRAM_BINS; i++) {
    if (counts[i] === 0) continue;
    const middle = i === HALF ? 0 : (i + 0.5 - HALF) * width;
    values[at] = Math.min(Math.max(middle, min), max);
    weights[at++] = counts[i]!;
  }
  return { values, weights };
}
