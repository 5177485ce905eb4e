/** Super-blocks of points of a ternary codebook, shifted up or down by 1/8: iq1_s (shift per 32 values), iq1_m (per 8). */
import { FLT_MAX, finiteHalves, nearestWithin, readHalf, sumOfSquares, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import { bestNeighbour, copyLevels, type Lattice, latticeOf, pointCode } from "./lattice.ts";

const { fround, abs } = Math;

/** What the three levels stand for: shifted up, shifted down. */
const UP = Float32Array.of(-0.875, 0.125, 1.125);
const DOWN = Float32Array.of(-1.125, -0.125, 0.875);

const weights = new Float32Array(32);
const order = new Uint8Array(32);
const levels = new Uint8Array(32);
const indices = new Uint16Array(4);
const scales = new Float32Array(16);

/** Places of the values in ascending order, equal ones in their own order, as `qsort` of glibc leaves them. */
function sortPlaces(x: Float32Array, from: number, n: number): void {
  for (let j = 0; j < n; j++) {
    const value = x[from + j]!;
    let at = j;
    for (; at > 0 && x[from + order[at - 1]!]! > value; at--) order[at] = order[at - 1]!;
    order[at] = j;
  }
}

function largestMagnitude(x: Float32Array, from: number, n: number): number {
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

const split: Split = { first: 0, second: 0, scale: 0, shift: -1 };
let bestScore = 0;

function startSplit(scale: number): void {
  split.scale = scale;
  split.shift = -1;
  bestScore = -FLT_MAX;
}

/** Takes a split where (sum w q x)^2 / (sum w q q) grows. */
function offerSplit(first: number, second: number, shift: number, sumqx: number, sumq2: number): void {
  if (!(sumq2 > 0 && fround(sumqx * sumqx) > fround(bestScore * sumq2))) return;
  split.first = first;
  split.second = second;
  split.shift = shift;
  split.scale = fround(sumqx / sumq2);
  bestScore = fround(split.scale * sumqx);
}

/** Levels of the split; a negative scale turns them and the shifts round, of which `highest` is the last. */
function splitLevels(n: number, highest: number): void {
  for (let j = 0; j < n; j++) levels[order[j]!] = j < split.first ? 0 : j < split.second ? 1 : 2;
  if (!(split.scale < 0)) return;
  for (let j = 0; j < n; j++) levels[j] = 2 - levels[j]!;
  split.scale = -split.scale;
  split.shift = highest - split.shift;
}

/** Set where squares overflow float32, so that no grid point is nearest: what ggml does there is undefined. */
let hasNoCode = false;

/** Grid indices of all groups, the best neighbours of those off the grid. True if all were on it. */
function toGrid(lattice: Lattice, x: Float32Array, from: number, n: number, valuesOf: (k: number) => Float32Array) {
  let all = true;
  for (let k = 0; k < n / 8; k++) {
    const code = pointCode(lattice, levels, 8 * k);
    let index = lattice.indexOf[code]!;
    if (index < 0) {
      all = false;
      index = bestNeighbour(lattice, code, valuesOf(k), x, from + 8 * k, weights, 8 * k, split.scale);
      if (index < 0) hasNoCode = true;
      else copyLevels(lattice, index, levels, 8 * k);
    }
    indices[k] = index;
  }
  return all;
}

/** Scale of least error for the levels; the one before where that has no meaning. */
function scaleOfLevels(x: Float32Array, from: number, n: number, valuesOf: (k: number) => Float32Array): number {
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
const scaleCode = (id: number, scale: number): number =>
  nearestWithin(fround(0.5 * fround(fround(id * scale) - 1)), 0, 7);

const sigma2Of = (x: Float32Array, from: number): number => fround(fround(2 * sumOfSquares(x, from, SUPER)) / SUPER);

const S_SUB = 32;
const S_HIGH = 2 + SUPER / 8;
const S_BYTES = S_HIGH + SUPER / 16;
const S_EPSILON = fround(1e-12);
const sumx = new Float32Array(S_SUB + 1);
const sumw = new Float32Array(S_SUB + 1);

/** Sum over the three parts of a split, each times its value (and once more, for squares). */
const partsX = (i: number, k: number, v: Float32Array): number =>
  fround(
    fround(fround(sumx[i]! * v[0]!) + fround(fround(sumx[k]! - sumx[i]!) * v[1]!)) +
      fround(fround(sumx[S_SUB]! - sumx[k]!) * v[2]!),
  );
const squared = (sum: number, value: number): number => fround(fround(sum * value) * value);
const partsW = (i: number, k: number, v: Float32Array): number =>
  fround(
    fround(squared(sumw[i]!, v[0]!) + squared(fround(sumw[k]! - sumw[i]!), v[1]!)) +
      squared(fround(sumw[S_SUB]! - sumw[k]!), v[2]!),
  );

function searchS(x: Float32Array, from: number): void {
  sortPlaces(x, from, S_SUB);
  for (let j = 0; j < S_SUB; j++) {
    const i = order[j]!;
    sumx[j + 1] = sumx[j]! + fround(weights[i]! * x[from + i]!);
    sumw[j + 1] = sumw[j]! + weights[i]!;
  }
  for (let i = 0; i <= S_SUB; i++)
    for (let k = i; k <= S_SUB; k++) {
      offerSplit(i, k, 0, partsX(i, k, UP), partsW(i, k, UP));
      offerSplit(i, k, 1, partsX(i, k, DOWN), partsW(i, k, DOWN));
    }
}

/** Scale of a sub-block; its grid indices go to the block, its shift to the highest bit of its 16. */
function encodeSubS(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number): number {
  const max = largestMagnitude(x, from, S_SUB);
  if (max < S_EPSILON) return 0;
  startSplit(max);
  searchS(x, from);
  if (split.shift < 0) return 0;
  splitLevels(S_SUB, 1);
  const values = split.shift === 0 ? UP : DOWN;
  const valuesOf = (): Float32Array => values;
  if (!toGrid(lattice, x, from, S_SUB, valuesOf)) split.scale = scaleOfLevels(x, from, S_SUB, valuesOf);
  let high = split.shift << 15;
  for (let k = 0; k < 4; k++) {
    y[to + 2 + 4 * sub + k] = indices[k]!;
    high |= (indices[k]! >> 8) << (3 * k);
  }
  y[to + S_HIGH + 2 * sub] = high;
  y[to + S_HIGH + 2 * sub + 1] = high >> 8;
  if (!(split.scale >= 0)) hasNoCode = true;
  return split.scale;
}

const encodeS: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  const lattice = latticeOf("iq1");
  const sigma2 = sigma2Of(x, from);
  y.fill(0, to, to + S_BYTES);
  hasNoCode = false;
  let most = 0;
  for (let sub = 0; sub < SUPER / S_SUB; sub++) {
    const at = sub * S_SUB;
    weigh(x, from + at, S_SUB, importance, weightsFrom + at, sigma2, weights);
    const scale = encodeSubS(lattice, x, from + at, y, to, sub);
    scales[sub] = scale;
    if (!(most > scale)) most = scale;
  }
  const d = fround(most / 15);
  writeHalf(y, to, fround(d * 1.125));
  const id = fround(1 / d);
  for (let sub = 0; sub < SUPER / S_SUB; sub++) {
    const high = to + S_HIGH + 2 * sub + 1;
    if (most === 0) y[high]! &= 0x7f;
    else y[high]! |= scaleCode(id, scales[sub]!) << 4;
  }
  return !hasNoCode;
};

const decodeS: DecodeBlock = (y, from, x, to) => {
  const lattice = latticeOf("iq1");
  const d = readHalf(y, from);
  for (let sub = 0; sub < SUPER / S_SUB; sub++) {
    const high = y[from + S_HIGH + 2 * sub]! | (y[from + S_HIGH + 2 * sub + 1]! << 8);
    const step = fround(d * (2 * ((high >> 12) & 7) + 1));
    const values = high & 0x8000 ? DOWN : UP;
    for (let k = 0; k < 4; k++) {
      const index = y[from + 2 + 4 * sub + k]! | (((high >> (3 * k)) & 7) << 8);
      decodePoint(lattice, index, step, values, x, to + sub * S_SUB + 8 * k);
    }
  }
};

function decodePoint(lattice: Lattice, index: number, step: number, values: Float32Array, x: Float32Array, to: number) {
  for (let j = 0; j < 8; j++) x[to + j] = step * values[lattice.levels[8 * index + j]!]!;
}

const M_SUB = 16;
const M_SUBS = SUPER / M_SUB;
const M_HIGH = SUPER / 8;
const M_SCALES = M_HIGH + SUPER / 16;
const M_BYTES = M_SCALES + SUPER / 32;
const M_EPSILON = fround(1e-7);
/** Sums of w x and w in sorted order, one row for each half of the sub-block. */
const halfX = [new Float32Array(M_SUB + 1), new Float32Array(M_SUB + 1)] as const;
const halfW = [new Float32Array(M_SUB + 1), new Float32Array(M_SUB + 1)] as const;
const shifts = new Uint8Array(M_SUBS);

/** Values of eight values' levels for a shift of both halves. */
const valuesOfHalf = (shift: number, half: number): Float32Array => ((shift >> (1 - half)) & 1 ? DOWN : UP);

function sumHalves(x: Float32Array, from: number): void {
  for (let j = 0; j < M_SUB; j++) {
    const i = order[j]!;
    const mine = i < 8 ? 0 : 1;
    halfX[mine][j + 1] = halfX[mine][j]! + fround(weights[i]! * x[from + i]!);
    halfW[mine][j + 1] = halfW[mine][j]! + weights[i]!;
    const other = 1 - mine;
    halfX[other]![j + 1] = halfX[other]![j]!;
    halfW[other]![j + 1] = halfW[other]![j]!;
  }
}

/** [half][up, down]: the sum of w q x and that of w q q for one split. */
const qx = new Float32Array(4);
const q2 = new Float32Array(4);

/** Neighbouring values differ by 1, so the parts of a split collapse to the whole times the highest value less two sums. */
function fillHalf(half: 0 | 1, i: number, k: number): void {
  const sums = halfX[half];
  const sumsW = halfW[half];
  const both = fround(sums[i]! + sums[k]!);
  qx[2 * half] = fround(sums[M_SUB]! * 1.125) - both;
  qx[2 * half + 1] = fround(sums[M_SUB]! * 0.875) - both;
  q2[2 * half] = fround(squared(sumsW[M_SUB]!, 1.125) + fround(sumsW[i]! * 0.75)) + fround(sumsW[k]! * -1.25);
  q2[2 * half + 1] = fround(squared(sumsW[M_SUB]!, 0.875) + fround(sumsW[i]! * 1.25)) + fround(sumsW[k]! * -0.75);
}

function searchM(x: Float32Array, from: number): void {
  sortPlaces(x, from, M_SUB);
  sumHalves(x, from);
  for (let i = 0; i <= M_SUB; i++)
    for (let k = i; k <= M_SUB; k++) {
      fillHalf(0, i, k);
      fillHalf(1, i, k);
      for (let shift = 0; shift < 4; shift++) {
        const [first, second] = [shift >> 1, 2 + (shift & 1)];
        offerSplit(i, k, shift, fround(qx[first]! + qx[second]!), fround(q2[first]! + q2[second]!));
      }
    }
}

/** Scale of a sub-block; its grid indices go to the block, its shifts to `shifts`. */
function encodeSubM(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number): number {
  shifts[sub] = 0;
  const max = largestMagnitude(x, from, M_SUB);
  if (max < M_EPSILON) return 0;
  startSplit(max);
  searchM(x, from);
  if (split.shift < 0) return 0;
  splitLevels(M_SUB, 3);
  const valuesOf = (k: number): Float32Array => valuesOfHalf(split.shift, k);
  if (!toGrid(lattice, x, from, M_SUB, valuesOf)) split.scale = scaleOfLevels(x, from, M_SUB, valuesOf);
  y[to + 2 * sub] = indices[0]!;
  y[to + 2 * sub + 1] = indices[1]!;
  y[to + M_HIGH + sub] = (indices[0]! >> 8) | ((indices[1]! >> 8) << 4);
  shifts[sub] = split.shift;
  if (!(split.scale >= 0)) hasNoCode = true;
  return split.scale;
}

/** The point of one half of a sub-block as stored. */
const pointOf = (y: Uint8Array, at: number, sub: number, half: number): number =>
  y[at + 2 * sub + half]! | (((y[at + M_HIGH + sub]! >> (4 * half)) & 7) << 8);

let allqx = 0;
let allq2 = 0;

/** Adds the sums of w q x and w q q of a sub-block whose scale has the code l. */
function addSub(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number, l: number) {
  for (let i = 0; i < M_SUB; i++) {
    const half = i >> 3;
    const level = lattice.levels[8 * pointOf(y, to, sub, half) + (i & 7)]!;
    const q = fround(valuesOfHalf(shifts[sub]!, half)[level]! * (2 * l + 1));
    const wq = fround(weights[i]! * q);
    allqx = fround(allqx + fround(wq * x[from + i]!));
    allq2 = fround(allq2 + fround(wq * q));
  }
}

/** Twelve bits of four 16-bit words hold three bits of each scale, their upper four bits d. */
function writeScale(y: Uint8Array, to: number, sub: number, code: number): void {
  const at = to + M_SCALES + 2 * (sub >> 2);
  const word = code << (3 * (sub & 3));
  y[at]! |= word;
  y[at + 1]! |= word >> 8;
}

const half = new Uint8Array(2);

function writeD(y: Uint8Array, to: number, d: number): void {
  writeHalf(half, 0, d);
  const bits = half[0]! | (half[1]! << 8);
  for (let word = 0; word < 4; word++) y[to + M_SCALES + 2 * word + 1]! |= ((bits >> (4 * word)) & 15) << 4;
}

function readD(y: Uint8Array, from: number): number {
  let bits = 0;
  for (let word = 0; word < 4; word++) bits |= (y[from + M_SCALES + 2 * word + 1]! >> 4) << (4 * word);
  half[0] = bits;
  half[1] = bits >> 8;
  return readHalf(half, 0);
}

const encodeM: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  const lattice = latticeOf("iq1");
  const sigma2 = sigma2Of(x, from);
  y.fill(0, to, to + M_BYTES);
  hasNoCode = false;
  const weighSub = (sub: number): void =>
    weigh(x, from + sub * M_SUB, M_SUB, importance, weightsFrom + sub * M_SUB, sigma2, weights);
  let most = 0;
  for (let sub = 0; sub < M_SUBS; sub++) {
    weighSub(sub);
    const scale = encodeSubM(lattice, x, from + sub * M_SUB, y, to, sub);
    scales[sub] = scale;
    if (!(most > scale)) most = scale;
  }
  if (most === 0) return !hasNoCode;
  const d = fround(most / 15);
  const id = fround(1 / d);
  allqx = 0;
  allq2 = 0;
  for (let sub = 0; sub < M_SUBS; sub++) {
    const code = scaleCode(id, scales[sub]!);
    writeScale(y, to, sub, code);
    y[to + M_HIGH + sub]! |= ((shifts[sub]! & 2) << 2) | ((shifts[sub]! & 1) << 7);
    weighSub(sub);
    addSub(lattice, x, from + sub * M_SUB, y, to, sub, code);
  }
  writeD(y, to, fround((allq2 > 0 ? fround(allqx / allq2) : d) * fround(1.1125)));
  return !hasNoCode;
};

const decodeM: DecodeBlock = (y, from, x, to) => {
  const lattice = latticeOf("iq1");
  const d = readD(y, from);
  for (let sub = 0; sub < M_SUBS; sub++) {
    const at = from + M_SCALES + 2 * (sub >> 2);
    const code = ((y[at]! | (y[at + 1]! << 8)) >> (3 * (sub & 3))) & 7;
    const step = fround(d * (2 * code + 1));
    for (let h = 0; h < 2; h++) {
      const values = (y[from + M_HIGH + sub]! >> (3 + 4 * h)) & 1 ? DOWN : UP;
      decodePoint(lattice, pointOf(y, from, sub, h), step, values, x, to + sub * M_SUB + 8 * h);
    }
  }
};

export const iq1_s: GgmlFormat = {
  typeId: 19,
  block: SUPER,
  bytes: 2 + SUPER / 8 + SUPER / 16,
  importance: "required",
  encode: encodeSupers(SUPER, S_BYTES, encodeS),
  decode: decodeBlocks(SUPER, S_BYTES, decodeS),
  hasFiniteScales: finiteHalves(0),
};

export const iq1_m: GgmlFormat = {
  typeId: 29,
  block: SUPER,
  bytes: SUPER / 8 + SUPER / 16 + SUPER / 32,
  importance: "demanded",
  encode: encodeSupers(SUPER, M_BYTES, encodeM),
  decode: decodeBlocks(SUPER, M_BYTES, decodeM),
  hasFiniteScales: (y, at) => Number.isFinite(readD(y, at)),
};
