/** Super-blocks of 256 values of -d, 0, d: tq1_0 with five codes in a byte, tq2_0 with four. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { infiniteHalf, readHalf, roundToInt, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeBlock, encodeBlocks, type GgmlFormat, SUPER } from "./format.ts";
import { peakOf } from "./make-qx.ts";
import { reciprocal } from "./simple.ts";

const { fround, abs } = Math;
const codes = new Uint8Array(SUPER);

/** Codes 0, 1, 2 of the block; answers d, the largest magnitude. */
function ternaryCodes(x: Float32Array, from: number): number {
  const d = abs(peakOf(x, from, SUPER));
  const id = reciprocal(d);
  for (let i = 0; i < SUPER; i++) codes[i] = roundToInt(fround(x[from + i]! * id)) + 1;
  return d;
}

function writeValues(x: Float32Array, to: number, d: number): void {
  for (let i = 0; i < SUPER; i++) x[to + i] = (codes[i]! - 1) * d;
}

/** Runs of bytes: byte m of a run holds codes m, m + width, m + 2 width, ... of the run's values. */
const RUNS = [
  { width: 32, perByte: 5 },
  { width: 16, perByte: 5 },
  { width: 4, perByte: 4 },
] as const;

const TQ1_D = (SUPER - (4 * SUPER) / 64) / 5 + SUPER / 64;

/** A byte is its base-3 number (five digits, the first code the highest) scaled to 256, rounded up. */
const encodeTq1: EncodeBlock = (x, from, y, to) => {
  const d = ternaryCodes(x, from);
  let first = 0;
  let at = to;
  for (const { width, perByte } of RUNS) {
    for (let m = 0; m < width; m++, at++) {
      let digits = 0;
      for (let n = 0; n < 5; n++) digits = digits * 3 + (n < perByte ? codes[first + n * width + m]! : 0);
      y[at] = ((digits & 255) * 256 + 242) / 243;
    }
    first += width * perByte;
  }
  writeHalf(y, to + TQ1_D, d);
};

const POWERS = [1, 3, 9, 27, 81];

/** Multiplying by a power of three moves a digit to the top of the byte. */
const decodeTq1: DecodeBlock = (y, from, x, to) => {
  let first = 0;
  let at = from;
  for (const { width, perByte } of RUNS) {
    for (let n = 0; n < perByte; n++)
      for (let m = 0; m < width; m++) codes[first + n * width + m] = (((y[at + m]! * POWERS[n]!) & 255) * 3) >> 8;
    first += width * perByte;
    at += width;
  }
  writeValues(x, to, readHalf(y, from + TQ1_D));
};

const TQ2_D = SUPER / 4;

const encodeTq2: EncodeBlock = (x, from, y, to) => {
  const d = ternaryCodes(x, from);
  for (let j = 0; j < SUPER; j += 128)
    for (let m = 0; m < 32; m++) {
      let byte = 0;
      for (let n = 0; n < 4; n++) byte += (codes[j + n * 32 + m]! & 3) << (2 * n);
      y[to + j / 4 + m] = byte;
    }
  writeHalf(y, to + TQ2_D, d);
};

const decodeTq2: DecodeBlock = (y, from, x, to) => {
  for (let j = 0; j < SUPER; j += 128)
    for (let i = 0; i < 128; i++) codes[j + i] = (y[from + j / 4 + (i & 31)]! >> (2 * (i >> 5))) & 3;
  writeValues(x, to, readHalf(y, from + TQ2_D));
};

/** Five ternary digits a byte. */
export const tq1_0: GgmlFormat = {
  ...GGML_TYPES.tq1_0,
  importance: "ignored",
  encode: encodeBlocks(SUPER, 48 + 4 + 2, encodeTq1),
  decode: decodeBlocks(SUPER, 48 + 4 + 2, decodeTq1),
  firstInfinite: infiniteHalf(48 + 4 + 2, TQ1_D),
};

/** Four ternary digits a byte. */
export const tq2_0: GgmlFormat = {
  ...GGML_TYPES.tq2_0,
  importance: "ignored",
  encode: encodeBlocks(SUPER, SUPER / 4 + 2, encodeTq2),
  decode: decodeBlocks(SUPER, SUPER / 4 + 2, decodeTq2),
  firstInfinite: infiniteHalf(TQ2_D + 2, TQ2_D),
};
