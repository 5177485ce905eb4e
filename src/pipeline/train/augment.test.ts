import { expect, test } from "vitest";
import type { Feeds, NDArray } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";
import { type Augment, augmentNamed, cutout, flip, inOrder, shift } from "./augment.ts";

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

test("shift moves by up to its pixels and fills with zeros", async () => {
  const { x } = await apply(shift(1), { x: images(60, "nchw") });
  const seen = new Set<string>();
  for (const image of firstChannel(x!)) {
    const at = image.findIndex((value) => value === 1 + 10 + 1);
    const [row, column] = [Math.floor(at / WIDTH), at % WIDTH];
    seen.add(`${row - 1} ${column - 1}`);
    for (const [i, value] of image.entries()) {
      const [y, z] = [Math.floor(i / WIDTH) - (row - 1), (i % WIDTH) - (column - 1)];
      expect(value).toBe(y >= 0 && y < HEIGHT && z >= 0 && z < WIDTH ? 1 + 10 * y + z : 0);
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

test("the same random numbers give the same images, others give others", async () => {
  const augment = inOrder([flip(), shift(1)]);
  expect(augment.label).toBe("flip,shift:1");
  const feeds = { x: images(8, "nchw") };
  expect(await apply(augment, feeds)).toEqual(await apply(augment, feeds));
  expect(await apply(augment, feeds, 2)).not.toEqual(await apply(augment, feeds));
});

test("names with settings are read, others refused", () => {
  expect(["flip", "shift:2", "cutout"].map((text) => augmentNamed(text).label)).toEqual([
    "flip",
    "shift:2",
    "cutout:8",
  ]);
  expect(() => augmentNamed("rotate")).toThrow('unknown augmentation "rotate"; known: flip, shift and cutout');
  for (const text of ["flip:3", "shift:0", "shift:x", "cutout:5000", "shift:1.5"])
    expect(() => augmentNamed(text)).toThrow(/expected shift:PIXELS or cutout:PIXELS/);
  expect(() => augmentNamed("constructor")).toThrow(/unknown augmentation/);
});

test("a model without images can't be augmented", async () => {
  const x: NDArray = { dtype: "float32", shape: [2, 3], data: new Float32Array(6) };
  await expect(apply(flip(), { x })).rejects.toThrow("augmentation flip: the model takes no images");
});
