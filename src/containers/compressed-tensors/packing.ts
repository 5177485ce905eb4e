/**
 * How compressed-tensors 0.20 packs integer codes into int32 words (`pack_to_int32`): made unsigned by adding half of
 * their range, first code in the lowest bits. Weights are packed along a row, zero points down a column.
 */
import { unpackUnsigned } from "../../numeric/packing.ts";

/** Bits of a code that is packed; both divide a word. */
export type PackedBits = 4 | 8;

const WORD_BITS = 32;
const WORD_BYTES = WORD_BITS / 8;

/** Codes in one word. */
export const codesPerWord = (bits: PackedBits): number => WORD_BITS / bits;

/** What is added to codes. */
const half = (bits: PackedBits): number => 1 << (bits - 1);

type Pack = (codes: Uint8Array) => Uint8Array;

/** Adding half of the range to two's complement flips its highest bit. */
const PACK: Readonly<Record<PackedBits, Pack>> = {
  4(codes) {
    const out = new Uint8Array(codes.length / 2);
    for (let i = 0, at = 0; at < out.length; at++, i += 2)
      out[at] = ((codes[i]! & 15) | ((codes[i + 1]! & 15) << 4)) ^ 0x88;
    return out;
  },
  8(codes) {
    const out = new Uint8Array(codes.length);
    for (let i = 0; i < out.length; i++) out[i] = codes[i]! ^ 0x80;
    return out;
  },
};

/** Whole rows of codes, two's complement, whose length is a multiple of those in a word; the bytes of little-endian words. */
export const packRows = (codes: Uint8Array, bits: PackedBits): Uint8Array => PACK[bits](codes);

/** The `count` codes of packed rows, two's complement. */
export function unpackRows(bytes: Uint8Array, bits: PackedBits, count: number): Uint8Array {
  const unsigned = bits === 8 ? bytes.subarray(0, count) : unpackUnsigned(bytes, bits, count);
  const middle = half(bits);
  return unsigned.map((code) => code - middle);
}

/** Words that hold one column of zero points. */
export const zeroPointRows = (rows: number, bits: PackedBits): number => Math.ceil(rows / codesPerWord(bits));

const wordAt = (row: number, group: number, groups: number, bits: PackedBits): readonly [number, number] => {
  const perWord = codesPerWord(bits);
  return [Math.floor(row / perWord) * groups + group, (row % perWord) * bits];
};

/** Zero points `[rows, groups]` as words `[ceil(rows / codes in a word), groups]`; places without a row hold zero bits. */
export function packZeroPoints(zeroPoints: Int8Array, rows: number, bits: PackedBits): Uint8Array {
  const groups = zeroPoints.length / rows;
  const words = new Int32Array(zeroPointRows(rows, bits) * groups);
  for (let row = 0, i = 0; row < rows; row++)
    for (let group = 0; group < groups; group++, i++) {
      const [word, shift] = wordAt(row, group, groups, bits);
      words[word]! |= (zeroPoints[i]! + half(bits)) << shift;
    }
  return new Uint8Array(words.buffer);
}

/** Zero points `[rows, groups]` of the bytes that `packZeroPoints` makes. */
export function unpackZeroPoints(bytes: Uint8Array, rows: number, bits: PackedBits): Int8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = bytes.length / WORD_BYTES / zeroPointRows(rows, bits);
  const zeroPoints = new Int8Array(rows * groups);
  for (let row = 0, i = 0; row < rows; row++)
    for (let group = 0; group < groups; group++, i++) {
      const [word, shift] = wordAt(row, group, groups, bits);
      const code = (view.getInt32(word * WORD_BYTES, true) >> shift) & ((1 << bits) - 1);
      zeroPoints[i] = code - half(bits);
    }
  return zeroPoints;
}
