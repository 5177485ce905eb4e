/** Samples for training: asked for by number, in any order. */
import type { Feeds, NDArray } from "../ir/model.ts";
import { emptyArray, floatsOf } from "../numeric/convert.ts";
import { byteLength, DTYPES, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { Dataset } from "./data.ts";
import { concatenate } from "./data-arrays.ts";

/** Rows of model inputs, labels or targets among them; every array has the samples on its first axis. */
export interface TrainingData {
  readonly length: number;
  /** The samples of these numbers as one batch, in this order. */
  rows(indices: readonly number[]): Promise<Feeds>;
}

/** Samples below this are read once and kept: 50,000 images of 32 x 32 in float32 and as much again. */
const MAX_KEPT_BYTES = 2 ** 30;
const READ_BATCH = 256;

function pick({ dtype, shape, data }: NDArray, indices: readonly number[]): NDArray {
  const size = elementCount(shape.slice(1));
  const out = emptyArray(dtype, indices.length * size);
  for (const [at, index] of indices.entries())
    (out as Uint8Array).set(data.subarray(index * size, (index + 1) * size) as Uint8Array, at * size);
  return { dtype, shape: [indices.length, ...shape.slice(1)], data: out };
}

function checkNumbers(name: string, { dtype, shape, data }: NDArray): void {
  if (DTYPES[dtype].kind !== "float") return;
  const at = floatsOf(data, dtype).findIndex(Number.isNaN);
  if (at < 0) return;
  const sample = Math.floor(at / elementCount(shape.slice(1)));
  fail("data", `training data: "${name}" holds NaN in sample ${sample}; leave that sample out or mend it`);
}

/** Samples in memory. All arrays must be equally long, and none may hold NaN. */
export function memoryData(arrays: Feeds): TrainingData {
  const [head, ...rest] = Object.entries(arrays);
  const length = head?.[1].shape[0] ?? fail("data", "training data: no arrays were given");
  for (const [name, { shape }] of rest)
    if (shape[0] !== length)
      fail("data", `training data: "${name}" has ${shape[0]} samples, but "${head![0]}" has ${length}; all must agree`);
  for (const [name, array] of Object.entries(arrays)) checkNumbers(name, array);
  return {
    length,
    rows: async (indices) =>
      Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, pick(array, indices)])),
  };
}

const sizeOf = (feeds: Feeds): number =>
  Object.values(feeds).reduce((sum, { dtype, shape }) => sum + byteLength(dtype, elementCount(shape)), 0);

/** All samples of a dataset, or undefined when they are too large to keep. */
async function kept(dataset: Dataset, room: number): Promise<Feeds | undefined> {
  const parts = new Map<string, NDArray[]>();
  let [size, samples] = [0, 0];
  for await (const feeds of dataset.batches(READ_BATCH)) {
    samples += Object.values(feeds)[0]!.shape[0]!;
    size += sizeOf(feeds);
    // what comes will be as large as what came
    if ((size / samples) * dataset.length > room) return undefined;
    for (const [name, array] of Object.entries(feeds)) parts.set(name, [...(parts.get(name) ?? []), array]);
  }
  return Object.fromEntries([...parts].map(([name, arrays]) => [name, concatenate(arrays)]));
}

/**
 * Samples of a dataset, in any order: kept in memory up to `room` bytes, read row by row beyond. Samples of different
 * shapes can't share a batch and are an error of code "data".
 */
export async function trainingData(dataset: Dataset, room = MAX_KEPT_BYTES): Promise<TrainingData> {
  const { rows, varies, origin, length } = dataset;
  if (varies) fail("data", `${origin}: samples of different shapes can't be shuffled into batches; make them alike`);
  const arrays = await kept(dataset, room);
  if (arrays !== undefined) return memoryData(arrays);
  if (rows !== undefined) return { length, rows };
  return fail("limit", `${origin}: more than ${room} bytes of samples that can only be read in order; give files`);
}

/** The same samples with a class number each, as the int64 input `name`. As many labels as samples, or an error. */
export function withLabels({ length, rows }: TrainingData, name: string, labels: ArrayLike<number>): TrainingData {
  if (labels.length !== length)
    fail("data", `training data: ${labels.length} labels for ${length} samples; each needs one`);
  return {
    length,
    rows: async (indices) => ({
      ...(await rows(indices)),
      [name]: {
        dtype: "int64",
        shape: [indices.length],
        data: BigInt64Array.from(indices, (index) => BigInt(labels[index]!)),
      },
    }),
  };
}

/** The same samples with a row of `array` each, as the input `name`. As many rows as samples, or an error. */
export function withTargets({ length, rows }: TrainingData, name: string, array: NDArray): TrainingData {
  if (array.shape[0] !== length)
    fail("data", `training data: ${array.shape[0] ?? 0} targets for ${length} samples; each needs one`);
  checkNumbers(name, array);
  return { length, rows: async (indices) => ({ ...(await rows(indices)), [name]: pick(array, indices) }) };
}

/** Every label must be one of `classes` class numbers, or `ignore`; else an error that says which is not. */
export function checkLabels(labels: ArrayLike<number>, classes: number, where: string, ignore?: number): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label === ignore || (Number.isInteger(label) && label >= 0 && label < classes)) continue;
    fail(
      "data",
      `${where}: the label of sample ${i} is ${label}, but the model has ${classes} classes, 0 to ${classes - 1}`,
    );
  }
}
