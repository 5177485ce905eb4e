/** The K-quants with minima: q2_k, q4_k, q5_k. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { SUPER } from "./format.ts";
import { codes, formatOf, magnitudes, minCodes, raisedMagnitudes, scaleCodes, search } from "./k-affine.ts";
import { packPairs, unpackPairs } from "./k-pairs.ts";

const { fround } = Math;

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

/** Where q2_k's codes lie: behind 16 bytes of scales and minima. d and dmin end the block. */
const Q2_CODES = SUPER / 16;

/** 16 sub-blocks of 16 codes of 2 bits, scales and minima of 4 bits. */
export const q2_k = formatOf({
  ...GGML_TYPES.q2_k,
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

/** 8 sub-blocks of 32 codes of 4 bits, scales and minima of 6 bits. */
export const q4_k = formatOf({
  ...GGML_TYPES.q4_k,
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

/** Where q5_k keeps the fifth bits of all codes, bit j of byte l that of code 32 j + l, and the nibbles. */
const Q5_HIGH = SCALES_AT + SCALE_BYTES;
const Q5_CODES = Q5_HIGH + SUPER / 8;

/** 8 sub-blocks of 32 codes of 5 bits, scales and minima of 6 bits. */
export const q5_k = formatOf({
  ...GGML_TYPES.q5_k,
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
