/** Encoding and decoding rows of tensors in ggml's number formats, with every input checked. */
import { fail } from "../../numeric/errors.ts";
import { difference, type Noise } from "./difference.ts";
import { firstNonFinite } from "./finite.ts";
import { DOUBT } from "./format.ts";
import { GGML_FORMAT_NAMES, GGML_FORMATS, type GgmlFormatName, type GgmlFormats, ggmlBytes } from "./formats.ts";
import { hasGgmlWasm } from "./machine.ts";
import { WASM_FORMATS } from "./wasm.ts";

export { checksum } from "./checksum.ts";
export { MOST_COMPARED, type Noise } from "./difference.ts";
export { type FloatType, firstNonFinite } from "./finite.ts";
export type { GgmlDecode, GgmlEncode, GgmlFormat, ImportanceUse } from "./format.ts";
export {
  GGML_FORMAT_NAMES,
  GGML_FORMATS,
  type GgmlFormatName,
  type GgmlFormats,
  ggmlBytes,
  isGgmlFormat,
} from "./formats.ts";

export { type GgmlBuffers, ggmlBuffers } from "./machine.ts";
export { WASM_FORMATS } from "./wasm.ts";

let fastest: GgmlFormats | undefined;

/** The fastest table this runtime can run; all give the same bytes. */
export function fastestGgmlFormats(): GgmlFormats {
  fastest ??= hasGgmlWasm() ? WASM_FORMATS : GGML_FORMATS;
  return fastest;
}

/** Whole rows of one tensor. */
export interface GgmlRows {
  /** Of the tensor, for errors. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Index of the first value in its tensor, for errors; 0 if not given. */
  readonly first?: number;
  /** One weight per column, as `checkImportance` wants it. */
  readonly importance?: Float32Array;
  /** Lets types that only llama-quantize demands importance for go without, as it does for embeddings and output. */
  readonly allowsNoImportance?: boolean;
}

/** Throws unless rows of that length divide into blocks of the type. */
export function checkColumns(type: GgmlFormatName, name: string, columns: number): void {
  const { block } = GGML_FORMATS[type];
  if (columns % block === 0) return;
  const fitting = GGML_FORMAT_NAMES.filter((other) => other !== "f32" && columns % GGML_FORMATS[other].block === 0);
  fail(
    "unsupported",
    `tensor "${name}": rows of ${columns} values do not divide into the blocks of ${block} that ${type} has; use one of ${fitting.join(", ")}`,
  );
}

/** Throws unless there is one finite weight per column, none negative, and not all zero. */
export function checkImportance(name: string, columns: number, weights: Float32Array): void {
  if (weights.length !== columns)
    fail(
      "data",
      `importance of tensor "${name}": ${weights.length} weights for rows of ${columns} values; one weight per column is needed`,
    );
  const wrong = weights.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
  if (wrong >= 0)
    fail(
      "data",
      `importance of tensor "${name}": weight ${wrong} is ${weights[wrong]}; weights are finite and not negative, so collect them again`,
    );
  if (weights.every((weight) => weight === 0))
    fail(
      "data",
      `importance of tensor "${name}": all ${columns} weights are zero, from index 0 on, so no value would count; collect it on more text, or leave this tensor out of it`,
    );
}

function checkNeed(type: GgmlFormatName, { name, importance, allowsNoImportance }: GgmlRows): void {
  const use = GGML_FORMATS[type].importance;
  if (importance !== undefined || use === "used" || use === "ignored") return;
  if (use === "demanded" && allowsNoImportance === true) return;
  fail(
    "usage",
    `tensor "${name}": ${type} needs an importance matrix, and there is none for this tensor; give one (--imatrix) or use a type with more bits`,
  );
}

function checkFinite(src: Float32Array, { name, first = 0 }: GgmlRows): void {
  const wrong = firstNonFinite(new Uint8Array(src.buffer, src.byteOffset, src.byteLength), "float32");
  if (wrong < 0) return;
  fail(
    "data",
    `tensor "${name}": the value at index ${first + wrong} is ${src[wrong]}; only finite values can be quantized`,
  );
}

function checkLengths(
  type: GgmlFormatName,
  name: string,
  values: number,
  floats: Float32Array,
  blocks: Uint8Array,
): void {
  const bytes = ggmlBytes(type, values);
  if (floats.length === values && blocks.length === bytes) return;
  fail(
    "data",
    `tensor "${name}": ${floats.length} values and ${blocks.length} bytes of ${type} do not belong together; ${values} values take ${bytes} bytes`,
  );
}

function checkScales(type: GgmlFormatName, dst: Uint8Array, { name, first = 0 }: GgmlRows): void {
  const { block, firstInfinite } = GGML_FORMATS[type];
  const wrong = firstInfinite(dst);
  if (wrong < 0) return;
  fail(
    "data",
    `tensor "${name}": the values from index ${first + wrong * block} on are too large for ${type}, whose scales end at 65504; use bf16, or scale the tensor`,
  );
}

/** Encodes whole rows into `dst`; throws a `FewbitError` that names tensor and index for what has no meaning in the type. */
export function encodeGgml(
  type: GgmlFormatName,
  src: Float32Array,
  dst: Uint8Array,
  rows: GgmlRows,
  formats: GgmlFormats = fastestGgmlFormats(),
): void {
  const { name, columns, importance, first = 0 } = rows;
  const count = rows.rows * columns;
  checkColumns(type, name, columns);
  checkNeed(type, rows);
  if (importance !== undefined) checkImportance(name, columns, importance);
  checkLengths(type, name, count, src, dst);
  const format = formats[type];
  const isLookedAt = format.findsNonFinite === true && (importance === undefined || format.importance === "ignored");
  if (!isLookedAt) checkFinite(src, rows);
  const refused = format.encode(src, dst, rows.rows, columns, importance);
  if (refused === DOUBT) checkFinite(src, rows);
  if (refused >= 0)
    fail(
      "data",
      `tensor "${name}": squares of the values from index ${first + refused} on overflow float32, so ${type} has no nearest code; use a type without a codebook, or scale the tensor`,
    );
  if (!isLookedAt || refused === DOUBT) checkScales(type, dst, rows);
}

/** Decodes `dst.length` values, whole blocks, of the tensor called `name`. */
export function decodeGgml(
  type: GgmlFormatName,
  src: Uint8Array,
  dst: Float32Array,
  name: string,
  formats: GgmlFormats = fastestGgmlFormats(),
): void {
  checkColumns(type, name, dst.length);
  checkLengths(type, name, dst.length, dst, src);
  formats[type].decode(src, dst);
}

/** How far the blocks of the first `count` values, whole blocks of at most `MOST_COMPARED` values, are from them. */
export const ggmlDifference = (
  type: GgmlFormatName,
  values: Float32Array,
  blocks: Uint8Array,
  count: number,
  formats: GgmlFormats = fastestGgmlFormats(),
): Noise => difference(formats[type], values, blocks, count);
