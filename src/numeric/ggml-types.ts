/**
 * Every element type of ggml and what a block of it takes; blocks lie within a row, one behind the other. Ids and block
 * structs: enum ggml_type of ggml.h and ggml-common.h of ggml 0.25.1.
 */
import { DTYPES, type DType } from "./dtypes.ts";

/** One type: its number in files, elements and bytes of a block, and the dtype where it is a plain element. */
export interface GgmlTypeRow {
  readonly id: number;
  /** Elements of one block; a row must be a whole number of blocks. */
  readonly block: number;
  /** Bytes of one block, as the sum of its fields. */
  readonly bytes: number;
  /** The dtype of the same elements, where a block is one of them. */
  readonly dtype?: DType;
}

const plain = <D extends DType>(id: number, dtype: D) =>
  ({ id, block: 1, bytes: DTYPES[dtype].bits / 8, dtype }) as const;
const blocks = (id: number, block: number, bytes: number) => ({ id, block, bytes }) as const;

/** Elements of a super-block (QK_K). */
const SUPER = 256;
/** Bytes of a half-precision scale or minimum (ggml_half). */
const HALF = 2;
/** Bytes of the packed 6-bit scales of a super-block (K_SCALE_SIZE). */
const SCALES_6BIT = 12;

/** By ggml's name in lower case. Ids that are missing were taken back by ggml. */
export const GGML_TYPES = {
  f32: plain(0, "float32"),
  f16: plain(1, "float16"),
  bf16: plain(30, "bfloat16"),
  f64: plain(28, "float64"),
  i8: plain(24, "int8"),
  i16: plain(25, "int16"),
  i32: plain(26, "int32"),
  i64: plain(27, "int64"),
  q1_0: blocks(41, 128, HALF + 128 / 8), // scale, signs
  q2_0: blocks(42, 64, HALF + 64 / 4), // scale, 2-bit codes
  q4_0: blocks(2, 32, HALF + 32 / 2), // scale, 4-bit codes
  q4_1: blocks(3, 32, HALF + HALF + 32 / 2), // scale, minimum, 4-bit codes
  q5_0: blocks(6, 32, HALF + 32 / 8 + 32 / 2), // scale, fifth bits, low 4 bits
  q5_1: blocks(7, 32, HALF + HALF + 32 / 8 + 32 / 2), // scale, minimum, fifth bits, low 4 bits
  q8_0: blocks(8, 32, HALF + 32), // scale, 8-bit codes
  q8_1: blocks(9, 32, HALF + HALF + 32), // scale, scaled sum, 8-bit codes; inside ggml only
  q2_k: blocks(10, SUPER, SUPER / 16 + SUPER / 4 + HALF + HALF), // 4-bit scales and minima, codes, their two scales
  q3_k: blocks(11, SUPER, SUPER / 8 + SUPER / 4 + SCALES_6BIT + HALF), // high bits, low 2 bits, scales, scale
  q4_k: blocks(12, SUPER, HALF + HALF + SCALES_6BIT + SUPER / 2), // two scales, scales and minima, codes
  q5_k: blocks(13, SUPER, HALF + HALF + SCALES_6BIT + SUPER / 8 + SUPER / 2), // as q4_k with high bits
  q6_k: blocks(14, SUPER, SUPER / 2 + SUPER / 4 + SUPER / 16 + HALF), // low 4 bits, high 2 bits, scales, scale
  q8_k: blocks(15, SUPER, 4 + SUPER + (SUPER / 16) * 2), // float32 scale, codes, int16 sums; inside ggml only
  iq1_s: blocks(19, SUPER, HALF + SUPER / 8 + (SUPER / 32) * 2), // scale, low 8 bits of grid indices, high bits and scales
  iq1_m: blocks(29, SUPER, SUPER / 8 + SUPER / 16 + SUPER / 32), // low 8 bits of grid indices, high bits, scales
  iq2_xxs: blocks(16, SUPER, HALF + (SUPER / 8) * 2), // scale, grid indices with signs and scales
  iq2_xs: blocks(17, SUPER, HALF + (SUPER / 8) * 2 + SUPER / 32), // scale, grid indices with signs, scales
  iq2_s: blocks(22, SUPER, HALF + SUPER / 4 + SUPER / 32 + SUPER / 32), // scale, indices and signs, high bits, scales
  iq3_xxs: blocks(18, SUPER, HALF + (3 * SUPER) / 8), // scale, grid indices then signs and scales
  iq3_s: blocks(21, SUPER, HALF + SUPER / 4 + SUPER / 32 + SUPER / 8 + SUPER / 64), // scale, indices, high bits, signs, scales
  iq4_nl: blocks(20, 32, HALF + 32 / 2), // scale, 4-bit indices
  iq4_xs: blocks(23, SUPER, HALF + 2 + SUPER / 64 + SUPER / 2), // scale, high bits of scales, low bits, 4-bit indices
  tq1_0: blocks(34, SUPER, (SUPER - SUPER / 16) / 5 + SUPER / 64 + HALF), // five ternary digits a byte, the last four, scale
  tq2_0: blocks(35, SUPER, SUPER / 4 + HALF), // 2-bit codes, scale
  mxfp4: blocks(39, 32, 1 + 32 / 2), // E8M0 scale, E2M1 codes
  nvfp4: blocks(40, 64, 64 / 16 + 64 / 2), // UE4M3 scale for each 16, E2M1 codes
} as const satisfies Record<string, GgmlTypeRow>;

/** ggml's element types by name. */
export type GgmlType = keyof typeof GGML_TYPES;

/** Those that pack several elements into a block; the others are dtypes under another name. */
export type BlockType = {
  [T in GgmlType]: (typeof GGML_TYPES)[T] extends { readonly dtype: DType } ? never : T;
}[GgmlType];

const rows = Object.entries(GGML_TYPES) as readonly [GgmlType, GgmlTypeRow][];
const BY_ID = new Map(rows.map(([name, { id }]) => [id, name]));
const BY_DTYPE = new Map(rows.flatMap(([name, { dtype }]) => (dtype === undefined ? [] : [[dtype, name] as const])));

/** ggml's type of an id; undefined for ids that ggml does not have, or no longer has. */
export const ggmlTypeOf = (id: number): GgmlType | undefined => BY_ID.get(id);

/** ggml's name of a plain element type; undefined where it has none. */
export const ggmlNameOf = (dtype: DType): GgmlType | undefined => BY_DTYPE.get(dtype);

/** Whether a name is that of a block type. */
export const isBlockType = (name: string): name is BlockType =>
  Object.hasOwn(GGML_TYPES, name) && GGML_TYPES[name as GgmlType].block > 1;
