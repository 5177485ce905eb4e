/** Tensors that stay as they are: their floats have to be finite too. */
import type { StorageType } from "../../ir/tensor-file.ts";
import { type FloatType, firstNonFinite } from "../../kernels/ggml/index.ts";
import { typedView } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { bfloat16ToFloat, halfToFloat } from "../../numeric/half.ts";

/** Value of the element at `at`, by type. */
const VALUES: { readonly [T in FloatType]: (bytes: Uint8Array, at: number) => number } = {
  float32: (bytes, at) => (typedView(bytes, "float32") as Float32Array)[at]!,
  float16: (bytes, at) => halfToFloat(bytes[2 * at]! | (bytes[2 * at + 1]! << 8)),
  bfloat16: (bytes, at) => bfloat16ToFloat(bytes[2 * at]! | (bytes[2 * at + 1]! << 8)),
};

const isFloat = (type: StorageType): type is FloatType => Object.hasOwn(VALUES, type);

/** Bytes of one value. */
const BYTES: Readonly<Record<FloatType, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/**
 * Throws for a value that is NaN or infinite. `first` is the byte of the tensor at which `bytes` begin, at a whole
 * element; types other than floats pass.
 */
export function checkCopied(name: string, type: StorageType, bytes: Uint8Array, first: number): void {
  if (!isFloat(type)) return;
  const wrong = firstNonFinite(bytes, type);
  if (wrong < 0) return;
  const value = VALUES[type](bytes, wrong);
  fail(
    "data",
    `tensor "${name}": the value at index ${first / BYTES[type] + wrong} is ${value}; a model needs finite values, so repair the export`,
  );
}
