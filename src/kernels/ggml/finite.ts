/** The search for values that are not finite. */
import { BYTES_AT, hasGgmlWasm, machine } from "./machine.ts";

/** Bytes of a value and the bits of its exponent: all set, it is infinite or no number. */
const TYPES = {
  float32: { bytes: 4, exponent: 0x7f800000 },
  float16: { bytes: 2, exponent: 0x7c00 },
  bfloat16: { bytes: 2, exponent: 0x7f80 },
} as const;

/** Types whose values can be searched. */
export type FloatType = keyof typeof TYPES;

/** What the program looks at in one call where it has to be copied. */
const CHUNK_BYTES = 65536;

function firstInPlace(type: FloatType, at: number, count: number): number {
  const { program } = machine();
  return type === "float32" ? program.firstBadFloat(at, count) : program.firstBadHalf(at, count, TYPES[type].exponent);
}

function firstInWasm(bytes: Uint8Array, type: FloatType): number {
  const size = TYPES[type].bytes;
  const { bytes: room } = machine();
  if (bytes.buffer === room.buffer) return firstInPlace(type, bytes.byteOffset, Math.floor(bytes.length / size));
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, at + CHUNK_BYTES);
    room.set(chunk);
    const found = firstInPlace(type, BYTES_AT, Math.floor(chunk.length / size));
    if (found >= 0) return at / size + found;
  }
  return -1;
}

/** The same in TypeScript. */
export function firstNonFiniteReference(bytes: Uint8Array, type: FloatType): number {
  const { bytes: size, exponent } = TYPES[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + size <= bytes.length; at += size) {
    const word = size === 4 ? view.getInt32(at, true) : view.getInt16(at, true);
    if ((word & exponent) === exponent) return at / size;
  }
  return -1;
}

/** Index of the first little-endian value that is infinite or no number; -1 where all are finite. */
export const firstNonFinite = (bytes: Uint8Array, type: FloatType): number =>
  hasGgmlWasm() ? firstInWasm(bytes, type) : firstNonFiniteReference(bytes, type);
