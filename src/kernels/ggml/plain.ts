/** Types without blocks: f32, f16, bf16. Little-endian. */
import { GGML_TYPES, type GgmlTypeRow } from "../../numeric/ggml-types.ts";
import { decodeBfloat16, decodeHalf, encodeBfloat16, encodeHalf } from "../../numeric/half.ts";
import { firstNonFinite } from "./finite.ts";
import type { GgmlFormat } from "./format.ts";

/** The bytes as words where they are aligned, else a copy. */
const wordsOf = (bytes: Uint8Array, count: number): Uint16Array =>
  bytes.byteOffset % 2 === 0
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, count)
    : new Uint16Array(bytes.slice(0, 2 * count).buffer);

const bytesOf = (view: Uint16Array | Float32Array): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

const twoBytes = (
  type: GgmlTypeRow,
  encode: (values: Float32Array) => Uint16Array,
  decode: (bits: Uint16Array, out: Float32Array) => Float32Array,
  name: "float16" | "bfloat16",
): GgmlFormat => ({
  ...type,
  importance: "ignored",
  encode(src, dst, rows, columns) {
    dst.set(bytesOf(encode(src.subarray(0, rows * columns))));
    return -1;
  },
  decode: (src, dst) => void decode(wordsOf(src, dst.length), dst),
  firstInfinite: (y) => firstNonFinite(y, name),
});

/** IEEE half precision. */
export const f16 = twoBytes(GGML_TYPES.f16, encodeHalf, decodeHalf, "float16");
/** bfloat16. */
export const bf16 = twoBytes(GGML_TYPES.bf16, encodeBfloat16, decodeBfloat16, "bfloat16");

/** Unchanged. */
export const f32: GgmlFormat = {
  ...GGML_TYPES.f32,
  importance: "ignored",
  encode(src, dst, rows, columns) {
    dst.set(bytesOf(src.subarray(0, rows * columns)));
    return -1;
  },
  decode: (src, dst) => bytesOf(dst).set(src.subarray(0, 4 * dst.length)),
  firstInfinite: () => -1,
};
