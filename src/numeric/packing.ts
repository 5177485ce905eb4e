/** Packs 4- and 2-bit codes into bytes, first code in the lowest bits (ONNX int4/uint4/int2/uint2). */
import { fail } from "./errors.ts";

export type SubByteBits = 2 | 4;

/** Bytes of `count` packed codes; the last byte is padded with zeros. */
export const packedLength = (count: number, bits: SubByteBits): number => Math.ceil((count * bits) / 8);

/** Packs codes, signed ones in two's complement; only the low `bits` of each are kept. */
export function packCodes(codes: ArrayLike<number>, bits: SubByteBits): Uint8Array {
  const out = new Uint8Array(packedLength(codes.length, bits));
  const mask = (1 << bits) - 1;
  const perByte = 8 / bits;
  for (let i = 0; i < codes.length; i++) out[(i / perByte) | 0]! |= (codes[i]! & mask) << ((i % perByte) * bits);
  return out;
}

function checkLength(bytes: Uint8Array, bits: SubByteBits, count: number): void {
  if (packedLength(count, bits) > bytes.length)
    fail("format", `${count} codes of ${bits} bits need ${packedLength(count, bits)} bytes, found ${bytes.length}`);
}

/** The first `count` codes as 0 to 2^bits - 1. */
export function unpackUnsigned(bytes: Uint8Array, bits: SubByteBits, count: number): Uint8Array {
  checkLength(bytes, bits, count);
  const out = new Uint8Array(count);
  const mask = (1 << bits) - 1;
  const perByte = 8 / bits;
  for (let i = 0; i < count; i++) out[i] = (bytes[(i / perByte) | 0]! >> ((i % perByte) * bits)) & mask;
  return out;
}

/** The first `count` codes in two's complement: -2^(bits-1) to 2^(bits-1) - 1. */
export function unpackSigned(bytes: Uint8Array, bits: SubByteBits, count: number): Int8Array {
  const unsigned = unpackUnsigned(bytes, bits, count);
  const out = new Int8Array(unsigned.buffer);
  const shift = 8 - bits;
  for (let i = 0; i < count; i++) out[i] = (out[i]! << (shift + 24)) >> (shift + 24);
  return out;
}
