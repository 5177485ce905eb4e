/** Blocks of 4-bit floats (e2m1): mxfp4 with a power of two for 32 values, nvfp4 with an unsigned e4m3 for each 16 of 64. */
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { exponentOf } from "../../numeric/minifloat.ts";
import { type DecodeBlock, decodeBlocks, type EncodeBlock, encodeBlocks, type GgmlFormat } from "./format.ts";
import { peakOf } from "./make-qx.ts";

const { fround, abs, floor } = Math;

/** Twice the values of e2m1, so that they are integers; the scales are halved instead. Codes 8 to 15 are negative. */
const VALUES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** The first code of least error under scale d. */
function nearestCode(x: number, d: number): number {
  const magnitude = abs(x);
  let code = 0;
  let least = magnitude;
  for (let i = 1; i < 8; i++) {
    const error = abs(fround(fround(VALUES[i]! * d) - magnitude));
    if (error < least) {
      code = i;
      least = error;
    }
  }
  return x < 0 && code > 0 ? code + 8 : code;
}

/** Codes of 2 n values, value j in the low half of byte j, value j + n in the high half. */
function packCodes(x: Float32Array, from: number, n: number, d: number, y: Uint8Array, at: number): void {
  for (let j = 0; j < n; j++) y[at + j] = nearestCode(x[from + j]!, d) | (nearestCode(x[from + n + j]!, d) << 4);
}

function unpackCodes(y: Uint8Array, at: number, n: number, d: number, x: Float32Array, to: number): void {
  for (let j = 0; j < n; j++) {
    x[to + j] = VALUES[y[at + j]! & 15]! * d;
    x[to + n + j] = VALUES[y[at + j]! >> 4]! * d;
  }
}

/** floorf(log2f(x)): just below a power of two the float32 logarithm is that of the power itself. */
function floorLog2(x: number): number {
  const above = exponentOf(x) + 1;
  const short = 1 - x / 2 ** above;
  if (short > 2 ** -12) return above - 1;
  return floor(fround(above - (short + (short * short) / 2) * Math.LOG2E));
}

/** Half of 2^(e - 127). */
const halfPower = (e: number): number => 2 ** (e - 128);

const MXFP4 = { block: 32, bytes: 1 + 16 } as const;

/** The exponent is cut to a byte, as the C cast does: below 2^-125 it wraps, and all codes of the block are 0. */
const encodeMxfp4: EncodeBlock = (x, from, y, to) => {
  const most = abs(peakOf(x, from, MXFP4.block));
  const e = most > 0 ? (floorLog2(most) - 2 + 127) & 255 : 0;
  y[to] = e;
  packCodes(x, from, 16, halfPower(e), y, to + 1);
};

const decodeMxfp4: DecodeBlock = (y, from, x, to) => unpackCodes(y, from + 1, 16, halfPower(y[from]!), x, to);

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** Unsigned e4m3 of a float that is not below zero, rounded half up, at most 448. */
function unsignedE4m3(x: number): number {
  if (!(x > 0)) return 0;
  floats[0] = Math.min(x, 448);
  const bits = words[0]!;
  const exponent = (bits >>> 23) - 120;
  if (exponent <= 0) return Math.min(7, fround(fround(floats[0]! * 512) + 0.5) | 0);
  if (exponent >= 15) return 0x7e;
  const code = (exponent << 3) + ((bits >>> 20) & 7) + ((bits >>> 19) & 1);
  return code >= 15 << 3 ? 0x7e : code;
}

/** Half of the value; 0x7f, which is not a number, counts as zero. */
const halfE4m3 = Float32Array.from({ length: 256 }, (_, code) => {
  if (code === 0x7f) return 0;
  const exponent = (code >> 3) & 15;
  const fraction = (code & 7) / 8;
  return exponent === 0 ? fraction * 2 ** -7 : (1 + fraction) * 2 ** (exponent - 8);
});

const NVFP4 = { block: 64, sub: 16, subs: 4, bytes: 4 + 32 } as const;

const encodeNvfp4: EncodeBlock = (x, from, y, to) => {
  for (let s = 0; s < NVFP4.subs; s++) {
    const start = from + s * NVFP4.sub;
    const scale = unsignedE4m3(fround(abs(peakOf(x, start, NVFP4.sub)) / 6));
    y[to + s] = scale;
    packCodes(x, start, 8, halfE4m3[scale]!, y, to + NVFP4.subs + s * 8);
  }
};

const decodeNvfp4: DecodeBlock = (y, from, x, to) => {
  for (let s = 0; s < NVFP4.subs; s++)
    unpackCodes(y, from + NVFP4.subs + s * 8, 8, halfE4m3[y[from + s]!]!, x, to + s * NVFP4.sub);
};

/** OCP MXFP4: one e8m0 scale for 32 codes. */
export const mxfp4: GgmlFormat = {
  ...GGML_TYPES.mxfp4,
  importance: "ignored",
  encode: encodeBlocks(MXFP4.block, MXFP4.bytes, encodeMxfp4),
  decode: decodeBlocks(MXFP4.block, MXFP4.bytes, decodeMxfp4),
  firstInfinite(y) {
    for (let at = 0; at < y.length; at += MXFP4.bytes) if (y[at] === 255) return at / MXFP4.bytes;
    return -1;
  },
};

/** NVFP4: one e4m3 scale for each 16 of 64 codes. */
export const nvfp4: GgmlFormat = {
  ...GGML_TYPES.nvfp4,
  importance: "ignored",
  encode: encodeBlocks(NVFP4.block, NVFP4.bytes, encodeNvfp4),
  decode: decodeBlocks(NVFP4.block, NVFP4.bytes, decodeNvfp4),
  firstInfinite: () => -1,
};
