/** What q2_k, q4_k and q5_k share: super-blocks whose sub-blocks have a scale and a minimum, x = d scale code - dmin min. */
import type { GgmlTypeRow } from "../../numeric/ggml-types.ts";
import { infiniteHalf, nearestInt, nearestWithin, readHalf, sumOfSquares, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import { type AffineSearch, makeQkxQuants } from "./make-qkx.ts";
import { makeQpQuants } from "./make-qp.ts";

const { fround, abs } = Math;

/** Codes of the super-block at hand. */
export const codes = new Uint8Array(SUPER);
const weights = new Float32Array(32);
const scales = new Float32Array(16);
const mins = new Float32Array(16);
const sumWeights = new Float32Array(16);
/** Codes of the scales of its sub-blocks. */
export const scaleCodes = new Uint8Array(16);
/** Codes of their minima. */
export const minCodes = new Uint8Array(16);

/** What the three formats differ in. `scaleTop` is the highest code of a scale and of a minimum. */
export interface KRow extends GgmlTypeRow {
  readonly sub: 16 | 32;
  readonly top: number;
  readonly scaleTop: number;
  readonly plain: AffineSearch;
  /** Whether codes of scales and minima are held below `scaleTop`, without and with importance; else bits run over. */
  readonly clamps: readonly [boolean, boolean];
  /** Weights of a sub-block when there is no importance matrix. */
  plainWeights(x: Float32Array, from: number): void;
  /** sigma2 from the sum of the squares of the super-block. */
  sigma2(sum: number): number;
  /** Places of the two halves, d and dmin. */
  readonly at: number;
  packScales(y: Uint8Array, to: number): void;
  /** `scaleCodes` and `minCodes` from the block. */
  unpackScales(y: Uint8Array, from: number): void;
  packCodes(y: Uint8Array, to: number): void;
  unpackCodes(y: Uint8Array, from: number): void;
}

/** Weights |x|. */
export function magnitudes(x: Float32Array, from: number): void {
  for (let i = 0; i < 16; i++) weights[i] = abs(x[from + i]!);
}

/** Weights root mean square of the sub-block + |x|. */
export function raisedMagnitudes(x: Float32Array, from: number): void {
  const mean = fround(Math.sqrt(fround(sumOfSquares(x, from, 32) / 32)));
  for (let i = 0; i < 32; i++) weights[i] = mean + abs(x[from + i]!);
}

/** Codes on the grid from 0 to the largest value, cut to bytes as the C code does; answers the step of the grid. */
function gridCodes(values: Float32Array, n: number, top: number, out: Uint8Array): number {
  let most = 0;
  for (let i = 0; i < n; i++) if (values[i]! > most) most = values[i]!;
  const inverse = most > 0 ? fround(top / most) : 0;
  for (let i = 0; i < n; i++) out[i] = nearestInt(fround(inverse * values[i]!));
  return fround(most / top);
}

/** Codes again, for the scales and minima that the block really holds; a sub-block whose scale is zero keeps its own. */
function requantize(row: KRow, x: Float32Array, from: number, y: Uint8Array, to: number): void {
  const d = readHalf(y, to + row.at);
  const dmin = readHalf(y, to + row.at + 2);
  row.unpackScales(y, to);
  for (let j = 0; j < SUPER / row.sub; j++) {
    const scale = fround(d * scaleCodes[j]!);
    if (scale === 0) continue;
    const min = fround(dmin * minCodes[j]!);
    for (let i = j * row.sub; i < (j + 1) * row.sub; i++)
      codes[i] = nearestWithin(fround(fround(x[from + i]! + min) / scale), 0, row.top);
  }
}

function clampScales(top: number): void {
  for (let j = 0; j < 16; j++) {
    if (scaleCodes[j]! > top) scaleCodes[j] = top;
    if (minCodes[j]! > top) minCodes[j] = top;
  }
}

/** Scales and minima of the sub-blocks, rounded to a grid up to the largest of them. */
function plainScales(row: KRow, x: Float32Array, from: number, y: Uint8Array, to: number): void {
  const n = SUPER / row.sub;
  for (let j = 0; j < n; j++) {
    const start = from + j * row.sub;
    row.plainWeights(x, start);
    scales[j] = makeQkxQuants(row.plain, x, start, weights, codes, j * row.sub, mins, j);
  }
  writeHalf(y, to + row.at, gridCodes(scales, n, row.scaleTop, scaleCodes));
  writeHalf(y, to + row.at + 2, gridCodes(mins, n, row.scaleTop, minCodes));
}

/** The same by importance, scales and minima too: each sub-block counts by the sum of its weights. */
function weightedScales(
  row: KRow,
  x: Float32Array,
  from: number,
  y: Uint8Array,
  to: number,
  importance: Float32Array,
  weightsFrom: number,
): void {
  const { sub, scaleTop } = row;
  const n = SUPER / sub;
  const search = WEIGHTED[sub][row.top]!;
  const sigma2 = row.sigma2(sumOfSquares(x, from, SUPER));
  for (let j = 0; j < n; j++) {
    const start = from + j * sub;
    weigh(x, start, sub, importance, weightsFrom + j * sub, sigma2, weights);
    let sum = 0;
    for (let i = 0; i < sub; i++) sum = fround(sum + weights[i]!);
    sumWeights[j] = sum;
    scales[j] = makeQkxQuants(search, x, start, weights, codes, j * sub, mins, j);
  }
  writeHalf(y, to + row.at, makeQpQuants(n, scaleTop, scales, scaleCodes, sumWeights));
  writeHalf(y, to + row.at + 2, makeQpQuants(n, scaleTop, mins, minCodes, sumWeights));
}

const encodeSuper =
  (row: KRow): EncodeSuper =>
  (x, from, y, to, importance, weightsFrom) => {
    if (importance === undefined) plainScales(row, x, from, y, to);
    else weightedScales(row, x, from, y, to, importance, weightsFrom);
    if (row.clamps[importance === undefined ? 0 : 1]) clampScales(row.scaleTop);
    row.packScales(y, to);
    requantize(row, x, from, y, to);
    row.packCodes(y, to);
    return true;
  };

const decodeSuper =
  (row: KRow): DecodeBlock =>
  (y, from, x, to) => {
    const d = readHalf(y, from + row.at);
    const dmin = readHalf(y, from + row.at + 2);
    row.unpackScales(y, from);
    row.unpackCodes(y, from);
    for (let j = 0; j < SUPER / row.sub; j++) {
      const scale = fround(d * scaleCodes[j]!);
      const min = fround(dmin * minCodes[j]!);
      for (let i = j * row.sub; i < (j + 1) * row.sub; i++) x[to + i] = fround(scale * codes[i]!) - min;
    }
  };

/** The format that a row describes. */
export const formatOf = (row: KRow): GgmlFormat => ({
  id: row.id,
  block: row.block,
  bytes: row.bytes,
  importance: "used",
  encode: encodeSupers(SUPER, row.bytes, encodeSuper(row)),
  decode: decodeBlocks(SUPER, row.bytes, decodeSuper(row)),
  firstInfinite: infiniteHalf(row.bytes, row.at, row.at + 2),
});

/** Settings of a search, constants as float32. */
export const search = (
  n: 16 | 32,
  top: number,
  first: number,
  step: number,
  steps: number,
  absolute = false,
): AffineSearch => ({
  n,
  top,
  first: fround(first),
  step: fround(step),
  steps,
  absolute,
});

/** Searches with importance, by length of the sub-block and highest code. */
const WEIGHTED: Readonly<Record<16 | 32, Readonly<Record<number, AffineSearch>>>> = {
  16: { 3: search(16, 3, -0.9, 0.05, 36) },
  32: { 15: search(32, 15, -0.9, 0.05, 36), 31: search(32, 31, -0.9, 0.05, 36) },
};
