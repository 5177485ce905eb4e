/**
 * The clip range whose quantized distribution tells least apart from the clipped one (Kullback-Leibler divergence;
 * S. Migacz, "8-bit inference with TensorRT", GTC 2017). Meant for bell-shaped activations of convolutional networks.
 */
import { binWidth, HISTOGRAM_BINS, type Histogram } from "../ir/stats.ts";
import { fullRange, searchableCodes } from "./clipping.ts";
import type { Observer } from "./observer.ts";

/** Bins per code at the widest clip: with more, few samples leave holes that a coarse grid copies for free. */
const BINS_PER_CODE = 32;
/** Clip magnitudes tried, equally spaced up to the largest one seen. */
const CANDIDATES = 128;
/** Share that a bin without any unclipped value is given, so that the divergence stays finite. */
const TINY = 1e-9;

/** Counts in wider bins, `factor` of the histogram's in one. */
function coarser({ counts }: Histogram, factor: number): Float64Array {
  const out = new Float64Array(HISTOGRAM_BINS / factor);
  for (let i = 0; i < HISTOGRAM_BINS; i++) out[(i / factor) | 0]! += counts[i]!;
  return out;
}

/** Takes the bin of zero from its neighbours: zeros stay exact on any grid and would drown the rest. */
function withoutZeros(counts: Float64Array): Float64Array {
  const zero = counts.length / 2;
  counts[zero] = Math.min(counts[zero]!, Math.max(counts[zero + 1]!, counts[zero - 1]!));
  return counts;
}

function sum(counts: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += counts[i]!;
  return total;
}

/** Divergence of one group of bins: its mass spread evenly over its occupied bins, against what is there. */
function groupDivergence(
  reference: Float64Array,
  counts: Float64Array,
  from: number,
  to: number,
  ratio: number,
): number {
  let mass = 0;
  let occupied = 0;
  for (let i = from; i < to; i++) {
    mass += counts[i]!;
    if (counts[i]! > 0) occupied++;
  }
  const even = occupied === 0 ? 0 : (mass / occupied) * ratio;
  let divergence = 0;
  for (let i = from; i < to; i++) {
    const p = reference[i]!;
    if (p > 0) divergence += p * Math.log(p / (counts[i]! > 0 ? even : TINY));
  }
  return divergence;
}

/** Divergence of bins [from, to) drawn with `codes` codes from the same bins with all that lies outside moved to the ends. */
function divergence(counts: Float64Array, from: number, to: number, codes: number): number {
  const inside = sum(counts, from, to);
  if (inside === 0) return Number.POSITIVE_INFINITY;
  const below = sum(counts, 0, from);
  const above = sum(counts, to, counts.length);
  const total = inside + below + above;
  const reference = counts.map((count) => count / total);
  reference[from]! += below / total;
  reference[to - 1]! += above / total;
  let result = 0;
  for (let code = 0; code < codes; code++) {
    const first = from + Math.floor(((to - from) * code) / codes);
    const last = from + Math.floor(((to - from) * (code + 1)) / codes);
    result += groupDivergence(reference, counts, first, last, 1 / inside);
  }
  return result;
}

type Range = readonly [number, number];

function search(histogram: Histogram, [low, high]: Range, codes: number): Range {
  const factor = Math.max(1, 2 ** Math.floor(Math.log2(HISTOGRAM_BINS / (codes * BINS_PER_CODE))));
  const counts = withoutZeros(coarser(histogram, factor));
  const half = counts.length / 2;
  const width = binWidth(histogram) * factor;
  const reach = Math.max(-low, high);
  let best: Range = [low, high];
  let least = Number.POSITIVE_INFINITY;
  for (let i = CANDIDATES; i > 0; i--) {
    const clip = (reach * i) / CANDIDATES;
    const range: Range = [Math.max(low, -clip), Math.min(high, clip)];
    const from = half + Math.floor(range[0] / width);
    const to = Math.min(half + Math.ceil(range[1] / width), counts.length);
    if (to - from < codes) break;
    const found = divergence(counts, from, to, codes);
    if (found < least) [best, least] = [range, found];
  }
  return best;
}

export const entropy: Observer = {
  name: "entropy",
  summary: "range that changes the distribution least (Kullback-Leibler)",
  range(stats, dtype, symmetric) {
    const full = fullRange(stats, symmetric);
    const codes = searchableCodes(dtype);
    if (codes === undefined || stats.histogram === null || full[0] === full[1]) return full;
    return search(stats.histogram, full, codes);
  },
};
