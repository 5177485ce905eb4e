import { expect, test } from "vitest";
import { valueInfo } from "../ir/build.ts";
import type { Dim, Feeds, NDArray } from "../ir/model.ts";
import { type DType, elementCount } from "../numeric/dtypes.ts";
import { halfToFloat } from "../numeric/half.ts";
import type { Dataset } from "./data.ts";
import { joinedArrays, memoryArray } from "./data-arrays.ts";
import { castData, checkFit, fixedBatch } from "./data-fit.ts";
import { labelsFor, labelsOfArray, labelsOfCsv, labelsOfJson } from "./data-labels.ts";
import { evenRows, rowsDataset } from "./data-rows.ts";

const floats = (shape: readonly number[], start = 0): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: elementCount(shape) }, (_, i) => start + i),
});

const dataset = (array: NDArray, shape: readonly Dim[], samples?: number): Dataset =>
  rowsDataset(
    [{ input: valueInfo("x", "float32", shape), array: memoryArray(array, "x.npy") }],
    "x.npy",
    samples === undefined ? {} : { samples },
  );

const shapes = async (data: Dataset, size: number): Promise<(readonly number[])[]> => {
  const found: Feeds[] = [];
  for await (const feeds of data.batches(size)) found.push(feeds);
  return found.map((feeds) => feeds.x!.shape);
};

const values = async (data: Dataset): Promise<number[]> => {
  const found: number[] = [];
  for await (const feeds of data.batches(3)) found.push(...(feeds.x!.data as Float32Array));
  return found;
};

test("batches have the size asked for, the last one what is left", async () => {
  expect(await shapes(dataset(floats([5, 2]), ["n", 2]), 2)).toEqual([
    [2, 2],
    [2, 2],
    [1, 2],
  ]);
});

test("a model with a fixed first dimension gets just that many samples at a time", async () => {
  expect(await shapes(dataset(floats([3, 2]), [1, 2]), 32)).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  expect(await shapes(dataset(floats([4, 2]), [2, 2]), 1)).toEqual([
    [2, 2],
    [2, 2],
  ]);
  expect(() => dataset(floats([5, 2]), [2, 2])).toThrow("5 samples can't be divided into the batches of 2");
  expect(dataset(floats([7, 2]), [2, 2], 5).length).toBe(4);
});

test("a part of the samples is spread evenly, and the rows are told", async () => {
  const data = dataset(floats([10, 1]), ["n", 1], 4);
  expect(data).toMatchObject({ length: 4, chosen: { rows: [0, 2, 5, 7], of: 10 } });
  expect(await values(data)).toEqual([0, 2, 5, 7]);
  expect(dataset(floats([3, 1]), ["n", 1], 9).chosen).toBeUndefined();
  expect(evenRows(6, 6)).toEqual([0, 1, 2, 3, 4, 5]);
});

const misfits: readonly [found: readonly number[], input: readonly Dim[], message: string][] = [
  [[4, 3], ["n", 2], 'input "x" takes [n, 2], found [4, 3]: axis 1 must be 2'],
  [[2], ["n", 2], "expected 2 axes, samples on the first; put an axis for samples in front"],
  [[4, 1, 2], ["n", 2], "expected 2 axes, samples on the first"],
  [[0, 2], ["n", 2], "x.npy: holds no samples"],
  [[4, 0], ["n", null], "its samples are empty, shape [4, 0]"],
  [[4], [], "a single number without an axis for samples"],
];

test.each(misfits)("samples of shape %o for an input of shape %o are refused", (found, input, message) => {
  expect(() => dataset(floats(found), input)).toThrow(message);
});

test("open dimensions take any length", () => {
  expect(dataset(floats([2, 7, 5]), [null, "sequence", 5]).length).toBe(2);
  expect(() => checkFit(floats([4, 3]), { name: "x" }, "x.npy")).not.toThrow();
});

test("integers for a float input are cast and not scaled", async () => {
  const bytes: NDArray = { dtype: "uint8", shape: [2, 1], data: Uint8Array.of(0, 255) };
  expect(await values(dataset(bytes, ["n", 1]))).toEqual([0, 255]);
  expect(castData({ dtype: "bool", shape: [2], data: Uint8Array.of(0, 1) }, "float32", "x").data).toEqual(
    Float32Array.of(0, 1),
  );
  expect(castData({ dtype: "int64", shape: [1], data: BigInt64Array.of(-3n) }, "float64", "x").data).toEqual(
    Float64Array.of(-3),
  );
});

test("floats are converted among themselves", () => {
  const doubles: NDArray = { dtype: "float64", shape: [1], data: Float64Array.of(0.1) };
  expect(castData(doubles, "float32", "x").data).toEqual(Float32Array.of(0.1));
  expect(halfToFloat(Number(castData(doubles, "float16", "x").data[0]))).toBeCloseTo(0.1, 4);
  const half: NDArray = { dtype: "float16", shape: [1], data: Uint16Array.of(0x3c00) };
  expect(castData(half, "float64", "x").data).toEqual(Float64Array.of(1));
});

test("integers are converted when they fit, floats never become integers", () => {
  const long: NDArray = { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 300n) };
  expect(castData(long, "int32", "x").data).toEqual(Int32Array.of(1, 300));
  expect(() => castData(long, "uint8", "x.npy")).toThrow("x.npy: 300 does not fit the input's type uint8");
  expect(castData({ dtype: "int32", shape: [1], data: Int32Array.of(-7) }, "int64", "x").data).toEqual(
    BigInt64Array.of(-7n),
  );
  expect(() => checkFit(floats([2]), valueInfo("ids", "int64", ["n"]), "x.npy")).toThrow(
    'x.npy: input "ids" takes int64, found float32; save the array as int64',
  );
  expect(() => checkFit(floats([2]), valueInfo("q", "int4" as DType, ["n"]), "x")).toThrow(
    "takes int4, which can't be fed",
  );
});

test("NaN in samples is refused, with input and place", async () => {
  const array = floats([4, 1]);
  (array.data as Float32Array)[2] = Number.NaN;
  const data = dataset(array, ["n", 1]);
  await expect(values(data)).rejects.toThrow('1 NaN for input "x" in the batch that begins with sample 0');
});

test("fixed first dimensions that disagree are refused by name", () => {
  expect(fixedBatch([valueInfo("a", "float32", ["n", 2]), valueInfo("b", "float32", [4])])).toBe(4);
  expect(fixedBatch([valueInfo("a"), valueInfo("b", "float32", [null])])).toBeUndefined();
  expect(() => fixedBatch([valueInfo("a", "float32", [1]), valueInfo("b", "float32", [8])])).toThrow(
    '"a" takes 1, "b" takes 8',
  );
});

test("arrays one behind the other are read across their borders", async () => {
  const parts = [floats([2, 1]), floats([3, 1], 2), floats([1, 1], 5)].map((array, i) =>
    memoryArray(array, `${i}.npy`),
  );
  const joined = joinedArrays(parts, "folder");
  expect(joined.shape).toEqual([6, 1]);
  for (let first = 0; first < 6; first++)
    for (let count = 1; first + count <= 6; count++)
      expect([...(await joined.rows(first, count)).data]).toEqual(Array.from({ length: count }, (_, i) => first + i));
});

test("samples of different shape do not share a batch", async () => {
  const parts = [floats([2, 3]), floats([1, 3]), floats([2, 5]), floats([1, 3])].map((array) =>
    memoryArray(array, "p"),
  );
  const data = rowsDataset(
    [{ input: valueInfo("x", "float32", ["n", "length"]), array: joinedArrays(parts, "folder") }],
    "folder",
  );
  expect(await shapes(data, 8)).toEqual([
    [3, 3],
    [2, 5],
    [1, 3],
  ]);
  const mixed = [floats([1, 2]), { ...floats([1, 2]), dtype: "int32" as const, data: Int32Array.of(1, 2) }];
  expect(() =>
    joinedArrays(
      mixed.map((array, i) => memoryArray(array, `${i}.npy`)),
      "f",
    ),
  ).toThrow("1.npy: holds int32, but 0.npy holds float32");
});

test("labels come from arrays, JSON and the last field of CSV lines", () => {
  expect(labelsOfArray({ dtype: "int64", shape: [2, 1], data: BigInt64Array.of(3n, 4n) }, "l")).toEqual(
    Int32Array.of(3, 4),
  );
  expect(labelsOfJson("[3, 4]", "l")).toEqual(Int32Array.of(3, 4));
  expect(labelsOfCsv('file,label\na.png,3\r\n"b,c.png",4\n\n', "l")).toEqual(Int32Array.of(3, 4));
  expect(labelsOfCsv("3\n4\n", "l")).toEqual(Int32Array.of(3, 4));
});

const badLabels: readonly [() => unknown, string][] = [
  [
    () => labelsOfArray({ dtype: "float32", shape: [2, 10], data: new Float32Array(20) }, "l.npy"),
    "l.npy: labels of shape [2,10]",
  ],
  [() => labelsOfArray({ dtype: "float32", shape: [1], data: Float32Array.of(0.5) }, "l.npy"), "label 0 is 0.5"],
  [() => labelsOfJson('{"a": 1}', "l.json"), "expected a list of class numbers"],
  [() => labelsOfJson("[1, 2", "l.json"), "not JSON"],
  [() => labelsOfJson("[-1]", "l.json"), "label 0 is -1"],
  [() => labelsOfCsv("1\ncat\n", "l.csv"), "no class number at the end of row 2"],
  [() => labelsFor(Int32Array.of(1, 2), { length: 3 }, "l.npy"), "2 labels, expected 3"],
];

test.each(badLabels)("bad labels %#: one clear error", (act, message) => {
  expect(act).toThrow(message);
});

test("labels follow the rows that were chosen", () => {
  const labels = Int32Array.of(10, 11, 12, 13);
  expect(labelsFor(labels, { length: 2, chosen: { rows: [1, 3], of: 4 } }, "l")).toEqual(Int32Array.of(11, 13));
  expect(() => labelsFor(labels, { length: 2, chosen: { rows: [1, 3], of: 5 } }, "l")).toThrow("4 labels, expected 5");
});
