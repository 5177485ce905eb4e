/** Super-blocks of 256 values whose 16 sub-blocks have a signed scale and no minimum: q3_k, q6_k. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { infiniteHalf, nearestInt, nearestWithin, readHalf, sumOfSquares, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import { packPairs, unpackPairs } from "./k-pairs.ts";
import { GROUP_MAX_EPS, makeQ3Quants, makeQxQuants, peakOf } from "./make-qx.ts";

const { fround, abs } = Math;
const SUB = 16;
const SUBS = SUPER / SUB;

const codes = new Uint8Array(SUPER);
const low = new Uint8Array(SUPER);
const weights = new Float32Array(SUB);
const scales = new Float32Array(SUBS);
const sumWeights = new Float32Array(SUBS);
const scaleCodes = new Int8Array(SUBS);
const shifted = new Uint8Array(SUBS);

/** Codes again, `top` added, for the scales that the block really holds; a sub-block whose scale is zero keeps its own. */
function requantize(x: Float32Array, from: number, d: number, top: number): void {
  for (let j = 0; j < SUBS; j++) {
    const scale = fround(d * scaleCodes[j]!);
    if (scale === 0) continue;
    for (let i = j * SUB; i < (j + 1) * SUB; i++)
      codes[i] = top + nearestWithin(fround(x[from + i]! / scale), -top, top - 1);
  }
}

const Q3_CODES = SUPER / 8;
const Q3_SCALES = Q3_CODES + SUPER / 4;
const Q3_D = Q3_SCALES + 12;

/** The block's d; `scaleCodes` get the codes of the scales, -32 to 31. */
function plainScales(x: Float32Array, from: number): number {
  for (let j = 0; j < SUBS; j++) {
    weigh(x, from + j * SUB, SUB, undefined, 0, 0, weights);
    scales[j] = makeQ3Quants(SUB, 4, x, from + j * SUB, weights, codes, j * SUB);
  }
  const peak = peakOf(scales, 0, SUBS);
  const iscale = fround(-32 / peak);
  for (let j = 0; j < SUBS; j++) {
    // The C code keeps the rounded scale in 8 bits before it clamps.
    const code = (nearestInt(fround(iscale * scales[j]!)) << 24) >> 24;
    scaleCodes[j] = peak === 0 ? -32 : Math.max(-32, Math.min(31, code));
  }
  return peak === 0 ? 0 : fround(1 / iscale);
}

function weightedScales(x: Float32Array, from: number, importance: Float32Array, weightsFrom: number): number {
  const sigma2 = fround(fround(2 * sumOfSquares(x, from, SUPER)) / SUPER);
  for (let j = 0; j < SUBS; j++) {
    weigh(x, from + j * SUB, SUB, importance, weightsFrom + j * SUB, sigma2, weights);
    let sum = 0;
    for (let i = 0; i < SUB; i++) sum = fround(sum + weights[i]!);
    sumWeights[j] = sum;
    scales[j] = makeQxQuants(SUB, 4, x, from + j * SUB, weights, codes, j * SUB);
  }
  const d = makeQxQuants(SUBS, 32, scales, 0, sumWeights, shifted, 0);
  for (let j = 0; j < SUBS; j++) scaleCodes[j] = shifted[j]! - 32;
  return d;
}

/** Low nibbles of scales j and j + 8 share byte j, the upper two bits of scales j, j + 4, j + 8, j + 12 byte 8 + j. */
function packScales(y: Uint8Array, at: number): void {
  for (let j = 0; j < SUBS; j++) shifted[j] = scaleCodes[j]! + 32;
  for (let j = 0; j < 8; j++) y[at + j] = (shifted[j]! & 15) | ((shifted[j + 8]! & 15) << 4);
  for (let j = 0; j < 4; j++)
    y[at + 8 + j] =
      (shifted[j]! >> 4) |
      ((shifted[j + 4]! >> 4) << 2) |
      ((shifted[j + 8]! >> 4) << 4) |
      ((shifted[j + 12]! >> 4) << 6);
}

function unpackScales(y: Uint8Array, at: number): void {
  for (let j = 0; j < SUBS; j++) {
    const nibble = (y[at + (j & 7)]! >> (4 * (j >> 3))) & 15;
    scaleCodes[j] = (nibble | (((y[at + 8 + (j & 3)]! >> (2 * (j >> 2))) & 3) << 4)) - 32;
  }
}

/** Third bits: bit j of byte l is that of code 32 j + l. The lower two behind them. */
function packThreeBits(y: Uint8Array, to: number): void {
  for (let l = 0; l < 32; l++) {
    let high = 0;
    for (let j = 0; j < 8; j++) high |= (codes[32 * j + l]! >> 2) << j;
    y[to + l] = high;
  }
  for (let i = 0; i < SUPER; i++) low[i] = codes[i]! & 3;
  packPairs(low, y, to + Q3_CODES);
}

const encodeQ3: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  const d = importance === undefined ? plainScales(x, from) : weightedScales(x, from, importance, weightsFrom);
  // No scale at all: ggml leaves the bytes of the scales zero, which stand for -32.
  packScales(y, to + Q3_SCALES);
  writeHalf(y, to + Q3_D, d);
  requantize(x, from, readHalf(y, to + Q3_D), 4);
  packThreeBits(y, to);
  return true;
};

const decodeQ3: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from + Q3_D);
  unpackScales(y, from + Q3_SCALES);
  unpackPairs(y, from + Q3_CODES, codes);
  for (let i = 0; i < SUPER; i++) {
    const high = (y[from + (i & 31)]! >> (i >> 5)) & 1;
    x[to + i] = fround(d * scaleCodes[i >> 4]!) * (codes[i]! - (high === 1 ? 0 : 4));
  }
};

/** 16 sub-blocks of 16 codes of 3 bits, scales of 6 bits. */
export const q3_k: GgmlFormat = {
  ...GGML_TYPES.q3_k,
  importance: "used",
  encode: encodeSupers(SUPER, Q3_D + 2, encodeQ3),
  decode: decodeBlocks(SUPER, Q3_D + 2, decodeQ3),
  firstInfinite: infiniteHalf(Q3_D + 2, Q3_D),
};

const Q6_HIGH = SUPER / 2;
const Q6_SCALES = Q6_HIGH + SUPER / 4;
const Q6_D = Q6_SCALES + SUPER / 16;
const Q6_BYTES = Q6_D + 2;

/** Scale of every sub-block, weighted by the importance itself or by x^2. */
function sixBitScales(x: Float32Array, from: number, importance: Float32Array | undefined, weightsFrom: number): void {
  for (let j = 0; j < SUBS; j++) {
    const start = from + j * SUB;
    if (importance === undefined) weigh(x, start, SUB, undefined, 0, 0, weights);
    else for (let i = 0; i < SUB; i++) weights[i] = importance[weightsFrom + j * SUB + i]!;
    scales[j] = makeQxQuants(SUB, 32, x, start, weights, codes, j * SUB);
  }
}

/** Nibbles of codes l and l + 64 of 128 share a byte, so do the upper two bits of codes l, l + 32, l + 64, l + 96. */
function packSixBits(y: Uint8Array, to: number): void {
  for (let j = 0; j < SUPER; j += 128)
    for (let l = 0; l < 64; l++) y[to + j / 2 + l] = (codes[j + l]! & 15) | ((codes[j + l + 64]! & 15) << 4);
  for (let i = 0; i < SUPER; i++) low[i] = codes[i]! >> 4;
  packPairs(low, y, to + Q6_HIGH);
}

const encodeQ6: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  sixBitScales(x, from, importance, weightsFrom);
  const peak = peakOf(scales, 0, SUBS);
  if (abs(peak) < GROUP_MAX_EPS) {
    y.fill(0, to, to + Q6_BYTES);
    return true;
  }
  const iscale = fround(-128 / peak);
  writeHalf(y, to + Q6_D, fround(1 / iscale));
  for (let j = 0; j < SUBS; j++) scaleCodes[j] = Math.min(127, nearestInt(fround(iscale * scales[j]!)));
  requantize(x, from, readHalf(y, to + Q6_D), 32);
  for (let j = 0; j < SUBS; j++) y[to + Q6_SCALES + j] = scaleCodes[j]!;
  packSixBits(y, to);
  return true;
};

const decodeQ6: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from + Q6_D);
  for (let j = 0; j < SUBS; j++) scaleCodes[j] = y[from + Q6_SCALES + j]!;
  unpackPairs(y, from + Q6_HIGH, codes);
  for (let i = 0; i < SUPER; i++) {
    const byte = y[from + ((i >> 7) << 6) + (i & 63)]!;
    const code = ((byte >> (i & 64 ? 4 : 0)) & 15) | (codes[i]! << 4);
    x[to + i] = fround(d * scaleCodes[i >> 4]!) * (code - 32);
  }
};

/** 16 sub-blocks of 16 codes of 6 bits, scales of 8 bits. */
export const q6_k: GgmlFormat = {
  ...GGML_TYPES.q6_k,
  importance: "used",
  encode: encodeSupers(SUPER, Q6_BYTES, encodeQ6),
  decode: decodeBlocks(SUPER, Q6_BYTES, decodeQ6),
  firstInfinite: infiniteHalf(Q6_BYTES, Q6_D),
};
