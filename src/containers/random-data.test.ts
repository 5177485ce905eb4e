import { expect, test } from "vitest";
import { valueInfo } from "../ir/build.ts";
import type { Feeds, ValueInfo } from "../ir/model.ts";
import { randomDataset } from "./random-data.ts";

const collect = async (inputs: readonly ValueInfo[], size: number, seed = 0): Promise<Feeds[]> => {
  const found: Feeds[] = [];
  for await (const feeds of randomDataset(inputs, { samples: 6, seed }).batches(size)) found.push(feeds);
  return found;
};

const image = valueInfo("image", "float32", ["n", 3, 4, 4]);
const flat = (batches: readonly Feeds[], name: string): (number | bigint)[] =>
  batches.flatMap((feeds) => [...(feeds[name]!.data as Float32Array)]);

test("the origin says that the data are made up", () => {
  expect(randomDataset([image], { seed: 7 })).toMatchObject({ origin: "random (seed 7)", length: 32 });
});

test("a seed gives the same samples in batches of any size, another seed others", async () => {
  const one = flat(await collect([image], 1), "image");
  expect(flat(await collect([image], 4), "image")).toEqual(one);
  expect(flat(await collect([image], 1, 1), "image")).not.toEqual(one);
  expect(new Set(one).size).toBeGreaterThan(one.length * 0.99);
});

test("inputs differ from each other", async () => {
  const [feeds] = await collect([image, { ...image, name: "other" }], 6);
  expect(feeds!.image!.data).not.toEqual(feeds!.other!.data);
});

test("integers stay small: masks are one, type ids 0 or 1, indices below ten, bytes use their range", async () => {
  const inputs = [
    valueInfo("input_ids", "int64", ["n", "length"]),
    valueInfo("attention_mask", "int64", ["n", "length"]),
    valueInfo("token_type_ids", "int32", ["n", "length"]),
    valueInfo("flag", "bool", ["n", 50]),
    valueInfo("pixels", "uint8", ["n", 50]),
  ];
  const batches = await collect(inputs, 6);
  const extent = (name: string) => {
    const numbers = flat(batches, name).map(Number);
    return [Math.min(...numbers), Math.max(...numbers)];
  };
  expect(batches[0]!.input_ids!.shape).toEqual([6, 16]);
  expect(extent("input_ids")).toEqual([0, 9]);
  expect(extent("attention_mask")).toEqual([1, 1]);
  expect(extent("token_type_ids")).toEqual([0, 1]);
  expect(extent("flag")).toEqual([0, 1]);
  expect(extent("pixels")[1]).toBeGreaterThan(200);
});

test("open image sizes become 224, and a fixed batch is filled", async () => {
  const open = valueInfo("x", "float16", [4, 3, null, null]);
  const data = randomDataset([open], { samples: 3 });
  expect(data.length).toBe(4);
  for await (const feeds of data.batches(1)) expect(feeds.x!.shape).toEqual([4, 3, 224, 224]);
});

test("inputs that nothing is known of are refused by name", () => {
  expect(() => randomDataset([{ name: "x" }])).toThrow('input "x" can\'t be made: its shape is not known');
  expect(() => randomDataset([valueInfo("s", "string", ["n"])])).toThrow('random samples of string for input "s"');
});
