import { expect, test } from "vitest";
import type { Feeds, NDArray } from "../../ir/model.ts";
import { type Rng, rng } from "../../numeric/rng.ts";
import { type Augment, inOrder, mixup } from "./augment.ts";
import { color, cutout, flip, shift, warp } from "./augment-images.ts";
import { augmentNamed } from "./augment-names.ts";

const WIDTH = 4;
const HEIGHT = 5;

/** Images whose pixels say where they are: 1 + 10 * row + column + 100 * channel, in both layouts. */
function images(count: number, layout: "nchw" | "nhwc"): NDArray {
  const shape = layout === "nchw" ? [count, 3, HEIGHT, WIDTH] : [count, HEIGHT, WIDTH, 3];
  const data = new Float32Array(count * 3 * HEIGHT * WIDTH);
  for (let i = 0; i < data.length; i++) {
    const inside = i % (3 * HEIGHT * WIDTH);
    const [channel, row, column] =
      layout === "nchw"
        ? [Math.floor(inside / (HEIGHT * WIDTH)), Math.floor(inside / WIDTH) % HEIGHT, inside % WIDTH]
        : [inside % 3, Math.floor(inside / (3 * WIDTH)), Math.floor(inside / 3) % WIDTH];
    data[i] = 1 + 10 * row + column + 100 * channel;
  }
  return { dtype: "float32", shape, data };
}

/** The first channel of each image, row by row. */
function firstChannel({ shape, data }: NDArray): number[][] {
  const nchw = shape[1] === 3;
  return Array.from({ length: shape[0]! }, (_, image) =>
    Array.from({ length: HEIGHT * WIDTH }, (_, at) => Number(data[image * 3 * HEIGHT * WIDTH + (nchw ? at : at * 3)])),
  );
}

const rows = (image: readonly number[]): number[][] =>
  Array.from({ length: HEIGHT }, (_, row) => image.slice(row * WIDTH, (row + 1) * WIDTH));

const apply = async (augment: Augment, feeds: Feeds, seed = 1): Promise<Feeds> => augment.apply(feeds, rng(seed));

test.each(["nchw", "nhwc"] as const)(
  "flip mirrors some images of %s, all channels alike, and no labels",
  async (layout) => {
    const before = images(40, layout);
    const labels: NDArray = { dtype: "int64", shape: [40], data: new BigInt64Array(40) };
    const { x, labels: after } = await apply(flip(), { x: before, labels });
    expect(after).toBe(labels);
    const original = firstChannel(before)[0]!;
    const mirrored = rows(original).flatMap((row) => row.toReversed());
    const found = firstChannel(x!).map((image) => {
      expect([String(original), String(mirrored)]).toContain(String(image));
      return String(image) === String(mirrored);
    });
    const share = found.filter(Boolean).length / 40;
    // 40 draws of a half: within three standard deviations of 0.08
    expect(Math.abs(share - 0.5)).toBeLessThan(0.24);
    expect(before).toEqual(images(40, layout));
    const sum = (array: NDArray) => (array.data as Float32Array).reduce((total, value) => total + value, 0);
    expect(sum(x!)).toBe(sum(before));
  },
);

const inside = (position: number, length: number): number => Math.min(Math.max(position, 0), length - 1);

test("shift moves by up to its pixels, the border going on", async () => {
  const { x } = await apply(shift(1), { x: images(60, "nchw") });
  const seen = new Set<string>();
  for (const image of firstChannel(x!)) {
    const at = image.findIndex((value) => value === 1 + 10 + 1);
    const [row, column] = [Math.floor(at / WIDTH), at % WIDTH];
    seen.add(`${row - 1} ${column - 1}`);
    for (const [i, value] of image.entries()) {
      const y = inside(Math.floor(i / WIDTH) - (row - 1), HEIGHT);
      const z = inside((i % WIDTH) - (column - 1), WIDTH);
      expect(value).toBe(1 + 10 * y + z);
    }
  }
  expect(seen.size).toBe(9);
});

test("cutout blanks one square, cut off at the border", async () => {
  const { x } = await apply(cutout(2), { x: images(20, "nhwc") });
  for (const image of firstChannel(x!)) {
    const blank = image.filter((value) => value === 0).length;
    expect([1, 2, 4]).toContain(blank);
  }
});

/** An Rng whose uniform numbers are those given, in order; the last one goes on. */
const given = (...numbers: readonly number[]): Rng => {
  let at = 0;
  return { ...rng(1), uniform: () => numbers[Math.min(at++, numbers.length - 1)]! };
};

const warped = async (layout: "nchw" | "nhwc", ...numbers: readonly number[]) => {
  const { x } = await warp(1).apply({ x: images(1, layout) }, given(...numbers));
  return rows(firstChannel(x!)[0]!);
};

test.each(["nchw", "nhwc"] as const)(
  "warp is a linear map about the middle of %s, the border going on",
  async (layout) => {
    const original = rows(firstChannel(images(1, layout))[0]!);
    // off by nothing: the same image
    expect(await warped(layout, 0.5)).toEqual(original);
    // the first coefficient, 1 + 0 -> 1 - 1: every row is the middle one
    expect(await warped(layout, 0, 0.5)).toEqual(original.map(() => original[2]));
    // the last one, twice as far between columns: -1.5, -0.5, 0.5, 1.5 become -3, -1, 1, 3 about 1.5
    const [first, last] = [original[0]![0]!, original[0]!.at(-1)!];
    const [row] = await warped(layout, 0.5, 0.5, 0.5, 1);
    expect(row).toEqual([first, first + 0.5, last - 0.5, last]);
    // rows move by what the second coefficient makes of columns: half a row down for half a column, the border after that
    const sheared = await warped(layout, 0.5, 0.75, 0.5);
    expect(sheared[2]).toEqual([-1.5, -0.5, 0.5, 1.5].map((x, column) => 1 + 10 * (2 + 0.5 * x) + column));
  },
);

test.each(["nchw", "nhwc"] as const)("color changes contrast, saturation and brightness of %s", async (layout) => {
  const before = images(1, layout);
  const values = Array.from(before.data as Float32Array);
  const [mean, low, high] = [
    values.reduce((a, b) => a + b, 0) / values.length,
    Math.min(...values),
    Math.max(...values),
  ];
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  const colored = async (...numbers: readonly number[]) =>
    Array.from((await color(0.5).apply({ x: before }, given(...numbers))).x!.data as Float32Array);
  const close = (found: readonly number[], expected: readonly number[]) => {
    // float32 pixels below 512
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i]!, 3);
  };
  close(await colored(0.5), values);
  close(
    await colored(0, 0.5),
    values.map((value) => mean + 0.5 * (value - mean)),
  );
  // channels are 100 apart, their middle is the gray
  const gray = (value: number) => ((value - 1) % 100) + 101;
  close(
    await colored(0.5, 0, 0.5),
    values.map((value) => gray(value) + 0.5 * (value - gray(value))),
  );
  close(
    await colored(0.5, 0.5, 0.75),
    values.map((value) => Math.min(value + 0.5 * deviation, high)),
  );
  close(
    await colored(0.5, 0.5, 0),
    values.map((value) => Math.max(value - deviation, low)),
  );
});

test("the same random numbers give the same images, others give others", async () => {
  const augment = inOrder([flip(), shift(1)]);
  expect(augment.label).toBe("flip,shift:1");
  const feeds = { x: images(8, "nchw") };
  expect(await apply(augment, feeds)).toEqual(await apply(augment, feeds));
  expect(await apply(augment, feeds, 2)).not.toEqual(await apply(augment, feeds));
});

test("mixup blends a share of the samples with others, all inputs alike", async () => {
  const count = 60;
  const x: NDArray = {
    dtype: "float32",
    shape: [count, 2],
    data: Float32Array.from({ length: 2 * count }, (_, i) => i),
  };
  const y: NDArray = { dtype: "float32", shape: [count], data: Float32Array.from({ length: count }, (_, i) => 2 * i) };
  const mixed = await apply(mixup(0.5), { x, y });
  const values = mixed.x!.data as Float32Array;
  let blends = 0;
  for (let i = 0; i < count; i++) {
    // both columns and the other input move by the same number of samples
    const moved = (values[2 * i]! - 2 * i) / 2;
    expect((values[2 * i + 1]! - 2 * i - 1) / 2).toBeCloseTo(moved, 4);
    expect((mixed.y!.data[i] as number) / 2 - i).toBeCloseTo(moved, 4);
    expect(values[2 * i]).toBeLessThanOrEqual(2 * count - 2);
    if (moved !== 0) blends++;
  }
  // 60 draws of a half: within three standard deviations of 0.065
  expect(Math.abs(blends / count - 0.5)).toBeLessThan(0.2);
});

test("mixup has no right answers for its blends", async () => {
  const x: NDArray = { dtype: "float32", shape: [2, 3], data: new Float32Array(6) };
  const labels: NDArray = { dtype: "int64", shape: [2], data: new BigInt64Array(2) };
  await expect(apply(mixup(), { x, labels })).rejects.toThrow("augmentation mixup: there are no labels for blends");
  await expect(apply(mixup(), { ids: labels })).rejects.toThrow("the model takes no float32 samples");
});

test("names with settings are read, others refused", () => {
  expect(
    ["flip", "shift:2", "cutout", "mixup:0.25", "warp", "color:0.1"].map((text) => augmentNamed(text).label),
  ).toEqual([...["flip", "shift:2", "cutout:8", "mixup:0.25", "warp:0.2", "color:0.1"]]);
  expect(() => augmentNamed("rotate")).toThrow(
    'unknown augmentation "rotate"; known: flip, shift, cutout, warp, color and mixup',
  );
  expect(() => augmentNamed("flip:3")).toThrow("flip takes no setting");
  for (const text of ["shift:0", "shift:x", "cutout:5000", "shift:1.5", "shift:"])
    expect(() => augmentNamed(text)).toThrow(/expected (shift|cutout):PIXELS, a whole number from 1 to 1024/);
  for (const text of ["mixup:0", "warp:1.5", "color:half"])
    expect(() => augmentNamed(text)).toThrow(/expected (mixup|warp|color):SHARE, above 0 and at most 1/);
  expect(() => augmentNamed("constructor")).toThrow(/unknown augmentation/);
});

test("a model without images can't be augmented", async () => {
  const x: NDArray = { dtype: "float32", shape: [2, 3], data: new Float32Array(6) };
  await expect(apply(flip(), { x })).rejects.toThrow("augmentation flip: the model takes no images");
});

test.each([
  ["flip", "shift:2", "cutout:2", false],
  ["warp", "color", "mixup:1", true],
] as const)("%s, %s and %s: drawn once for all views: %s", async (...row) => {
  const once = row[3];
  for (const name of row.slice(0, 3) as string[]) {
    const augment = inOrder([augmentNamed(name)]);
    expect(augment.makes).toBe(once ? "sample" : "view");
    const view = async (own: number) => (await augment.apply({ x: images(8, "nchw") }, rng(own), rng(9))).x!.data;
    const [first, other] = [await view(1), await view(2)];
    if (once) expect(other).toEqual(first);
    else expect(other).not.toEqual(first);
  }
});
