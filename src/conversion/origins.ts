/** Where the initializers of a converted model come from, so that trained ones can be put back. */
import { node as makeNode } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { decodeFloats, encodeFloats } from "../numeric/convert.ts";
import { byteLength, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { permuted } from "../passes/lazy-constants.ts";

/** How an initializer was made of a TFLite tensor: axes of length 1 in front up to the rank of `perm`, then transposed. */
export interface Origin {
  /** Name of the TFLite tensor. */
  readonly tensor: string;
  readonly perm: readonly number[];
  /** Of the TFLite tensor. */
  readonly shape: readonly number[];
  /** Of the TFLite tensor; float16 is converted to float32. */
  readonly dtype: DType;
}

/** The order that undoes another. */
export const inverse = (perm: readonly number[]): readonly number[] => perm.map((_, axis) => perm.indexOf(axis));

/** A tensor with its axes in another order; its bytes are computed when they are read. */
export function transposed(tensor: Tensor, perm: readonly number[], name = tensor.name): Tensor {
  if (perm.every((axis, i) => axis === i)) return { ...tensor, name };
  const node = makeNode("Transpose", [tensor.name], [name], { attributes: { perm } });
  return (
    permuted(node, [tensor]) ?? fail("unsupported", `tensor "${tensor.name}" (${tensor.dtype}) can't be transposed`)
  );
}

/** One perm behind another, on as many axes as the second has; the first leaves new axes in front. */
export function composed(first: readonly number[], second: readonly number[]): readonly number[] {
  const added = second.length - first.length;
  const whole = second.map((_, i) => (i < added ? i : first[i - added]! + added));
  return second.map((axis) => whole[axis]!);
}

/** The same values as float32 or float16. */
export function asFloats(tensor: Tensor, dtype: DType): Tensor {
  if (tensor.dtype === dtype) return tensor;
  const size = byteLength(dtype, elementCount(tensor.shape));
  const data = computedSource(size, async () =>
    encodeFloats(decodeFloats(await readAll(tensor.data), tensor.dtype), dtype),
  );
  return { ...tensor, dtype, data };
}

/**
 * An initializer of the converted model, trained or not, as the tensor of the TFLite model it came from: its name, order of
 * axes, shape and type. Another shape than that of the initializer is an error of code "graph".
 */
export function toTflite(tensor: Tensor, { tensor: name, perm, shape, dtype }: Origin): Tensor {
  const back = transposed(tensor, inverse(perm), name);
  if (perm.length !== tensor.shape.length || elementCount(back.shape) !== elementCount(shape))
    fail(
      "graph",
      `tensor "${tensor.name}" of shape [${tensor.shape}] does not become "${name}" of [${shape}]; convert again`,
    );
  return asFloats({ ...back, shape }, dtype);
}
