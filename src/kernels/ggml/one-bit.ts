/** Blocks with one scale and codes of one or two bits that are not searched for: q1_0 and q2_0. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { infiniteHalf, readHalf, writeHalf } from "./float.ts";
import { type DecodeBlock, decodeBlocks, type EncodeBlock, encodeBlocks, type GgmlFormat } from "./format.ts";
import { peakOf } from "./make-qx.ts";
import { reciprocal } from "./simple.ts";

const { fround, abs } = Math;

const Q1 = { block: 128, bytes: 2 + 16 } as const;

/** The scale is the mean magnitude; a bit is set where the value is not below zero. */
const encodeQ1: EncodeBlock = (x, from, y, to) => {
  let sum = 0;
  for (let i = 0; i < Q1.block; i++) sum = fround(sum + abs(x[from + i]!));
  writeHalf(y, to, fround(sum / Q1.block));
  for (let i = 0; i < Q1.block; i += 8) {
    let byte = 0;
    for (let bit = 0; bit < 8; bit++) if (x[from + i + bit]! >= 0) byte |= 1 << bit;
    y[to + 2 + i / 8] = byte;
  }
};

const decodeQ1: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from);
  for (let i = 0; i < Q1.block; i++) x[to + i] = (y[from + 2 + (i >> 3)]! >> (i & 7)) & 1 ? d : -d;
};

const Q2 = { block: 64, bytes: 2 + 16 } as const;

/** Codes 0 to 3 for -1 to 2; infinite quotients (subnormal scales) give 0, as the cast does on x86-64. */
function twoBits(x: number): number {
  if (!(abs(x) < 3)) return 0;
  const code = (x >= 0 ? Math.floor(x + 0.5) : Math.ceil(x - 0.5)) + 1;
  return code < 0 ? 0 : Math.min(code, 3);
}

const encodeQ2: EncodeBlock = (x, from, y, to) => {
  const d = abs(peakOf(x, from, Q2.block));
  const id = reciprocal(d);
  writeHalf(y, to, d);
  for (let i = 0; i < Q2.block; i += 4) {
    let byte = 0;
    for (let j = 0; j < 4; j++) byte |= twoBits(fround(x[from + i + j]! * id)) << (2 * j);
    y[to + 2 + i / 4] = byte;
  }
};

const decodeQ2: DecodeBlock = (y, from, x, to) => {
  const d = readHalf(y, from);
  for (let i = 0; i < Q2.block; i++) x[to + i] = (((y[from + 2 + (i >> 2)]! >> (2 * (i & 3))) & 3) - 1) * d;
};

/** Signs and the mean magnitude of 128 values. */
export const q1_0: GgmlFormat = {
  ...GGML_TYPES.q1_0,
  importance: "ignored",
  encode: encodeBlocks(Q1.block, Q1.bytes, encodeQ1),
  decode: decodeBlocks(Q1.block, Q1.bytes, decodeQ1),
  firstInfinite: infiniteHalf(Q1.bytes, 0),
};

/** Codes -1 to 2 and the largest magnitude of 64 values. */
export const q2_0: GgmlFormat = {
  ...GGML_TYPES.q2_0,
  importance: "ignored",
  encode: encodeBlocks(Q2.block, Q2.bytes, encodeQ2),
  decode: decodeBlocks(Q2.block, Q2.bytes, decodeQ2),
  firstInfinite: infiniteHalf(Q2.bytes, 0),
};
