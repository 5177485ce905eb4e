import { expect, test } from "vitest";
import { interleave, quantile } from "./timing.ts";

const busy = (ms: number) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

const recorder = (log: string[], name: string, ms = 0) => ({
  name,
  run: async () => {
    log.push(name);
    busy(ms);
  },
});

test("quantiles lie linearly between neighbours", () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3], 0.5)).toBe(2);
  expect(quantile([0, 10], 0.9)).toBe(9);
  expect(quantile([7], 0.9)).toBe(7);
});

test("the runners take turns and the first place rotates", async () => {
  const log: string[] = [];
  const [a] = await interleave([recorder(log, "a"), recorder(log, "b"), recorder(log, "c")], { warmup: 1, rounds: 3 });
  expect(log.join("")).toBe("abcbcacababc");
  expect(a?.runs).toBe(3);
});

test("ratios are each runner's time over the first's", async () => {
  const log: string[] = [];
  const timings = await interleave([recorder(log, "slow", 4), recorder(log, "fast", 1)], { warmup: 0, rounds: 15 });
  expect(timings.map((timing) => timing.name)).toEqual(["slow", "fast"]);
  expect(timings[0]?.ratio).toBe(1);
  expect(timings[1]?.ratio).toBeGreaterThan(0.15); // 0.25 busy-waited; the machine may stretch either side
  expect(timings[1]?.ratio).toBeLessThan(0.5);
  expect(timings[1]?.min).toBeGreaterThanOrEqual(1);
  expect(timings[1]?.p90).toBeGreaterThanOrEqual(timings[1]?.median ?? Number.POSITIVE_INFINITY);
});

test("a spent budget ends the measurement, but not before the smallest number of rounds", async () => {
  const log: string[] = [];
  const [timing] = await interleave([recorder(log, "a", 5)], { warmup: 2, rounds: 1000, minRounds: 4, budgetMs: 1 });
  expect(timing?.runs).toBe(4);
});

test("progress counts timed rounds only", async () => {
  const seen: number[] = [];
  await interleave([recorder([], "a")], { warmup: 2, rounds: 2, onProgress: (done) => seen.push(done) });
  expect(seen).toEqual([0, 0, 1, 2]);
});

test("an abort stops the measurement, even while runners block the event loop", async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 20);
  const measuring = interleave([recorder([], "a", 2)], { rounds: 100_000, signal: abort.signal });
  await expect(measuring).rejects.toThrow(/interrupted/);
});
