/** Super-blocks of 256 values whose sub-blocks have a scale and a minimum: q2_k, q4_k, q5_k. */
import { finiteHalves, nearestInt, nearestWithin, readHalf, sumOfSquares, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import { type AffineSearch, makeQkxQuants, makeQpQuants } from "./searches.ts";

const { fround, abs } = Math;

const codes = new Uint8Array(SUPER);
const weights = new Float32Array(32);
const scales = new Float32Array(16);
const mins = new Float32Array(16);
const sumWeights = new Float32Array(16);
const scaleCodes = new Uint8Array(16);
const minCodes = new Uint8Array(16);

/** What the three formats differ in. `scaleTop` is the highest code of a scale and of a minimum. */
interface KRow {
  readonly typeId: number;
  readonly bytes: number;
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

/** |x|. */
function magnitudes(x: Float32Array, from: number): void {
  for (let i = 0; i < 16; i++) weights[i] = abs(x[from + i]!);
}

/** Root mean square of the sub-block, plus |x|. */
function raisedMagnitudes(x: Float32Array, from: number): void {
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

const formatOf = (row: KRow): GgmlFormat => ({
  typeId: row.typeId,
  block: SUPER,
  bytes: row.bytes,
  importance: "used",
  encode: encodeSupers(SUPER, row.bytes, encodeSuper(row)),
  decode: decodeBlocks(SUPER, row.bytes, decodeSuper(row)),
  hasFiniteScales: finiteHalves(row.at, row.at + 2),
});

const search = (
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

/** Bytes of the eight 6-bit scales and minima of q4_k and q5_k, behind d and dmin. */
const SCALES_AT = 2 + 2;
const SCALE_BYTES = 12;

/** The first four scales and minima take the low 6 bits of eight bytes, the others nibbles and those bytes' high bits. */
function packSixBits(y: Uint8Array, to: number): void {
  const at = to + SCALES_AT;
  for (let j = 0; j < 4; j++) {
    y[at + j] = scaleCodes[j]! | ((scaleCodes[j + 4]! >> 4) << 6);
    y[at + j + 4] = minCodes[j]! | ((minCodes[j + 4]! >> 4) << 6);
    y[at + j + 8] = (scaleCodes[j + 4]! & 15) | ((minCodes[j + 4]! & 15) << 4);
  }
}

function unpackSixBits(y: Uint8Array, from: number): void {
  const at = from + SCALES_AT;
  for (let j = 0; j < 4; j++) {
    scaleCodes[j] = y[at + j]! & 63;
    minCodes[j] = y[at + j + 4]! & 63;
    scaleCodes[j + 4] = (y[at + j + 8]! & 15) | ((y[at + j]! >> 6) << 4);
    minCodes[j + 4] = (y[at + j + 8]! >> 4) | ((y[at + j + 4]! >> 6) << 4);
  }
}

/** Byte l of a run of 32 holds codes l and l + 32 of 64. */
function packNibbles(y: Uint8Array, at: number): void {
  for (let j = 0; j < SUPER; j += 64)
    for (let l = 0; l < 32; l++) y[at + j / 2 + l] = (codes[j + l]! & 15) | ((codes[j + l + 32]! & 15) << 4);
}

function unpackNibbles(y: Uint8Array, at: number): void {
  for (let j = 0; j < SUPER; j += 64)
    for (let l = 0; l < 32; l++) {
      codes[j + l] = y[at + j / 2 + l]! & 15;
      codes[j + l + 32] = y[at + j / 2 + l]! >> 4;
    }
}

/** Byte l of a run of 32 holds codes l, l + 32, l + 64 and l + 96 of 128. */
export function packPairs(from: Uint8Array, y: Uint8Array, at: number): void {
  for (let j = 0; j < SUPER; j += 128)
    for (let l = j; l < j + 32; l++)
      y[at + j / 4 + l - j] = from[l]! | (from[l + 32]! << 2) | (from[l + 64]! << 4) | (from[l + 96]! << 6);
}

/** Two bits of each code, see `packPairs`. */
export function unpackPairs(y: Uint8Array, at: number, out: Uint8Array): void {
  for (let j = 0; j < SUPER; j += 128)
    for (let l = 0; l < 128; l++) out[j + l] = (y[at + j / 4 + (l & 31)]! >> (2 * (l >> 5))) & 3;
}

/** Where q2_k's codes lie: behind 16 bytes of scales and minima. d and dmin end the block. */
const Q2_CODES = SUPER / 16;

export const q2_k = formatOf({
  typeId: 10,
  bytes: SUPER / 16 + SUPER / 4 + 2 + 2,
  sub: 16,
  top: 3,
  scaleTop: 15,
  plain: search(16, 3, -0.5, 0.1, 15, true),
  clamps: [false, false],
  plainWeights: magnitudes,
  sigma2: (sum) => fround(sum / SUPER),
  at: SUPER / 16 + SUPER / 4,
  packScales(y, to) {
    for (let j = 0; j < 16; j++) y[to + j] = scaleCodes[j]! | (minCodes[j]! << 4);
  },
  unpackScales(y, from) {
    for (let j = 0; j < 16; j++) {
      scaleCodes[j] = y[from + j]! & 15;
      minCodes[j] = y[from + j]! >> 4;
    }
  },
  packCodes: (y, to) => packPairs(codes, y, to + Q2_CODES),
  unpackCodes: (y, from) => unpackPairs(y, from + Q2_CODES, codes),
});

const Q4_CODES = SCALES_AT + SCALE_BYTES;

export const q4_k = formatOf({
  typeId: 12,
  bytes: 2 + 2 + SCALE_BYTES + SUPER / 2,
  sub: 32,
  top: 15,
  scaleTop: 63,
  plain: search(32, 15, -1, 0.1, 20),
  clamps: [true, false],
  plainWeights: raisedMagnitudes,
  sigma2: (sum) => fround(fround(2 * sum) / SUPER),
  at: 0,
  packScales: packSixBits,
  unpackScales: unpackSixBits,
  packCodes: (y, to) => packNibbles(y, to + Q4_CODES),
  unpackCodes: (y, from) => unpackNibbles(y, from + Q4_CODES),
});

/** q5_k keeps the fifth bits of all codes before the nibbles: bit 2 j of byte l is that of code 64 j + l. */
const Q5_HIGH = SCALES_AT + SCALE_BYTES;
const Q5_CODES = Q5_HIGH + SUPER / 8;

export const q5_k = formatOf({
  typeId: 13,
  bytes: 2 + 2 + SCALE_BYTES + SUPER / 8 + SUPER / 2,
  sub: 32,
  top: 31,
  scaleTop: 63,
  plain: search(32, 31, -0.5, 0.1, 15),
  clamps: [true, true],
  plainWeights: raisedMagnitudes,
  sigma2: (sum) => fround(fround(2 * sum) / SUPER),
  at: 0,
  packScales: packSixBits,
  unpackScales: unpackSixBits,
  packCodes(y, to) {
    for (let l = 0; l < 32; l++) {
      let high = 0;
      for (let run = 0; run < 8; run++) high |= (codes[32 * run + l]! >> 4) << run;
      y[to + Q5_HIGH + l] = high;
    }
    packNibbles(y, to + Q5_CODES);
  },
  unpackCodes(y, from) {
    unpackNibbles(y, from + Q5_CODES);
    for (let i = 0; i < SUPER; i++) codes[i] = codes[i]! | (((y[from + Q5_HIGH + (i & 31)]! >> (i >> 5)) & 1) << 4);
  },
});
