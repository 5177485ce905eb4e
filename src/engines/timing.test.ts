import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { interleave, quantile } from "./timing.ts";

let clock = 0;

beforeEach(() => {
  clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
});
afterEach(() => vi.restoreAllMocks());

/** A runner that takes the next of these times, over and over. */
const takes = (name: string, times: readonly number[], log: string[] = []) => {
  let run = 0;
  return {
    name,
    run: async () => {
      log.push(name);
      clock += times[run++ % times.length] ?? 0;
    },
  };
};

test("quantiles lie linearly between neighbours", () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3], 0.5)).toBe(2);
  expect(quantile([0, 10], 0.9)).toBe(9);
  expect(quantile([7], 0.9)).toBe(7);
});

test("the runners take turns and the first place rotates", async () => {
  const log: string[] = [];
  const runners = ["a", "b", "c"].map((name) => takes(name, [1], log));
  const timings = await interleave(runners, { warmup: 1, rounds: 3 });
  expect(log.join("")).toBe("abcbcacababc");
  expect(timings.map(({ name, runs }) => `${name}${runs}`)).toEqual(["a3", "b3", "c3"]);
});

test("warm-up is not counted, and what is counted is summarized", async () => {
  const [timing] = await interleave([takes("a", [900, 1, 2, 3, 4, 5])], { warmup: 1, rounds: 5 });
  expect(timing).toEqual({ name: "a", median: 3, p10: 1.4, p90: 4.6, min: 1, spread: 2, runs: 5, ratio: 1 });
});

test("ratios pair the times of a round, so a machine that slows down does not change them", async () => {
  const [, fast] = await interleave([takes("slow", [4, 8, 400]), takes("fast", [1, 2, 100])], { warmup: 0, rounds: 3 });
  expect(fast?.ratio).toBe(0.25);
});

test("times too short for the clock give no ratio", async () => {
  const timings = await interleave([takes("a", [0]), takes("b", [1])], { rounds: 3 });
  expect(timings.map((timing) => timing.ratio)).toEqual([0, 0]);
});

test("a spent budget ends the measurement, but not before the smallest number of rounds", async () => {
  const [timing] = await interleave([takes("a", [5])], { warmup: 2, rounds: 1000, minRounds: 4, budgetMs: 1 });
  expect(timing?.runs).toBe(4);
});

test("progress counts timed rounds only", async () => {
  const seen: number[] = [];
  await interleave([takes("a", [1])], { warmup: 2, rounds: 2, onProgress: (done) => seen.push(done) });
  expect(seen).toEqual([0, 0, 1, 2]);
});

test("an abort stops the measurement, even while runners never let go of the event loop", async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 20);
  const measuring = interleave([takes("a", [2])], { rounds: 1e9, budgetMs: 1e9, signal: abort.signal });
  await expect(measuring).rejects.toThrow(/interrupted/);
});
