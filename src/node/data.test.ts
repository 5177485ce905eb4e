import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeNpy } from "../containers/npy.ts";
import { valueInfo } from "../ir/build.ts";
import type { Feeds, NDArray } from "../ir/model.ts";
import { openDataset, openLabels } from "./data.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fewbit-data-"));
});
afterAll(() => rm(folder, { recursive: true }));

const put = async (name: string, content: Uint8Array | string): Promise<string> => {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
};

const array = (shape: number[], start = 0): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i),
});
const npy = (shape: number[], start = 0): Uint8Array => writeNpy(array(shape, start));

const x = valueInfo("x", "float32", ["n", 2]);
const y = valueInfo("y", "float32", ["n"]);

const rows = async (path: string, inputs = [x], options = {}): Promise<number[]> => {
  const found: number[] = [];
  const data = await openDataset(path, inputs, options);
  for await (const feeds of data.batches(2)) found.push(...((feeds as Feeds).x!.data as Float32Array));
  return found;
};

test("a .npy file feeds the only input", async () => {
  const path = await put("one.npy", npy([3, 2]));
  expect(await rows(path)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await rows(path, [x], { samples: 1 })).toEqual([0, 1]);
  expect((await openDataset(path, [x])).origin).toBe("one.npy");
});

test("a .npz file feeds every input by name", async () => {
  const path = await put("both.npz", zipSync({ "x.npy": npy([3, 2]), "y.npy": npy([3]) }));
  expect(await rows(path, [x, y])).toEqual([0, 1, 2, 3, 4, 5]);
});

test("a folder of .npy: one file per input, or samples and stacks in the order of names", async () => {
  await put("inputs/x.npy", npy([2, 2]));
  await put("inputs/y.npy", npy([2]));
  expect(await rows(join(folder, "inputs"), [x, y])).toEqual([0, 1, 2, 3]);
  await put("parts/b.npy", npy([2], 4));
  await put("parts/a.npy", npy([2, 2]));
  await put("parts/c.npy", npy([1, 2], 6));
  expect(await rows(join(folder, "parts"))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test("random samples are made only when named, and marked", async () => {
  expect(await openDataset("random", [x], { seed: 3, samples: 4 })).toMatchObject({
    length: 4,
    origin: "random (seed 3)",
  });
});

const bad: readonly [
  what: string,
  files: Record<string, Uint8Array | string>,
  inputs: (typeof x)[],
  message: string,
][] = [
  ["missing", {}, [x], "no such file"],
  ["two inputs for one array.npy", { "": npy([2, 2]) }, [x, y], 'the model has 2 inputs ("x", "y"); save a .npz'],
  ["unknown.txt", { "": "hello" }, [x], "samples come as .npy, .npz, a folder"],
  ["empty", { "/.hidden": "" }, [x], "holds neither .npy files nor images"],
  ["mixed", { "/a.npy": npy([2, 2]), "/a.png": "" }, [x], "holds 1 .npy files and 1 images; give one kind"],
  ["misnamed", { "/x.npy": npy([2, 2]), "/yy.npy": npy([2]) }, [x, y], '"y.npy"; found "x", "yy"; did you mean "yy"?'],
  [
    "crowded",
    { "/x.npy": npy([2, 2]), "/y.npy": npy([2]), "/z.npy": npy([2]) },
    [x, y],
    "one file for each and no others",
  ],
  ["shape.npy", { "": npy([2, 3]) }, [x], 'input "x" takes [n, 2], found [2, 3]'],
  [
    "kinds",
    { "/a.npy": npy([2, 2]), "/b.npy": writeNpy({ dtype: "int8", shape: [2], data: Int8Array.of(1, 2) }) },
    [x],
    "all files must agree",
  ],
];

test.each(bad)("%s: one clear error", async (name, files, inputs, message) => {
  for (const [part, content] of Object.entries(files)) await put(`bad/${name}${part}`, content);
  await expect(openDataset(join(folder, "bad", name), inputs)).rejects.toThrow(message);
});

test("labels come from .npy, .csv and .json, and must be as many as the samples", async () => {
  const expected = Int32Array.of(3, 1, 2);
  const labels = writeNpy({ dtype: "int64", shape: [3], data: BigInt64Array.of(3n, 1n, 2n) });
  expect(await openLabels(await put("labels.npy", labels), { length: 3 })).toEqual(expected);
  expect(await openLabels(await put("labels.csv", "file,class\na,3\nb,1\nc,2\n"), { length: 3 })).toEqual(expected);
  const json = await put("labels.json", "[3, 1, 2]");
  expect(await openLabels(json, { length: 3 })).toEqual(expected);
  await expect(openLabels(json, { length: 4 })).rejects.toThrow("3 labels, expected 4");
  await expect(openLabels(await put("labels.xls", ""), { length: 3 })).rejects.toThrow(
    "labels come as .npy, .csv, .json",
  );
  await expect(openLabels(join(folder, "nowhere.json"), { length: 3 })).rejects.toThrow("no such file");
});

test("labels follow the samples that were chosen", async () => {
  const data = await openDataset(await put("ten.npy", npy([10, 2])), [x], { samples: 5 });
  const labels = await put("ten.json", JSON.stringify([...Array(10).keys()]));
  expect([...(await openLabels(labels, data))]).toEqual([0, 2, 4, 6, 8]);
});

test("the folders of images are their classes", async () => {
  for (const name of ["cats/2.png", "cats/1.jpg", "dogs/1.png", "dogs/notes.txt"]) await put(`pets/${name}`, "");
  expect([...(await openLabels(join(folder, "pets"), { length: 3 }))]).toEqual([0, 0, 1]);
  await put("loose/a.png", "");
  await expect(openLabels(join(folder, "loose"), { length: 1 })).rejects.toThrow('found "a.png" outside');
});
