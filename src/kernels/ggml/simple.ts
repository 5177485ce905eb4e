/** Blocks of 32 values with one scale, and for q4_1 and q5_1 a minimum: q4_0 q4_1 q5_0 q5_1 q8_0. */
import { GGML_TYPES, type GgmlTypeRow } from "../../numeric/ggml-types.ts";
import { FLT_MAX, infiniteHalf, readHalf, roundToInt, weigh, writeHalf } from "./float.ts";
import {
  type DecodeBlock,
  decodeBlocks,
  type EncodeBlock,
  encodeBlocks,
  encodeRows,
  type GgmlFormat,
} from "./format.ts";
import { type AffineSearch, makeQkxQuants } from "./make-qkx.ts";
import { makeQxQuants, peakOf } from "./make-qx.ts";

const { fround } = Math;
const BLOCK = 32;
const HALF_BLOCK = 16;

const codes = new Uint8Array(BLOCK);
const weights = new Float32Array(BLOCK);
const mins = new Float32Array(1);

/** 1 / d, or 0 for a scale of 0; infinite for subnormal scales, whose codes then become 0 as on x86-64. */
export const reciprocal = (d: number): number => (d === 0 ? 0 : fround(1 / d));

/** A cast to `int8_t`, not above `top`. */
function narrow(x: number, top: number): number {
  const code = ((x | 0) << 24) >> 24;
  return Math.min(code, top);
}

/** How the codes of a block lie in its bytes behind scale and minimum. */
interface Packing {
  readonly bits: 4 | 5;
  pack(y: Uint8Array, to: number): void;
  /** Codes of 4 or 5 bits into `codes`. */
  unpack(y: Uint8Array, from: number): void;
}

/** Value j in the low half of byte j, value j + 16 in the high half. */
const nibbles: Packing = {
  bits: 4,
  pack(y, to) {
    for (let j = 0; j < HALF_BLOCK; j++) y[to + j] = codes[j]! | (codes[j + HALF_BLOCK]! << 4);
  },
  unpack(y, from) {
    for (let j = 0; j < HALF_BLOCK; j++) {
      codes[j] = y[from + j]! & 15;
      codes[j + HALF_BLOCK] = y[from + j]! >> 4;
    }
  },
};

/** The fifth bits of all codes in 32 bits, then nibbles. */
const fiveBits: Packing = {
  bits: 5,
  pack(y, to) {
    let high = 0;
    for (let j = 0; j < BLOCK; j++) high |= ((codes[j]! >> 4) & 1) << j;
    for (let byte = 0; byte < 4; byte++) y[to + byte] = high >> (8 * byte);
    for (let j = 0; j < HALF_BLOCK; j++) y[to + 4 + j] = (codes[j]! & 15) | ((codes[j + HALF_BLOCK]! & 15) << 4);
  },
  unpack(y, from) {
    nibbles.unpack(y, from + 4);
    for (let j = 0; j < BLOCK; j++) codes[j] = codes[j]! | (((y[from + (j >> 3)]! >> (j & 7)) & 1) << 4);
  },
};

/** x = d (code - 2^(bits - 1)): the value of largest magnitude gets the lowest code. */
function signedFormat(type: GgmlTypeRow, packing: Packing): GgmlFormat {
  const top = 1 << (packing.bits - 1);
  const { bytes } = type;
  const plain: EncodeBlock = (x, from, y, to) => {
    const d = fround(peakOf(x, from, BLOCK) / -top);
    const id = reciprocal(d);
    for (let j = 0; j < BLOCK; j++) codes[j] = narrow(fround(fround(x[from + j]! * id) + (top + 0.5)), 2 * top - 1);
    writeHalf(y, to, d);
    packing.pack(y, to + 2);
  };
  const decode: DecodeBlock = (y, from, x, to) => {
    const d = readHalf(y, from);
    packing.unpack(y, from + 2);
    for (let j = 0; j < BLOCK; j++) x[to + j] = (codes[j]! - top) * d;
  };
  return {
    ...type,
    importance: "used",
    encode: encodeRows(BLOCK, bytes, plain, (x, from, y, to, importance, weightsFrom, sigma2) => {
      weigh(x, from, BLOCK, importance, weightsFrom, sigma2, weights);
      writeHalf(y, to, makeQxQuants(BLOCK, top, x, from, weights, codes, 0));
      packing.pack(y, to + 2);
    }),
    decode: decodeBlocks(BLOCK, bytes, decode),
    firstInfinite: infiniteHalf(bytes, 0),
  };
}

/** x = d code + m, m the smallest value. */
function affineFormat(type: GgmlTypeRow, packing: Packing): GgmlFormat {
  const top = (1 << packing.bits) - 1;
  const { bytes } = type;
  const search: AffineSearch = {
    n: BLOCK,
    top,
    first: fround(-0.9),
    step: fround(0.05),
    steps: 36,
    absolute: false,
  };
  const plain: EncodeBlock = (x, from, y, to) => {
    let min = FLT_MAX;
    let max = -FLT_MAX;
    for (let i = from; i < from + BLOCK; i++) {
      if (x[i]! < min) min = x[i]!;
      if (x[i]! > max) max = x[i]!;
    }
    const d = fround(fround(max - min) / top);
    const id = reciprocal(d);
    for (let j = 0; j < BLOCK; j++) codes[j] = narrow(fround(fround(fround(x[from + j]! - min) * id) + 0.5), top);
    writeHalf(y, to, d);
    writeHalf(y, to + 2, min);
    packing.pack(y, to + 4);
  };
  const decode: DecodeBlock = (y, from, x, to) => {
    const d = readHalf(y, from);
    const m = readHalf(y, from + 2);
    packing.unpack(y, from + 4);
    for (let j = 0; j < BLOCK; j++) x[to + j] = fround(codes[j]! * d) + m;
  };
  return {
    ...type,
    importance: "used",
    encode: encodeRows(BLOCK, bytes, plain, (x, from, y, to, importance, weightsFrom, sigma2) => {
      weigh(x, from, BLOCK, importance, weightsFrom, sigma2, weights);
      writeHalf(y, to, makeQkxQuants(search, x, from, weights, codes, 0, mins, 0));
      writeHalf(y, to + 2, -mins[0]!);
      packing.pack(y, to + 4);
    }),
    decode: decodeBlocks(BLOCK, bytes, decode),
    firstInfinite: infiniteHalf(bytes, 0, 2),
  };
}

const encodeBytes: EncodeBlock = (x, from, y, to) => {
  const d = fround(Math.abs(peakOf(x, from, BLOCK)) / 127);
  const id = reciprocal(d);
  writeHalf(y, to, d);
  for (let j = 0; j < BLOCK; j++) y[to + 2 + j] = roundToInt(fround(x[from + j]! * id));
};

const decodeBytes: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from);
  for (let j = 0; j < BLOCK; j++) x[to + j] = ((y[from + 2 + j]! << 24) >> 24) * d;
};

/** Codes of 4 bits around 8. */
export const q4_0 = signedFormat(GGML_TYPES.q4_0, nibbles);
/** Codes of 4 bits and a minimum. */
export const q4_1 = affineFormat(GGML_TYPES.q4_1, nibbles);
/** Codes of 5 bits around 16. */
export const q5_0 = signedFormat(GGML_TYPES.q5_0, fiveBits);
/** Codes of 5 bits and a minimum. */
export const q5_1 = affineFormat(GGML_TYPES.q5_1, fiveBits);

/** Signed bytes, rounded half away from zero, times one scale. */
export const q8_0: GgmlFormat = {
  ...GGML_TYPES.q8_0,
  importance: "ignored",
  encode: encodeBlocks(BLOCK, 2 + 32, encodeBytes),
  decode: decodeBlocks(BLOCK, 2 + 32, decodeBytes),
  firstInfinite: infiniteHalf(2 + 32, 0),
};
