/** What iq1_s and iq1_m share: values of three levels in a grid, shifted up or down by 1/8, split by an exhaustive search. */
import { FLT_MAX, nearestWithin, sumOfSquares } from "./float.ts";
import { SUPER } from "./format.ts";
import { bestNeighbour, copyLevels, type Lattice, pointCode } from "./lattice.ts";

const { fround, abs } = Math;

/** What the three levels stand for, shifted up. */
export const UP = Float32Array.of(-0.875, 0.125, 1.125);
/** The same shifted down. */
export const DOWN = Float32Array.of(-1.125, -0.125, 0.875);

/** Weights of the sub-block at hand. */
export const weights = new Float32Array(32);
/** Places of its values in ascending order. */
export const order = new Uint8Array(32);
/** Its levels, 0 to 2. */
export const levels = new Uint8Array(32);
/** Grid index of each eight of its values. */
export const indices = new Uint16Array(4);
/** Scales of all sub-blocks. */
export const scales = new Float32Array(16);

/** Places of the values in ascending order, equal ones in their own order, as `qsort` of glibc leaves them. */
export function sortPlaces(x: Float32Array, from: number, n: number): void {
  for (let j = 0; j < n; j++) {
    const value = x[from + j]!;
    let at = j;
    for (; at > 0 && x[from + order[at - 1]!]! > value; at--) order[at] = order[at - 1]!;
    order[at] = j;
  }
}

/** Largest magnitude of n values. */
export function largestMagnitude(x: Float32Array, from: number, n: number): number {
  let most = abs(x[from]!);
  for (let i = from + 1; i < from + n; i++) if (!(most > abs(x[i]!))) most = abs(x[i]!);
  return most;
}

/** The best split of the sorted values: those before `first` get level 0, those from `second` on level 2; `shift` -1 if none. */
interface Split {
  first: number;
  second: number;
  scale: number;
  /** Which shifts: iq1_s 0 up, 1 down; iq1_m bit 1 for the first eight values, bit 0 for the second. */
  shift: number;
}

/** The split that was found. */
export const split: Split = { first: 0, second: 0, scale: 0, shift: -1 };
let bestScore = 0;

/** Forgets the split before; `scale` is what stays if none is found. */
export function startSplit(scale: number): void {
  split.scale = scale;
  split.shift = -1;
  bestScore = -FLT_MAX;
}

/** Takes a split where (sum w q x)^2 / (sum w q q) grows. */
export function offerSplit(first: number, second: number, shift: number, sumqx: number, sumq2: number): void {
  if (!(sumq2 > 0 && fround(sumqx * sumqx) > fround(bestScore * sumq2))) return;
  split.first = first;
  split.second = second;
  split.shift = shift;
  split.scale = fround(sumqx / sumq2);
  bestScore = fround(split.scale * sumqx);
}

/** Levels of the split; a negative scale turns them and the shifts round, of which `highest` is the last. */
export function splitLevels(n: number, highest: number): void {
  for (let j = 0; j < n; j++) levels[order[j]!] = j < split.first ? 0 : j < split.second ? 1 : 2;
  if (!(split.scale < 0)) return;
  for (let j = 0; j < n; j++) levels[j] = 2 - levels[j]!;
  split.scale = -split.scale;
  split.shift = highest - split.shift;
}

/** Set where squares overflow float32, so that no grid point is nearest: what ggml does there is undefined. */
export const state = { hasNoCode: false };

/** Grid indices of all groups, the best neighbours of those off the grid. True if all were on it. */
export function toGrid(
  lattice: Lattice,
  x: Float32Array,
  from: number,
  n: number,
  valuesOf: (k: number) => Float32Array,
) {
  let all = true;
  for (let k = 0; k < n / 8; k++) {
    const code = pointCode(lattice, levels, 8 * k);
    let index = lattice.indexOf[code]!;
    if (index < 0) {
      all = false;
      index = bestNeighbour(lattice, code, valuesOf(k), x, from + 8 * k, weights, 8 * k, split.scale);
      if (index < 0) state.hasNoCode = true;
      else copyLevels(lattice, index, levels, 8 * k);
    }
    indices[k] = index;
  }
  return all;
}

/** Scale of least error for the levels; the one before where that has no meaning. */
export function scaleOfLevels(x: Float32Array, from: number, n: number, valuesOf: (k: number) => Float32Array): number {
  let sumqx = 0;
  let sumq2 = 0;
  for (let i = 0; i < n; i++) {
    const q = valuesOf(i >> 3)[levels[i]!]!;
    const wq = fround(weights[i]! * q);
    sumqx = fround(sumqx + fround(wq * x[from + i]!));
    sumq2 = fround(sumq2 + fround(wq * q));
  }
  return sumqx > 0 && sumq2 > 0 ? fround(sumqx / sumq2) : split.scale;
}

/** Codes of scales d (2 l + 1), l from 0 to 7. */
export const scaleCode = (id: number, scale: number): number =>
  nearestWithin(fround(0.5 * fround(fround(id * scale) - 1)), 0, 7);

/** Twice the mean square of a super-block. */
export const sigma2Of = (x: Float32Array, from: number): number =>
  fround(fround(2 * sumOfSquares(x, from, SUPER)) / SUPER);

/** Writes eight values of a grid point. */
export function decodePoint(
  lattice: Lattice,
  index: number,
  step: number,
  values: Float32Array,
  x: Float32Array,
  to: number,
) {
  for (let j = 0; j < 8; j++) x[to + j] = step * values[lattice.levels[8 * index + j]!]!;
}

/** The sum times the square of a value, in C's order. */
export const squared = (sum: number, value: number): number => fround(fround(sum * value) * value);
