import { expect, test } from "vitest";
import { expOf, logSumExp, meanOf, placeErrors, surprise } from "./token-metrics.ts";

const logs = (...shares: number[]) => Float32Array.from(shares, Math.log);

test("probabilities come out of logits of any size", () => {
  const logits = Float32Array.from([1000, 1000 + Math.log(3), 0]);
  // float32 holds 1000 + ln 3 to 6e-5
  expect(surprise(logits, 0, 2, 1)).toBeCloseTo(-Math.log(0.75), 4);
  expect(logSumExp(logits, 2, 1)).toBe(0);
});

test("the divergence of equal models is 0, and that of others what the sum says", () => {
  const [before, after] = [logs(0.5, 0.25, 0.25), logs(0.25, 0.25, 0.5)];
  expect(placeErrors({ before, after: before, start: 0, width: 3 }, 1).divergence).toBe(0);
  const found = placeErrors({ before, after, start: 0, width: 3 }, 2);
  // 0.5 ln 2 + 0 - 0.25 ln 2; logits are float32
  expect(found.divergence).toBeCloseTo(0.25 * Math.log(2), 6);
  expect(found.before).toBeCloseTo(Math.log(4), 6);
  expect(found.after).toBeCloseTo(Math.log(2), 6);
  expect(found.agree).toBe(false);
});

test("a token that the first model excludes adds nothing, one that the second excludes adds everything", () => {
  const [some, none] = [Float32Array.from([0, 0]), Float32Array.from([0, Number.NEGATIVE_INFINITY])];
  expect(placeErrors({ before: none, after: some, start: 0, width: 2 }, 0).divergence).toBeCloseTo(Math.log(2), 12);
  expect(placeErrors({ before: some, after: none, start: 0, width: 2 }, 0).divergence).toBe(Number.POSITIVE_INFINITY);
});

test("NaN among the logits is NaN in the result", () => {
  const bad = Float32Array.from([0, Number.NaN]);
  expect(placeErrors({ before: logs(0.5, 0.5), after: bad, start: 0, width: 2 }, 0).after).toBeNaN();
});

test("a mean comes with its standard error, and exp carries it along", () => {
  const { value, error } = meanOf([1, 2, 3, 4]);
  expect(value).toBe(2.5);
  expect(error).toBeCloseTo(Math.sqrt(1.25 / 3), 12);
  expect(meanOf([7]).error).toBe(0);
  expect(expOf({ value: 1, error: 0.5 }).error).toBeCloseTo(Math.E / 2, 12);
});
