/** iq1_m: eleven bits of a ternary codebook and a shift for eight values, a scale for 16, d in what the scales leave free. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { readHalf, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import {
  DOWN,
  decodePoint,
  indices,
  largestMagnitude,
  offerSplit,
  order,
  scaleCode,
  scaleOfLevels,
  scales,
  sigma2Of,
  sortPlaces,
  split,
  splitLevels,
  squared,
  startSplit,
  state,
  toGrid,
  UP,
  weights,
} from "./iq1-search.ts";
import { type Lattice, latticeOf } from "./lattice.ts";

const { fround } = Math;
const SUB = 16;
const SUBS = SUPER / SUB;
const HIGH = SUPER / 8;
const SCALES = HIGH + SUPER / 16;
const BYTES = SCALES + SUPER / 32;
const EPSILON = fround(1e-7);
/** Places of one row of sums, NaN behind the last, so that four can be read at once. */
const ROOM = 24;
const sums = new Float32Array(4 * ROOM).fill(Number.NaN);
const rowOf = (row: number): Float32Array => sums.subarray(row * ROOM, row * ROOM + SUB + 1).fill(0);
/** Sums of w x and w in sorted order, one row for each half of the sub-block. */
const halfX = [rowOf(0), rowOf(1)] as const;
const halfW = [rowOf(2), rowOf(3)] as const;
const shifts = new Uint8Array(SUBS);

/** Values of eight values' levels for a shift of both halves. */
const valuesOfHalf = (shift: number, half: number): Float32Array => ((shift >> (1 - half)) & 1 ? DOWN : UP);

function sumHalves(x: Float32Array, from: number): void {
  for (let j = 0; j < SUB; j++) {
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
  const sumsX = halfX[half];
  const sumsW = halfW[half];
  const both = fround(sumsX[i]! + sumsX[k]!);
  qx[2 * half] = fround(sumsX[SUB]! * 1.125) - both;
  qx[2 * half + 1] = fround(sumsX[SUB]! * 0.875) - both;
  q2[2 * half] = fround(squared(sumsW[SUB]!, 1.125) + fround(sumsW[i]! * 0.75)) + fround(sumsW[k]! * -1.25);
  q2[2 * half + 1] = fround(squared(sumsW[SUB]!, 0.875) + fround(sumsW[i]! * 1.25)) + fround(sumsW[k]! * -0.75);
}

/** Offers every split: bit 1 of a shift says down for the first half, bit 0 for the second. */
function trySplitsM(): void {
  for (let i = 0; i <= SUB; i++)
    for (let k = i; k <= SUB; k++) {
      fillHalf(0, i, k);
      fillHalf(1, i, k);
      for (let shift = 0; shift < 4; shift++) {
        const [first, second] = [shift >> 1, 2 + (shift & 1)];
        offerSplit(i, k, shift, fround(qx[first]! + qx[second]!), fround(q2[first]! + q2[second]!));
      }
    }
}

/** Scale of a sub-block; its grid indices go to the block, its shifts to `shifts`. */
function encodeSub(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number): number {
  shifts[sub] = 0;
  const max = largestMagnitude(x, from, SUB);
  if (max < EPSILON) return 0;
  startSplit(max);
  sortPlaces(x, from, SUB);
  sumHalves(x, from);
  trySplitsM();
  if (split.shift < 0) return 0;
  splitLevels(SUB, 3);
  const valuesOf = (k: number): Float32Array => valuesOfHalf(split.shift, k);
  if (!toGrid(lattice, x, from, SUB, valuesOf)) split.scale = scaleOfLevels(x, from, SUB, valuesOf);
  y[to + 2 * sub] = indices[0]!;
  y[to + 2 * sub + 1] = indices[1]!;
  y[to + HIGH + sub] = (indices[0]! >> 8) | ((indices[1]! >> 8) << 4);
  shifts[sub] = split.shift;
  if (!(split.scale >= 0)) state.hasNoCode = true;
  return split.scale;
}

/** The point of one half of a sub-block as stored. */
const pointOf = (y: Uint8Array, at: number, sub: number, half: number): number =>
  y[at + 2 * sub + half]! | (((y[at + HIGH + sub]! >> (4 * half)) & 7) << 8);

let allqx = 0;
let allq2 = 0;

/** Adds the sums of w q x and w q q of a sub-block whose scale has the code l. */
function addSub(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number, l: number) {
  for (let i = 0; i < SUB; i++) {
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
  const at = to + SCALES + 2 * (sub >> 2);
  const word = code << (3 * (sub & 3));
  y[at]! |= word;
  y[at + 1]! |= word >> 8;
}

const half = new Uint8Array(2);

function writeD(y: Uint8Array, to: number, d: number): void {
  writeHalf(half, 0, d);
  const bits = half[0]! | (half[1]! << 8);
  for (let word = 0; word < 4; word++) y[to + SCALES + 2 * word + 1]! |= ((bits >> (4 * word)) & 15) << 4;
}

function readD(y: Uint8Array, from: number): number {
  let bits = 0;
  for (let word = 0; word < 4; word++) bits |= (y[from + SCALES + 2 * word + 1]! >> 4) << (4 * word);
  half[0] = bits;
  half[1] = bits >> 8;
  return readHalf(half, 0);
}

const encodeSuper: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  const lattice = latticeOf("iq1");
  const sigma2 = sigma2Of(x, from);
  y.fill(0, to, to + BYTES);
  state.hasNoCode = false;
  const weighSub = (sub: number): void =>
    weigh(x, from + sub * SUB, SUB, importance, weightsFrom + sub * SUB, sigma2, weights);
  let most = 0;
  for (let sub = 0; sub < SUBS; sub++) {
    weighSub(sub);
    const scale = encodeSub(lattice, x, from + sub * SUB, y, to, sub);
    scales[sub] = scale;
    if (!(most > scale)) most = scale;
  }
  if (most === 0) return !state.hasNoCode;
  const d = fround(most / 15);
  const id = fround(1 / d);
  allqx = 0;
  allq2 = 0;
  for (let sub = 0; sub < SUBS; sub++) {
    const code = scaleCode(id, scales[sub]!);
    writeScale(y, to, sub, code);
    y[to + HIGH + sub]! |= ((shifts[sub]! & 2) << 2) | ((shifts[sub]! & 1) << 7);
    weighSub(sub);
    addSub(lattice, x, from + sub * SUB, y, to, sub, code);
  }
  writeD(y, to, fround((allq2 > 0 ? fround(allqx / allq2) : d) * fround(1.1125)));
  return !state.hasNoCode;
};

const decodeSuper: DecodeBlock = (y, from, x, to) => {
  const lattice = latticeOf("iq1");
  const d = readD(y, from);
  for (let sub = 0; sub < SUBS; sub++) {
    const at = from + SCALES + 2 * (sub >> 2);
    const code = ((y[at]! | (y[at + 1]! << 8)) >> (3 * (sub & 3))) & 7;
    const step = fround(d * (2 * code + 1));
    for (let h = 0; h < 2; h++) {
      const values = (y[from + HIGH + sub]! >> (3 + 4 * h)) & 1 ? DOWN : UP;
      decodePoint(lattice, pointOf(y, from, sub, h), step, values, x, to + sub * SUB + 8 * h);
    }
  }
};

/** 1.75 bits per value. */
export const iq1_m: GgmlFormat = {
  ...GGML_TYPES.iq1_m,
  importance: "demanded",
  encode: encodeSupers(SUPER, BYTES, encodeSuper),
  decode: decodeBlocks(SUPER, BYTES, decodeSuper),
  firstInfinite(y) {
    for (let at = 0; at < y.length; at += BYTES) if (!Number.isFinite(readD(y, at))) return at / BYTES;
    return -1;
  },
};
