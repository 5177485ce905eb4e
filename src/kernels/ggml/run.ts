/** Whole tensors through the WebAssembly program in chunks; arrays that lie in its memory are not copied. */
import { sumOfSquares } from "./float.ts";
import { DOUBT, type GgmlDecode, type GgmlEncode, type GgmlFormat } from "./format.ts";
import { BYTES_AT, CHUNK, type Machine, machine, type Program, VALUES_AT, WEIGHTS_AT } from "./machine.ts";

/** Encodes so many blocks of the values at `src`; `weights` is where theirs lie, 0 for none. Answers the first it refuses, `DOUBT`, or -1. */
export type EncodeCall = (
  program: Program,
  src: number,
  dst: number,
  blocks: number,
  weights: number,
  sigma2: number,
) => number;

/** A call that refuses no block. */
export const accepting =
  (call: (...all: Parameters<EncodeCall>) => void): EncodeCall =>
  (...all) => {
    call(...all);
    return -1;
  };

/** Decodes so many blocks at `src`. */
export type DecodeCall = (program: Program, src: number, dst: number, blocks: number) => void;

/** Runs values `from` to `to` through `call`, with the weights from their first on. Answers as `GgmlEncode` does. */
function encodeRun(
  { program, values, weights, bytes: out }: Machine,
  { block, bytes }: GgmlFormat,
  call: EncodeCall,
  src: Float32Array,
  from: number,
  to: number,
  dst: Uint8Array,
  importance: Float32Array | undefined,
  sigma2: number,
): number {
  const readsInPlace = src.buffer === values.buffer;
  const writesInPlace = dst.buffer === values.buffer;
  let answer = -1;
  for (let at = from; at < to; at += CHUNK) {
    const count = Math.min(CHUNK, to - at);
    const blocks = count / block;
    const place = (at / block) * bytes;
    if (!readsInPlace) values.set(src.subarray(at, at + count));
    if (importance !== undefined) weights.set(importance.subarray(at - from, at - from + count));
    const valuesAt = readsInPlace ? src.byteOffset + 4 * at : VALUES_AT;
    const bytesAt = writesInPlace ? dst.byteOffset + place : BYTES_AT;
    const refused = call(program, valuesAt, bytesAt, blocks, importance === undefined ? 0 : WEIGHTS_AT, sigma2);
    if (refused >= 0) return at + refused * block;
    if (refused === DOUBT) answer = DOUBT;
    if (!writesInPlace) dst.set(out.subarray(0, blocks * bytes), place);
  }
  return answer;
}

/** An encoder that hands whole tensors on where nothing is weighted, else row by row; `start` answers the machine it runs on. */
export const encoder =
  (row: GgmlFormat, call: EncodeCall, usesSigma2: boolean, start: () => Machine = machine): GgmlEncode =>
  (src, dst, rows, columns, importance) => {
    if (importance === undefined || row.importance === "ignored")
      return encodeRun(start(), row, call, src, 0, rows * columns, dst, undefined, 0);
    let refused = -1;
    for (let from = 0; from < rows * columns && refused < 0; from += columns) {
      const sigma2 = usesSigma2 ? Math.fround(sumOfSquares(src, from, columns) / columns) : 0;
      refused = encodeRun(start(), row, call, src, from, from + columns, dst, importance, sigma2);
    }
    return refused;
  };

/** A decoder of as many blocks as fill `dst`. */
export const decoder =
  ({ block, bytes }: GgmlFormat, call: DecodeCall): GgmlDecode =>
  (src, dst) => {
    const { program, values, bytes: input } = machine();
    const readsInPlace = src.buffer === values.buffer;
    const writesInPlace = dst.buffer === values.buffer;
    for (let at = 0; at < dst.length; at += CHUNK) {
      const count = Math.min(CHUNK, dst.length - at);
      const blocks = count / block;
      const place = (at / block) * bytes;
      if (!readsInPlace) input.set(src.subarray(place, place + blocks * bytes));
      const bytesAt = readsInPlace ? src.byteOffset + place : BYTES_AT;
      call(program, bytesAt, writesInPlace ? dst.byteOffset + 4 * at : VALUES_AT, blocks);
      if (!writesInPlace) dst.set(values.subarray(0, count), at);
    }
  };
