import { expect, test } from "vitest";
import type { ValueStats } from "../ir/stats.ts";
import { DTYPES, type DTypeRow } from "../numeric/dtypes.ts";
import { affine, dequantizeValues, quantizeValues } from "../numeric/qparams.ts";
import { rng } from "../numeric/rng.ts";
import { empty, update } from "./accumulate.ts";
import { OBSERVERS, observerNamed } from "./index.ts";

const { uint8, int8, int4, uint4, int16, float8e4m3fn } = DTYPES;
const seen = (values: Float32Array, samples = 1): ValueStats => update(empty, values, "x", samples);

const normal = (count: number, seed = 1): Float32Array => {
  const random = rng(seed);
  return Float32Array.from({ length: count }, random.normal);
};
const gaussian = normal(20_000);
/** One value in 10,000 lies at 40: cutting it off costs 8-bit grids more than it gives, 4-bit grids less. */
const outliers = gaussian.map((value, i) => (i % 10_000 === 7 ? 40 : value));
const relu = gaussian.map((value) => Math.max(0, value));

const squaredError = (
  values: Float32Array,
  [low, high]: readonly [number, number],
  row: DTypeRow,
  symmetric: boolean,
) => {
  const grid = affine(low, high, row, symmetric);
  const back = dequantizeValues(quantizeValues(values, grid, row), grid);
  return values.reduce((sum, value, i) => sum + (value - back[i]!) ** 2, 0);
};

const width = ([low, high]: readonly [number, number]): number => high - low;

test("min-max keeps everything and stretches to zero", () => {
  const { range } = observerNamed("min-max");
  expect(range(seen(Float32Array.of(1, 5)), uint8, false)).toEqual([0, 5]);
  expect(range(seen(Float32Array.of(-5, -1)), int8, true)).toEqual([-5, 0]);
});

test("moving-average takes the mean of the samples' extents", () => {
  const { range } = observerNamed("moving-average");
  expect(range(seen(Float32Array.of(-1, 2, -3, 10), 2), uint8, false)).toEqual([-2, 6]);
});

test("a percentile cuts at most its share, half at each end, to within one bin", () => {
  const sorted = [...gaussian].sort((a, b) => a - b);
  const bin = 2 ** 4 / 8192;
  const [low, high] = observerNamed("percentile-99").range(seen(gaussian), uint8, false);
  const cut = sorted.length * 0.005;
  expect(sorted.filter((value) => value < low).length).toBeLessThanOrEqual(cut);
  expect(sorted.filter((value) => value > high).length).toBeLessThanOrEqual(cut);
  expect(Math.abs(low - sorted[Math.floor(cut)]!)).toBeLessThanOrEqual(bin);
  expect(Math.abs(high - sorted[sorted.length - 1 - Math.floor(cut)]!)).toBeLessThanOrEqual(bin);
});

test("a symmetric percentile counts both ends together", () => {
  const [low, high] = observerNamed("percentile-99").range(seen(gaussian), int8, true);
  expect(low).toBe(-high);
  const outside = gaussian.filter((value) => Math.abs(value) > high).length;
  expect(outside).toBeLessThanOrEqual(gaussian.length * 0.01);
  expect(outside).toBeGreaterThan(gaussian.length * 0.009);
});

test("percentile, entropy and mse are narrower than min-max where there are outliers", () => {
  const stats = seen(outliers);
  const full = width(observerNamed("min-max").range(stats, int4, false));
  for (const name of ["percentile-99.9", "entropy", "mse"])
    expect(width(observerNamed(name).range(stats, int4, false)), name).toBeLessThan(full / 2);
});

const cases: readonly [string, Float32Array, DTypeRow, boolean][] = [
  ["gaussian on uint8", gaussian, uint8, false],
  ["gaussian on symmetric int4", gaussian, int4, true],
  ["outliers on symmetric int8", outliers, int8, true],
  ["outliers on symmetric int4", outliers, int4, true],
  ["outliers on uint4", outliers, uint4, false],
  ["relu on uint8", relu, uint8, false],
  ["cubed on uint4", gaussian.map((value) => value ** 3), uint4, false],
];

test.each(cases)("mse is as small as a brute force search finds on the samples: %s", (_, values, row, symmetric) => {
  const stats = seen(values);
  const [min, max] = [Math.min(stats.min, 0), Math.max(stats.max, 0)];
  const steps = symmetric || min === 0 ? 100 : 20;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 1; i <= steps; i++)
    for (let j = 1; j <= (symmetric || min === 0 ? 1 : steps); j++) {
      const low = symmetric ? (-Math.max(-min, max) * i) / steps : (min * j) / steps;
      const high = symmetric ? -low : (max * i) / steps;
      best = Math.min(best, squaredError(values, [low, high], row, symmetric));
    }
  const range = observerNamed("mse").range(stats, row, symmetric);
  // 2 %: the histogram knows a value only to its bin, here up to a sixteenth of a step.
  expect(squaredError(values, range, row, symmetric)).toBeLessThan(best * 1.02);
});

test("no observer's error is below that of mse by more than the bins' width allows", () => {
  for (const [name, values, row, symmetric] of cases) {
    const stats = seen(values, 100);
    const of = (observer: string) =>
      squaredError(values, observerNamed(observer).range(stats, row, symmetric), row, symmetric);
    for (const { name: other } of OBSERVERS) expect(of("mse"), `${other}, ${name}`).toBeLessThan(of(other) * 1.02);
  }
});

test("entropy clips a gaussian for 4 bits, and leaves a uniform distribution whole", () => {
  const random = rng(2);
  const uniform = Float32Array.from({ length: 100_000 }, () => random.uniform() * 2 - 1);
  const [low, high] = observerNamed("entropy").range(seen(uniform), uint8, false);
  expect(low).toBeLessThan(-0.99);
  expect(high).toBeGreaterThan(0.99);
  const clipped = observerNamed("entropy").range(seen(gaussian), int4, true)[1];
  expect(clipped).toBeGreaterThan(2);
  expect(clipped).toBeLessThan(3.6);
});

test("zeros behind a ReLU do not decide the entropy range", () => {
  const sparse = relu.map((value, i) => (i % 10 === 0 ? value : 0));
  expect(observerNamed("entropy").range(seen(sparse), uint8, false)[1]).toBeGreaterThan(2);
});

test.each(OBSERVERS)("$name handles nothing, zeros, a constant, one value and both extremes", ({ range }) => {
  const max = 3.4028234663852886e38;
  const inputs = [[], [0, 0], [3, 3, 3], [-2], [-max, max], [1e-45], [max]];
  for (const values of inputs)
    for (const [row, symmetric] of [
      [uint8, false],
      [int8, true],
      [int4, false],
      [int16, true],
      [float8e4m3fn, true],
    ] as const) {
      const stats = seen(Float32Array.from(values));
      const [low, high] = range(stats, row, symmetric);
      expect(low).toBeLessThanOrEqual(0);
      expect(high).toBeGreaterThanOrEqual(0);
      expect(Math.max(-low, high)).toBeLessThanOrEqual(Math.max(-stats.min, stats.max, 0));
      expect(affine(low, high, row, symmetric).scale).toBeGreaterThan(0);
    }
});

test("a constant and a single value come back within half a step", () => {
  for (const { name, range } of OBSERVERS)
    for (const [value, row, symmetric] of [
      [3, uint8, false],
      [-2, int8, true],
    ] as const) {
      const found = range(seen(Float32Array.of(value)), row, symmetric);
      const step = affine(...found, row, symmetric).scale;
      const error = Math.sqrt(squaredError(Float32Array.of(value), found, row, symmetric));
      expect(error, name).toBeLessThanOrEqual(step / 2);
    }
});

test("an unknown observer is refused with a suggestion and the list", () => {
  expect(() => observerNamed("entrpy")).toThrow('unknown observer "entrpy"; did you mean "entropy"?');
  expect(() => observerNamed("percentile-20")).toThrow("above 50 and be at most 100");
  expect(() => observerNamed("toString")).toThrow('known: "min-max", "moving-average", "percentile", "entropy", "mse"');
});
