import { expect, test } from "vitest";
import type { NDArray } from "../ir/model.ts";
import type { Dataset } from "./data.ts";
import { memoryArray } from "./data-arrays.ts";
import { rowsDataset } from "./data-rows.ts";
import { memoryData, trainingData, withLabels, withTargets } from "./training-data.ts";

const COUNT = 10;
const x: NDArray = {
  dtype: "float32",
  shape: [COUNT, 2],
  data: Float32Array.from({ length: 2 * COUNT }, (_, i) => i),
};
const dataset = (samples?: number): Dataset =>
  rowsDataset(
    [{ input: { name: "x", dtype: "float32", shape: ["batch", 2] }, array: memoryArray(x, "x.npy") }],
    "x.npy",
    samples === undefined ? {} : { samples },
  );

test("samples come in any order, the same from memory as read row by row", async () => {
  for (const room of [undefined, 8]) {
    const data = await trainingData(dataset(), room);
    expect(data.length).toBe(COUNT);
    const rows = await data.rows([7, 0, 7]);
    expect(rows.x).toEqual({ dtype: "float32", shape: [3, 2], data: Float32Array.of(14, 15, 0, 1, 14, 15) });
  }
});

test("numbers count the samples that are used, where some are left out", async () => {
  for (const room of [undefined, 8]) {
    const data = await trainingData(dataset(5), room);
    expect([...(await data.rows([1, 4])).x!.data]).toEqual([4, 5, 16, 17]);
  }
});

test("samples that can only be read in order must fit into memory, and all must be of one shape", async () => {
  const { rows: _, ...ordered } = dataset();
  expect((await trainingData(ordered)).length).toBe(COUNT);
  await expect(trainingData(ordered, 8)).rejects.toThrow(/only be read in order/);
  await expect(trainingData({ ...dataset(), varies: true })).rejects.toThrow(/different shapes/);
});

test("labels and targets go with their samples, one for each", async () => {
  const data = memoryData({ x });
  const labelled = withLabels(
    data,
    "labels",
    Array.from({ length: COUNT }, (_, i) => i % 3),
  );
  expect((await labelled.rows([4, 2])).labels).toEqual({ dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) });
  const taught = withTargets(data, "target", x);
  expect([...(await taught.rows([3])).target!.data]).toEqual([6, 7]);
  expect(() => withLabels(data, "labels", [1])).toThrow("1 labels for 10 samples");
  expect(() => withTargets(data, "target", { ...x, shape: [5, 4] })).toThrow("5 targets for 10 samples");
});
