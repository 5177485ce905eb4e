import { expect, test } from "vitest";
import { rng } from "./rng.ts";

test("a seed gives these numbers on every machine", () => {
  const random = rng(42);
  expect([random.bits(), random.bits(), random.bits()]).toEqual([660444221, 3652823732, 77672526]);
  expect(random.normal()).toBe(0.8543579138349742);
});

test("seeds give different sequences, the same seed the same", () => {
  const first = (seed: number): number => rng(seed).bits();
  expect(first(1)).toBe(first(1));
  expect(new Set([0, 1, 2, 3, -1].map(first)).size).toBe(5);
});

test("uniform, normal and integer have the moments of their distributions", () => {
  const random = rng(3);
  const n = 100_000;
  const mean = (next: () => number): number => Array.from({ length: n }, next).reduce((a, b) => a + b, 0) / n;
  // Five standard errors of the mean: deviation / sqrt(n) * 5.
  expect(Math.abs(mean(random.uniform) - 0.5)).toBeLessThan((Math.sqrt(1 / 12) / Math.sqrt(n)) * 5);
  expect(Math.abs(mean(random.normal))).toBeLessThan((1 / Math.sqrt(n)) * 5);
  expect(Math.abs(mean(() => random.normal() ** 2) - 1)).toBeLessThan((Math.sqrt(2) / Math.sqrt(n)) * 5);
  const dice = Array.from({ length: n }, () => random.integer(1, 6));
  expect([Math.min(...dice.slice(0, 1000)), Math.max(...dice.slice(0, 1000))]).toEqual([1, 6]);
});

test("a shuffle keeps every item and leaves the original alone", () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const mixed = rng(7).shuffle(items);
  expect(mixed).not.toEqual(items);
  expect([...mixed].sort((a, b) => a - b)).toEqual(items);
  expect(items[0]).toBe(0);
});
