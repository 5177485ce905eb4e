/**
 * Histograms over [-2^e, 2^e) that grow by doubling: two neighbouring bins become one. An index is floor(x / width), and
 * width is a power of two, so binning at the final exponent directly gives the same counts in any order of the data.
 */
import { HISTOGRAM_BINS, type Histogram } from "../ir/stats.ts";
import { exponentOf } from "../numeric/minifloat.ts";

const HALF = HISTOGRAM_BINS / 2;

/** Exponents a float32 can need: from the smallest normal, which also stands for all zeros, to the largest. */
export const MIN_EXPONENT = -126;
export const MAX_EXPONENT = 128;

/** Smallest exponent for which [min, max] lies in [-2^e, 2^e). */
export function exponentFor(min: number, max: number): number {
  const above = max > 0 ? exponentOf(max) + 1 : MIN_EXPONENT;
  const below = min < 0 ? exponentOf(-min) + (-min === 2 ** exponentOf(-min) ? 0 : 1) : MIN_EXPONENT;
  return Math.max(above, below, MIN_EXPONENT);
}

/** `histogram` over a range at least as wide; a copy, even when the exponent stays. */
function widened({ exponent, counts }: Histogram, target: number): Float64Array {
  if (target <= exponent) return counts.slice();
  const shift = Math.min(target - exponent, 31);
  const out = new Float64Array(HISTOGRAM_BINS);
  for (let i = 0; i < HISTOGRAM_BINS; i++) out[((i - HALF) >> shift) + HALF]! += counts[i]!;
  return out;
}

/** Counts of the batch in hand; all zeros between calls. */
const scratch = new Uint32Array(HISTOGRAM_BINS);

/** `histogram` with finite `values` counted in; `min` and `max` are their extent. */
export function addToHistogram(histogram: Histogram | null, values: Float32Array, min: number, max: number): Histogram {
  const exponent = Math.max(histogram?.exponent ?? MIN_EXPONENT, exponentFor(min, max));
  const counts = histogram === null ? new Float64Array(HISTOGRAM_BINS) : widened(histogram, exponent);
  const perWidth = HALF / 2 ** exponent;
  for (let i = 0; i < values.length; i++) scratch[Math.floor(values[i]! * perWidth) + HALF]!++;
  const last = Math.floor(max * perWidth) + HALF;
  for (let i = Math.floor(min * perWidth) + HALF; i <= last; i++) {
    counts[i]! += scratch[i]!;
    scratch[i] = 0;
  }
  return { exponent, counts };
}

/** Both histograms in one. */
export function mergeHistograms(a: Histogram | null, b: Histogram | null): Histogram | null {
  if (a === null || b === null) return a ?? b;
  const exponent = Math.max(a.exponent, b.exponent);
  const counts = widened(a, exponent);
  const other = b.exponent === exponent ? b.counts : widened(b, exponent);
  for (let i = 0; i < HISTOGRAM_BINS; i++) counts[i]! += other[i]!;
  return { exponent, counts };
}
