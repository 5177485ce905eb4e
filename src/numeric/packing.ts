/** Packs 4- and 2-bit codes into bytes, first code in the lowest bits (ONNX int4/uint4/int2/uint2). */
import { fail } from "./errors.ts";

export type SubByteBits = 2 | 4;

/** Bytes of `count` packed codes; the last byte is padded with zeros. */
export const packedLength = (count: number, bits: SubByteBits): number => Math.ceil((count * bits) / 8);

/** Codes of whole bytes, and those of a last byte that is not full. */
type Pack = (codes: Uint8Array, out: Uint8Array) => void;
/** `sign` is the weight of the sign bit, 0 where there is none. */
type Unpack = (bytes: Uint8Array, out: Uint8Array, sign: number) => void;

const packFours: Pack = (codes, out) => {
  const whole = codes.length >> 1;
  for (let i = 0, at = 0; i < whole; i++, at += 2) out[i] = (codes[at]! & 15) | (codes[at + 1]! << 4);
  if (codes.length & 1) out[whole] = codes[2 * whole]! & 15;
};

const packTwos: Pack = (codes, out) => {
  const whole = codes.length >> 2;
  for (let i = 0, at = 0; i < whole; i++, at += 4)
    out[i] = (codes[at]! & 3) | ((codes[at + 1]! & 3) << 2) | ((codes[at + 2]! & 3) << 4) | ((codes[at + 3]! & 3) << 6);
  for (let at = 4 * whole; at < codes.length; at++) out[whole]! |= (codes[at]! & 3) << (2 * (at & 3));
};

const unpackFours: Unpack = (bytes, out, sign) => {
  const whole = out.length >> 1;
  for (let i = 0, at = 0; i < whole; i++, at += 2) {
    out[at] = ((bytes[i]! & 15) ^ sign) - sign;
    out[at + 1] = ((bytes[i]! >> 4) ^ sign) - sign;
  }
  if (out.length & 1) out[2 * whole] = ((bytes[whole]! & 15) ^ sign) - sign;
};

const unpackTwos: Unpack = (bytes, out, sign) => {
  for (let at = 0; at < out.length; at++) out[at] = (((bytes[at >> 2]! >> (2 * (at & 3))) & 3) ^ sign) - sign;
};

/** A loop for each width: shifts that are computed for each code cost several times the time of the rest. */
const WIDTHS: { readonly [B in SubByteBits]: { readonly pack: Pack; readonly unpack: Unpack } } = {
  2: { pack: packTwos, unpack: unpackTwos },
  4: { pack: packFours, unpack: unpackFours },
};

/** Codes modulo 256, which keeps the lowest bits of all: the loops above are fast on arrays of one kind. */
function asBytes(codes: ArrayLike<number>): Uint8Array {
  if (codes instanceof Int8Array || codes instanceof Uint8Array)
    return new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  const out = new Uint8Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = codes[i]!;
  return out;
}

/** Packs codes, signed ones in two's complement; only the low `bits` of each are kept. */
export function packCodes(codes: ArrayLike<number>, bits: SubByteBits): Uint8Array {
  const out = new Uint8Array(packedLength(codes.length, bits));
  WIDTHS[bits].pack(asBytes(codes), out);
  return out;
}

function unpack(bytes: Uint8Array, bits: SubByteBits, count: number, sign: number): Uint8Array<ArrayBuffer> {
  if (packedLength(count, bits) > bytes.length)
    fail("format", `${count} codes of ${bits} bits need ${packedLength(count, bits)} bytes, found ${bytes.length}`);
  const out = new Uint8Array(count);
  WIDTHS[bits].unpack(bytes, out, sign);
  return out;
}

/** The first `count` codes as 0 to 2^bits - 1. */
export const unpackUnsigned = (bytes: Uint8Array, bits: SubByteBits, count: number): Uint8Array =>
  unpack(bytes, bits, count, 0);

/** The first `count` codes in two's complement: -2^(bits-1) to 2^(bits-1) - 1. */
export const unpackSigned = (bytes: Uint8Array, bits: SubByteBits, count: number): Int8Array =>
  new Int8Array(unpack(bytes, bits, count, 1 << (bits - 1)).buffer);
