import { expect, test } from "vitest";
import { drawCharacters, SIDE } from "./draw.ts";
import { CLASSES, GLYPHS } from "./glyphs.ts";

const PIXELS = SIDE * SIDE;
const pixels = (seed: number, count: number) => drawCharacters({ seed, count }).images.data;

test("the same seed gives the same images, and a larger count only adds to them", () => {
  expect(pixels(7, 4)).toEqual(pixels(7, 4));
  expect(pixels(7, 9).subarray(0, 4 * PIXELS)).toEqual(pixels(7, 4));
});

test("another seed gives other images", () => {
  expect(pixels(8, 4)).not.toEqual(pixels(7, 4));
});

test("images are float32 [count, 1, 32, 32] between 0 and 1, with a label each", () => {
  const { images, labels, classes } = drawCharacters({ seed: 1, count: 50 });
  expect(images.shape).toEqual([50, 1, 32, 32]);
  expect(images.dtype).toBe("float32");
  expect((images.data as Float32Array).every((value) => value >= 0 && value <= 1)).toBe(true);
  expect(labels).toHaveLength(50);
  expect([...labels].every((label) => classes[label] !== undefined)).toBe(true);
});

test("every class turns up, about equally often", () => {
  const counts = new Array<number>(CLASSES.length).fill(0);
  for (const label of drawCharacters({ seed: 3, count: 2600 }).labels) counts[label]! += 1;
  // 100 expected of each, standard deviation 9.8: five of those on either side.
  expect(Math.min(...counts)).toBeGreaterThan(50);
  expect(Math.max(...counts)).toBeLessThan(150);
});

test("no image is blank: its spread is more than its noise", () => {
  const data = pixels(4, 200) as Float32Array;
  for (let i = 0; i < 200; i++) {
    const image = data.subarray(i * PIXELS, (i + 1) * PIXELS);
    expect(Math.max(...image) - Math.min(...image)).toBeGreaterThan(0.2);
  }
});

test("all strokes stay near the unit box", () => {
  const far = Object.values(GLYPHS)
    .flat(2)
    .filter((value) => value < -0.05 || value > 1.05);
  expect(far).toEqual([]);
});
