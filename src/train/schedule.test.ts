import { expect, test } from "vitest";
import { fallenAt, rateAt, type Schedule } from "./schedule.ts";

const rates = (schedule: Schedule): readonly number[] =>
  Array.from({ length: schedule.steps }, (_, index) => rateAt(schedule, index + 1));

test("a constant schedule stays where it is", () => {
  expect(rates({ kind: "constant", rate: 0.1, steps: 3 })).toEqual([0.1, 0.1, 0.1]);
});

test("a linear schedule falls by equal parts, the first step at the full rate", () => {
  expect(rates({ kind: "linear", rate: 1, steps: 4 })).toEqual([1, 0.75, 0.5, 0.25]);
});

test("a cosine schedule is at half its rate in the middle of the run and falls all the way", () => {
  const found = rates({ kind: "cosine", rate: 2, steps: 100 });
  expect(found[0]).toBe(2);
  // exact but for the rounding of the cosine
  expect(found[50]).toBeCloseTo(1, 12);
  for (let i = 1; i < found.length; i++) expect(found[i]!).toBeLessThan(found[i - 1]!);
  expect(found[99]!).toBeLessThan(0.001);
});

test("warm-up rises in a line to the rate, and the rest of the run is spread over what is left", () => {
  expect(rates({ kind: "linear", rate: 1, steps: 6, warmup: 2 })).toEqual([0.5, 1, 1, 0.75, 0.5, 0.25]);
});

test("a floor is what is left at the end", () => {
  expect(rates({ kind: "linear", rate: 1, steps: 2, floor: 0.5 })).toEqual([1, 0.75]);
  expect(rateAt({ kind: "cosine", rate: 1, steps: 10, floor: 0.1 }, 11)).toBeCloseTo(0.1, 12);
});

test("a run of one step, and one that is all warm-up, have finite rates", () => {
  expect(rates({ kind: "cosine", rate: 1, steps: 1 })).toEqual([1]);
  expect(rates({ kind: "cosine", rate: 1, steps: 2, warmup: 2 })).toEqual([0.5, 1]);
});

test("how far a rate has fallen: not at all before its height, wholly at the end whatever its floor", () => {
  const fallen = (schedule: Schedule) =>
    Array.from({ length: schedule.steps }, (_, index) => fallenAt(schedule, index + 1));
  expect(fallen({ kind: "linear", rate: 2, steps: 6, warmup: 2 })).toEqual([0, 0, 0, 0.25, 0.5, 0.75]);
  expect(fallenAt({ kind: "linear", rate: 2, steps: 6 }, 7)).toBe(1);
  expect(fallenAt({ kind: "cosine", rate: 2, steps: 6, floor: 0.5 }, 7)).toBe(1);
});

test("what goes by a falling rate goes along a cosine where the rate stays", () => {
  const fallen = (kind: Schedule["kind"]) =>
    Array.from({ length: 8 }, (_, index) => fallenAt({ kind, rate: 0.1, steps: 7, warmup: 2 }, index + 1));
  expect(fallen("constant")).toEqual(fallen("cosine"));
  expect(fallen("constant").at(-1)).toBe(1);
});
