/** What one ggml block format is. The rows stand in `index.ts`. */
import type { GgmlTypeRow } from "../../numeric/ggml-types.ts";
import { sumOfSquares } from "./float.ts";

/**
 * What an importance matrix is to a type: the encoder has to have it; llama-quantize demands it, except for token
 * embeddings and the output matrix; it changes the codes; it is not looked at.
 */
export type ImportanceUse = "required" | "demanded" | "used" | "ignored";

/**
 * Encodes `rows * columns` finite values (row-major) into `dst`; `columns` is a multiple of the block. `importance` holds
 * one weight per column. Whole rows may be given in as many calls as suits: no state is kept between them.
 * Answers -1, `DOUBT`, or the index of the first value of a block that has no code, where ggml stops the process.
 */
export type GgmlEncode = (
  src: Float32Array,
  dst: Uint8Array,
  rows: number,
  columns: number,
  importance?: Float32Array,
) => number;

/** The answer of an encoder that met what may not be finite; the bytes of finite values are right all the same. */
export const DOUBT = -2;

/** Decodes as many whole blocks as fill `dst`. */
export type GgmlDecode = (src: Uint8Array, dst: Float32Array) => void;

/** One block format: `block` values in `bytes` bytes. */
export interface GgmlFormat extends GgmlTypeRow {
  readonly importance: ImportanceUse;
  /** Without weights `encode` answers `DOUBT` where a value or a scale is not finite, so nobody has to look first. */
  readonly findsNonFinite?: true;
  readonly encode: GgmlEncode;
  readonly decode: GgmlDecode;
  /** The first of whole blocks whose scales are not all finite, -1 where all are: large values overflow halves. */
  readonly firstInfinite: (y: Uint8Array) => number;
}

/** Values of a super-block. */
export const SUPER = 256;

/** Encodes one block: values from `from` on to bytes from `to` on. */
export type EncodeBlock = (x: Float32Array, from: number, y: Uint8Array, to: number) => void;

/** Encodes one block of a row with its weights; `sigma2` is the mean square of the row. */
export type EncodeWeighted = (
  x: Float32Array,
  from: number,
  y: Uint8Array,
  to: number,
  importance: Float32Array,
  weightsFrom: number,
  sigma2: number,
) => void;

/** Decodes one block: bytes from `from` on to values from `to` on. */
export type DecodeBlock = (y: Uint8Array, from: number, x: Float32Array, to: number) => void;

/** Calls `encode` on every block, whatever row it is in. */
export const encodeBlocks =
  (block: number, bytes: number, encode: EncodeBlock): GgmlEncode =>
  (src, dst, rows, columns) => {
    const end = rows * columns;
    for (let from = 0, to = 0; from < end; from += block, to += bytes) encode(src, from, dst, to);
    return -1;
  };

/** Calls `weighted` on every block where weights are given, `plain` where not. */
export function encodeRows(block: number, bytes: number, plain: EncodeBlock, weighted: EncodeWeighted): GgmlEncode {
  const encodePlain = encodeBlocks(block, bytes, plain);
  return (src, dst, rows, columns, importance) => {
    if (importance === undefined) return encodePlain(src, dst, rows, columns);
    for (let row = 0, to = 0; row < rows; row++) {
      const start = row * columns;
      const sigma2 = Math.fround(sumOfSquares(src, start, columns) / columns);
      for (let i = 0; i < columns; i += block, to += bytes) weighted(src, start + i, dst, to, importance, i, sigma2);
    }
    return -1;
  };
}

/** Encodes one super-block; without weights `importance` is undefined. False where the block has no code. */
export type EncodeSuper = (
  x: Float32Array,
  from: number,
  y: Uint8Array,
  to: number,
  importance: Float32Array | undefined,
  weightsFrom: number,
) => boolean;

/** Calls `encode` on every block with the place of its weights, up to the first that has no code. */
export const encodeSupers =
  (block: number, bytes: number, encode: EncodeSuper): GgmlEncode =>
  (src, dst, rows, columns, importance) => {
    for (let row = 0, from = 0, to = 0; row < rows; row++)
      for (let i = 0; i < columns; i += block, from += block, to += bytes)
        if (!encode(src, from, dst, to, importance, i)) return from;
    return -1;
  };

/** Calls `decode` on every block. */
export const decodeBlocks =
  (block: number, bytes: number, decode: DecodeBlock): GgmlDecode =>
  (src, dst) => {
    for (let from = 0, to = 0; to < dst.length; from += bytes, to += block) decode(src, from, dst, to);
  };
