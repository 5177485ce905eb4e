import { expect, test } from "vitest";
import { HISTOGRAM_BINS, type Stats, type ValueStats } from "../ir/stats.ts";
import { rng } from "../numeric/rng.ts";
import { empty, merge, update } from "./accumulate.ts";
import { exponentFor } from "./histogram.ts";
import { formatStats, parseStats } from "./stats-json.ts";

const seen = (...batches: ArrayLike<number>[]): ValueStats =>
  batches.reduce((state: ValueStats, batch) => update(state, Float32Array.from(batch), "x"), empty);

/** Batches of very different magnitude, whole numbers of 2^-10, so that sums of extents are exact in any order. */
const batches = (seed: number): number[][] => {
  const random = rng(seed);
  return Array.from({ length: 12 }, (_, i) =>
    Array.from({ length: 100 }, () => Math.round(random.normal() * 4 ** i) / 1024),
  );
};

test("parts merged in any grouping and order are exactly what one sequence gives", () => {
  const parts = batches(1);
  const whole = seen(...parts);
  expect(merge(seen(...parts.slice(0, 5)), seen(...parts.slice(5)))).toEqual(whole);
  expect(merge(seen(...parts.slice(5)), seen(...parts.slice(0, 5)))).toEqual(whole);
  expect(parts.map((part) => seen(part)).reduce(merge)).toEqual(whole);
  for (const seed of [1, 2, 3]) expect(seen(...rng(seed).shuffle(parts))).toEqual(whole);
});

test("nothing merged with anything is that thing", () => {
  const some = seen([1, 2, -3]);
  expect(merge(empty, some)).toEqual(some);
  expect(merge(some, empty)).toEqual(some);
  expect(update(some, new Float32Array(0), "x")).toBe(some);
});

test("the histogram counts every element in the bin floor(x / width)", () => {
  const { histogram } = seen([0, 0.5, -0.5, 0.999, -1, -1e-30]);
  expect(histogram!.exponent).toBe(0);
  const half = HISTOGRAM_BINS / 2;
  const filled = [...histogram!.counts.entries()].filter(([, count]) => count > 0);
  expect(filled).toEqual([
    [0, 1],
    [half / 2, 1],
    [half - 1, 1],
    [half, 1],
    [half + half / 2, 1],
    [Math.floor(0.999 * half) + half, 1],
  ]);
});

test("the exponent is the smallest whose half-open range holds both ends", () => {
  expect(exponentFor(-1, 0)).toBe(0);
  expect(exponentFor(0, 1)).toBe(1);
  expect(exponentFor(-1.001, 0)).toBe(1);
  expect(exponentFor(0, 0)).toBe(-126);
  expect(exponentFor(0, 1e-45)).toBe(-126);
  expect(exponentFor(0, 3.4028234663852886e38)).toBe(128);
});

test("all zeros, a constant, and one value keep their extent and count", () => {
  expect(seen([0, 0, 0])).toMatchObject({ min: 0, max: 0, count: 3 });
  expect(seen([2, 2])).toMatchObject({ min: 2, max: 2, count: 2, batchMin: 2, batchMax: 2 });
  expect(seen([-7])).toMatchObject({ min: -7, max: -7, count: 1 });
  expect(seen([0], [1e30], [1e-30]).histogram!.counts.reduce((a, b) => a + b)).toBe(3);
});

test("minus zero is zero, whatever comes first", () => {
  for (const values of [[-0, 0], [0, -0], [-0]]) expect(seen(values)).toMatchObject({ min: 0, max: 0 });
});

test("averages are taken over samples, whatever the batch size", () => {
  const values = Float32Array.of(1, 2, 3, 8, -1, 0);
  const together = update(empty, values, "x", 3);
  expect(together).toMatchObject({ batches: 3, batchMin: 1 + 3 - 1, batchMax: 2 + 8 + 0 });
  expect(seen([1, 2], [3, 8], [-1, 0])).toEqual(together);
  expect(update(empty, values, "x", 4).batches).toBe(1);
});

test("NaN is refused and the value named; infinities are counted and left out", () => {
  expect(() => update(empty, Float32Array.of(1, Number.NaN), "conv1/out")).toThrow(
    'value "conv1/out" holds 1 NaN among 2',
  );
  expect(seen([1, Infinity, -Infinity, 2])).toMatchObject({ min: 1, max: 2, count: 2, infinite: 2 });
  expect(seen([-Infinity])).toMatchObject({ count: 0, infinite: 1, histogram: null });
});

const stats: Stats = {
  version: 1,
  model: "ab".repeat(32),
  samples: 12,
  values: { x: seen(...batches(4)), "odd name": seen([0]), none: empty },
};

test("statistics survive JSON to the last bit", () => {
  expect(parseStats(formatStats(stats))).toEqual(stats);
});

test("a value named __proto__ is kept as a value", () => {
  const text = formatStats({
    version: 1,
    model: "",
    samples: 1,
    values: Object.fromEntries([["__proto__", seen([1])]]),
  });
  expect(Object.keys(parseStats(text).values)).toEqual(["__proto__"]);
});

const broken: readonly [what: string, edit: (text: string) => string, message: string][] = [
  ["cut short", (text) => text.slice(0, 100), "not JSON"],
  ["no object", () => "[1]", "the file is not an object"],
  ["another version", (text) => text.replace('"version":1', '"version":2'), "version is not 1"],
  ["a bad digest", (text) => text.replace("abab", "zzzz"), "model is not a SHA-256 digest"],
  ["negative samples", (text) => text.replace('"samples":12', '"samples":-1'), "the file.samples is not a count"],
  ["a minimum above the maximum", (text) => text.replace('"min":0', '"min":5'), ".min is not at most max, 0"],
  ["a missing field", (text) => text.replace('"batches"', '"batch"'), ".batches is not a finite number"],
  ["too many empty bins", (text) => text.replace("[-4096", "[-99999"), "is not a list of 8192 bins"],
  [
    "counts that don't add up",
    (text) => text.replace("[-4096,1,", "[-4096,2,"),
    "a histogram of 1 elements, it holds 2",
  ],
  ["a giant exponent", (text) => text.replace('"exponent":-126', '"exponent":4000'), "from -126 to 128"],
  ["a word for a count", (text) => text.replace("[-4096,1,", '[-4096,"1",'), "is not made of counts"],
];

test.each(broken)("a file with %s is refused", (_, edit, message) => {
  const text = formatStats({ ...stats, values: { z: seen([0]) } });
  expect(edit(text)).not.toBe(text);
  expect(() => parseStats(edit(text))).toThrow(message);
});
