import { expect, test } from "vitest";
import type { Feeds, NDArray } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";
import { type Augment, augmentNamed, cutout, flip, inOrder, mixup, shift } from "./augment.ts";

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
  expect(["flip", "shift:2", "cutout", "mixup:0.25"].map((text) => augmentNamed(text).label)).toEqual([
    ...["flip", "shift:2", "cutout:8", "mixup:0.25"],
  ]);
  expect(() => augmentNamed("rotate")).toThrow('unknown augmentation "rotate"; known: flip, shift, cutout and mixup');
  expect(() => augmentNamed("flip:3")).toThrow("flip takes no setting");
  for (const text of ["shift:0", "shift:x", "cutout:5000", "shift:1.5", "shift:"])
    expect(() => augmentNamed(text)).toThrow(/expected (shift|cutout):PIXELS, a whole number from 1 to 1024/);
  for (const text of ["mixup:0", "mixup:1.5", "mixup:half"])
    expect(() => augmentNamed(text)).toThrow("expected mixup:SHARE, above 0 and at most 1");
  expect(() => augmentNamed("constructor")).toThrow(/unknown augmentation/);
});

test("a model without images can't be augmented", async () => {
  const x: NDArray = { dtype: "float32", shape: [2, 3], data: new Float32Array(6) };
  await expect(apply(flip(), { x })).rejects.toThrow("augmentation flip: the model takes no images");
});
