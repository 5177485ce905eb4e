/** Feeds of several batches taken apart, and the results of each put together. */
import type { Feeds, NDArray, ValueInfo } from "../ir/model.ts";
import { emptyArray, typedView } from "../numeric/convert.ts";
import { fail } from "../numeric/errors.ts";
import { batchBytes } from "./litert-batches.ts";

/** What batch `index` of `count` feeds. */
export const batchFeeds = (inputs: readonly ValueInfo[], feeds: Feeds, index: number, count: number): Feeds =>
  Object.fromEntries(
    inputs.map((input) => {
      const { dtype } = feeds[input.name]!;
      const data = typedView(batchBytes(feeds[input.name]!, input, index, count), dtype);
      return [input.name, { dtype, shape: input.shape as readonly number[], data }];
    }),
  );

/** Batches of a value behind one another along their first axis. */
export function joinBatches(name: string, batches: readonly NDArray[]): NDArray {
  const [first] = batches;
  const { dtype, shape, data } = first!;
  if (shape.length === 0) fail("unsupported", `"${name}" is one number per batch; give one batch`);
  const joined = emptyArray(dtype, 0).constructor as Int8ArrayConstructor;
  const all = new joined(batches.length * data.length);
  for (const [index, batch] of batches.entries()) all.set(batch.data as Int8Array, index * data.length);
  return { dtype, shape: [batches.length * shape[0]!, ...shape.slice(1)], data: all };
}

/** No rows of a value. */
export const noRows = ({ name, dtype, shape }: ValueInfo): NDArray => {
  if (!dtype || !shape?.length) return fail("data", `"${name}" has no shape for no rows; give at least one`);
  return { dtype, shape: [0, ...(shape.slice(1) as readonly number[])], data: emptyArray(dtype, 0) };
};
