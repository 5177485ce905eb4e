/** iq1_s: eleven bits of a ternary codebook for eight values, a scale and a shift for 32. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { infiniteHalf, readHalf, weigh, writeHalf } from "./float.ts";
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
const SUB = 32;
const HIGH = 2 + SUPER / 8;
const BYTES = HIGH + SUPER / 16;
const EPSILON = fround(1e-12);
/** Places of one row of sums, NaN behind the last, so that four can be read at once. */
const ROOM = 40;
const sums = new Float32Array(2 * ROOM).fill(0, 0, 1).fill(Number.NaN, SUB + 1, ROOM);
sums.fill(Number.NaN, ROOM + SUB + 1);
const sumx = sums.subarray(0, SUB + 1);
const sumw = sums.subarray(ROOM, ROOM + SUB + 1);

/** Sum over the three parts of a split, each times its value (and once more, for squares). */
const partsX = (i: number, k: number, v: Float32Array): number =>
  fround(
    fround(fround(sumx[i]! * v[0]!) + fround(fround(sumx[k]! - sumx[i]!) * v[1]!)) +
      fround(fround(sumx[SUB]! - sumx[k]!) * v[2]!),
  );
const partsW = (i: number, k: number, v: Float32Array): number =>
  fround(
    fround(squared(sumw[i]!, v[0]!) + squared(fround(sumw[k]! - sumw[i]!), v[1]!)) +
      squared(fround(sumw[SUB]! - sumw[k]!), v[2]!),
  );

/** Sums of w x and w of the sorted values. */
function sumSorted(x: Float32Array, from: number): void {
  sortPlaces(x, from, SUB);
  for (let j = 0; j < SUB; j++) {
    const i = order[j]!;
    sumx[j + 1] = sumx[j]! + fround(weights[i]! * x[from + i]!);
    sumw[j + 1] = sumw[j]! + weights[i]!;
  }
}

/** Offers every split: shift 0 is up, 1 down. */
function trySplitsS(): void {
  for (let i = 0; i <= SUB; i++)
    for (let k = i; k <= SUB; k++) {
      offerSplit(i, k, 0, partsX(i, k, UP), partsW(i, k, UP));
      offerSplit(i, k, 1, partsX(i, k, DOWN), partsW(i, k, DOWN));
    }
}

/** Scale of a sub-block; its grid indices go to the block, its shift to the highest bit of its 16. */
function encodeSub(lattice: Lattice, x: Float32Array, from: number, y: Uint8Array, to: number, sub: number): number {
  const max = largestMagnitude(x, from, SUB);
  if (max < EPSILON) return 0;
  startSplit(max);
  sumSorted(x, from);
  trySplitsS();
  if (split.shift < 0) return 0;
  splitLevels(SUB, 1);
  const values = split.shift === 0 ? UP : DOWN;
  const valuesOf = (): Float32Array => values;
  if (!toGrid(lattice, x, from, SUB, valuesOf)) split.scale = scaleOfLevels(x, from, SUB, valuesOf);
  let high = split.shift << 15;
  for (let k = 0; k < 4; k++) {
    y[to + 2 + 4 * sub + k] = indices[k]!;
    high |= (indices[k]! >> 8) << (3 * k);
  }
  y[to + HIGH + 2 * sub] = high;
  y[to + HIGH + 2 * sub + 1] = high >> 8;
  if (!(split.scale >= 0)) state.hasNoCode = true;
  return split.scale;
}

const encodeSuper: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  const lattice = latticeOf("iq1");
  const sigma2 = sigma2Of(x, from);
  y.fill(0, to, to + BYTES);
  state.hasNoCode = false;
  let most = 0;
  for (let sub = 0; sub < SUPER / SUB; sub++) {
    const at = sub * SUB;
    weigh(x, from + at, SUB, importance, weightsFrom + at, sigma2, weights);
    const scale = encodeSub(lattice, x, from + at, y, to, sub);
    scales[sub] = scale;
    if (!(most > scale)) most = scale;
  }
  const d = fround(most / 15);
  writeHalf(y, to, fround(d * 1.125));
  const id = fround(1 / d);
  for (let sub = 0; sub < SUPER / SUB; sub++) {
    const high = to + HIGH + 2 * sub + 1;
    if (most === 0) y[high]! &= 0x7f;
    else y[high]! |= scaleCode(id, scales[sub]!) << 4;
  }
  return !state.hasNoCode;
};

const decodeSuper: DecodeBlock = (y, from, x, to) => {
  const lattice = latticeOf("iq1");
  const d = readHalf(y, from);
  for (let sub = 0; sub < SUPER / SUB; sub++) {
    const high = y[from + HIGH + 2 * sub]! | (y[from + HIGH + 2 * sub + 1]! << 8);
    const step = fround(d * (2 * ((high >> 12) & 7) + 1));
    const values = high & 0x8000 ? DOWN : UP;
    for (let k = 0; k < 4; k++) {
      const index = y[from + 2 + 4 * sub + k]! | (((high >> (3 * k)) & 7) << 8);
      decodePoint(lattice, index, step, values, x, to + sub * SUB + 8 * k);
    }
  }
};

/** 1.5625 bits per value; needs importance. */
export const iq1_s: GgmlFormat = {
  ...GGML_TYPES.iq1_s,
  importance: "required",
  encode: encodeSupers(SUPER, BYTES, encodeSuper),
  decode: decodeBlocks(SUPER, BYTES, decodeSuper),
  firstInfinite: infiniteHalf(BYTES, 0),
};
