/** IEEE 754 binary16 and bfloat16: scalars from doubles with a single rounding, arrays from float32 by bit tricks. */
import { BFLOAT16, decodeMinifloat, encodeMinifloat, FLOAT16 } from "./minifloat.ts";

/** Bits of the half nearest to `value`, ties to even; 65520 and above become infinity. */
export const floatToHalf = (value: number): number => encodeMinifloat(FLOAT16, value, false);

/** Value of 16 bits read as a half. */
export const halfToFloat = (bits: number): number => decodeMinifloat(FLOAT16, bits);

/** Bits of the bfloat16 nearest to `value`, ties to even. */
export const floatToBfloat16 = (value: number): number => encodeMinifloat(BFLOAT16, value, false);

/** Value of 16 bits read as a bfloat16. */
export const bfloat16ToFloat = (bits: number): number => decodeMinifloat(BFLOAT16, bits);

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Half of float32 bits. NaN stays NaN, quieted, with the payload's upper bits. */
export function halfOfWord(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 | ((magnitude >> 13) & 0x1ff) : 0x7c00);
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  if (magnitude < 0x33000000) return sign;
  const shift = 126 - (magnitude >> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >> shift) & 1)) >> shift);
}

/** Halves of float32 values, ties to even, overflow to infinity. */
export function encodeHalf(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = wordsOf(values);
  for (let i = 0; i < words.length; i++) out[i] = halfOfWord(words[i]!);
  return out;
}

let halfWords: Uint32Array | undefined;

/** Float32 bits of all 65536 halves, shared: do not write. */
export function halfTable(): Uint32Array {
  halfWords ??= makeHalfTable();
  return halfWords;
}

function makeHalfTable(): Uint32Array {
  const words = new Uint32Array(65536);
  const values = new Float32Array(words.buffer);
  for (let bits = 0; bits < 65536; bits++) {
    const magnitude = bits & 0x7fff;
    if (magnitude > 0x7c00) words[bits] = ((bits & 0x8000) << 16) | 0x7f800000 | ((bits & 0x3ff) << 13);
    else values[bits] = halfToFloat(bits);
  }
  return words;
}

/** Float32 values of halves, exact; a NaN keeps its sign and payload. */
export function decodeHalf(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  const table = halfTable();
  const words = wordsOf(out);
  for (let i = 0; i < bits.length; i++) words[i] = table[bits[i]!]!;
  return out;
}

/** bfloat16 bits of float32 values, ties to even, overflow to infinity. */
export function encodeBfloat16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = wordsOf(values);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const quiet = (word & 0x7fffffff) > 0x7f800000;
    out[i] = quiet ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** Float32 values of bfloat16 bits, exact. */
export function decodeBfloat16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  const words = wordsOf(out);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return out;
}
