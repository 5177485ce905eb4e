/** Samples for training: asked for by number, in any order. */
import type { Feeds, NDArray } from "../ir/model.ts";
import { emptyArray } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";

/** Rows of model inputs, labels or targets among them; every array has the samples on its first axis. */
export interface TrainingData {
  readonly length: number;
  /** The samples of these numbers as one batch, in this order. */
  rows(indices: readonly number[]): Promise<Feeds>;
}

function pick({ dtype, shape, data }: NDArray, indices: readonly number[]): NDArray {
  const size = elementCount(shape.slice(1));
  const out = emptyArray(dtype, indices.length * size);
  for (const [at, index] of indices.entries())
    (out as Uint8Array).set(data.subarray(index * size, (index + 1) * size) as Uint8Array, at * size);
  return { dtype, shape: [indices.length, ...shape.slice(1)], data: out };
}

/** Samples in memory. All arrays must be equally long. */
export function memoryData(arrays: Feeds): TrainingData {
  const [head, ...rest] = Object.entries(arrays);
  const length = head?.[1].shape[0] ?? fail("data", "training data: no arrays were given");
  for (const [name, { shape }] of rest)
    if (shape[0] !== length)
      fail("data", `training data: "${name}" has ${shape[0]} samples, but "${head![0]}" has ${length}; all must agree`);
  return {
    length,
    rows: async (indices) =>
      Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, pick(array, indices)])),
  };
}
