/** 4-bit codes of a fixed table of 16 uneven values: iq4_nl (blocks of 32), iq4_xs (super-blocks of 256). */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { infiniteHalf, nearestWithin, readHalf, sumOfSquares, weigh, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeSuper, encodeSupers, type GgmlFormat, SUPER } from "./format.ts";
import { GROUP_MAX_EPS, peakOf } from "./make-qx.ts";
import { reciprocal } from "./simple.ts";

const { fround, abs } = Math;
const BLOCK = 32;
const BLOCKS = SUPER / BLOCK;

const VALUES = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
const LOWEST = -127;
/** Scales are tried that put the peak on the lowest value and up to so many steps beside it. */
const TRIES = 7;

const weights = new Float32Array(BLOCK);
const codes = new Uint8Array(SUPER);
const scales = new Float32Array(BLOCKS);

/** Borders between neighbouring values are multiples of 1/2, so floor(2 x) says the code: entry 0 is that of the lowest value. */
const CODE_OF = Uint8Array.from({ length: 2 * (113 + 127) }, (_, k) => {
  let code = 0;
  while (code < 15 && (k + 2 * LOWEST) / 2 >= (VALUES[code]! + VALUES[code + 1]!) / 2) code++;
  return code;
});

/** Code of the value nearest to x, the upper one of a tie; 15 for what is not a number. */
function nearestCode(x: number): number {
  if (x <= LOWEST) return 0;
  return x < 113 ? CODE_OF[(2 * x - 2 * LOWEST) | 0]! : 15;
}

let sumqx = 0;
let sumq2 = 0;

/** Sums of w q x and w q q for the values nearest to x * id. */
function sumNearest(x: Float32Array, from: number, id: number): void {
  let qx = 0;
  let q2 = 0;
  for (let j = 0; j < BLOCK; j++) {
    const value = x[from + j]!;
    const q = VALUES[nearestCode(fround(id * value))]!;
    const wq = fround(weights[j]! * q);
    qx = fround(qx + fround(wq * value));
    q2 = fround(q2 + fround(wq * q));
  }
  sumqx = qx;
  sumq2 = q2;
}

/** Scale of least weighted error. */
function searchScale(x: Float32Array, from: number): number {
  const peak = peakOf(x, from, BLOCK);
  if (abs(peak) < GROUP_MAX_EPS) return 0;
  sumNearest(x, from, fround(1 / fround(-peak / LOWEST)));
  let d = sumq2 > 0 ? fround(sumqx / sumq2) : 0;
  let best = fround(d * sumqx);
  for (let step = -TRIES; step <= TRIES; step++) {
    sumNearest(x, from, fround((step + LOWEST) / peak));
    if (sumq2 > 0 && fround(sumqx * sumqx) > fround(best * sumq2)) {
      d = fround(sumqx / sumq2);
      best = fround(d * sumqx);
    }
  }
  return d;
}

/** Scales of `blocks` blocks, weighted with the mean square of all of them. */
function searchScales(
  x: Float32Array,
  from: number,
  blocks: number,
  importance: Float32Array | undefined,
  weightsFrom: number,
): void {
  const n = blocks * BLOCK;
  const sigma2 = fround(sumOfSquares(x, from, n) * fround(2 / n));
  for (let i = 0; i < n; i += BLOCK) {
    weigh(x, from + i, BLOCK, importance, weightsFrom + i, sigma2, weights);
    scales[i / BLOCK] = searchScale(x, from + i);
  }
}

function encodeCodes(x: Float32Array, from: number, id: number, at: number): void {
  for (let j = 0; j < BLOCK; j++) codes[at + j] = nearestCode(fround(id * x[from + j]!));
}

/** Value j in the low half of byte j, value j + 16 in the high half. */
function packCodes(at: number, y: Uint8Array, to: number): void {
  for (let j = 0; j < 16; j++) y[to + j] = codes[at + j]! | (codes[at + j + 16]! << 4);
}

function decodeValues(y: Uint8Array, from: number, d: number, x: Float32Array, to: number): void {
  for (let j = 0; j < 16; j++) {
    x[to + j] = d * VALUES[y[from + j]! & 15]!;
    x[to + j + 16] = d * VALUES[y[from + j]! >> 4]!;
  }
}

const encodeNl: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  searchScales(x, from, 1, importance, weightsFrom);
  writeHalf(y, to, scales[0]!);
  encodeCodes(x, from, reciprocal(scales[0]!), 0);
  packCodes(0, y, to + 2);
  return true;
};

const decodeNl: DecodeBlock = (y, from, x, to) => decodeValues(y, from + 2, readHalf(y, from), x, to);

const XS_HIGH = 2;
const XS_LOW = XS_HIGH + 2;
const XS_CODES = XS_LOW + SUPER / 64;
const XS_BYTES = XS_CODES + SUPER / 2;

/** Six-bit scales: the low nibbles of two blocks share a byte, the upper two bits of all eight follow each other in 16 bits. */
const encodeXs: EncodeSuper = (x, from, y, to, importance, weightsFrom) => {
  searchScales(x, from, BLOCKS, importance, weightsFrom);
  const d = fround(-peakOf(scales, 0, BLOCKS) / 32);
  const id = reciprocal(d);
  writeHalf(y, to, d);
  y.fill(0, to + XS_HIGH, to + XS_CODES);
  for (let block = 0; block < BLOCKS; block++) {
    const scale = nearestWithin(fround(id * scales[block]!), -32, 31);
    encodeCodes(x, from + block * BLOCK, reciprocal(fround(d * scale)), block * BLOCK);
    const code = scale + 32;
    y[to + XS_LOW + (block >> 1)]! |= (code & 15) << (4 * (block & 1));
    y[to + XS_HIGH + (block >> 2)]! |= (code >> 4) << (2 * (block & 3));
    packCodes(block * BLOCK, y, to + XS_CODES + block * 16);
  }
  return true;
};

const decodeXs: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from);
  for (let block = 0; block < BLOCKS; block++) {
    const low = (y[from + XS_LOW + (block >> 1)]! >> (4 * (block & 1))) & 15;
    const high = (y[from + XS_HIGH + (block >> 2)]! >> (2 * (block & 3))) & 3;
    decodeValues(y, from + XS_CODES + block * 16, fround(d * ((low | (high << 4)) - 32)), x, to + block * BLOCK);
  }
};

/** One scale for 32 codes. */
export const iq4_nl: GgmlFormat = {
  ...GGML_TYPES.iq4_nl,
  importance: "used",
  encode: encodeSupers(BLOCK, 2 + 16, encodeNl),
  decode: decodeBlocks(BLOCK, 2 + 16, decodeNl),
  firstInfinite: infiniteHalf(2 + 16, 0),
};

/** Scales of 6 bits for each 32 of 256 codes. */
export const iq4_xs: GgmlFormat = {
  ...GGML_TYPES.iq4_xs,
  importance: "used",
  encode: encodeSupers(SUPER, XS_BYTES, encodeXs),
  decode: decodeBlocks(SUPER, XS_BYTES, decodeXs),
  firstInfinite: infiniteHalf(XS_BYTES, 0),
};
