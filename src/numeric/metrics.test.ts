import { expect, test } from "vitest";
import {
  addAgreement,
  addErrors,
  addTopK,
  argmax,
  cosine,
  countNonFinite,
  errorReport,
  mergeErrors,
  mse,
  noErrors,
  noHits,
  rank,
  share,
  sqnr,
} from "./metrics.ts";
import { rng } from "./rng.ts";

const sums = (reference: number[], candidate: number[]) => addErrors(noErrors, reference, candidate);

test("known pairs give the textbook numbers", () => {
  const report = errorReport(sums([3, 4], [3, 3.5]));
  expect(report.sqnr).toBeCloseTo(20, 12);
  expect(report.mse).toBe(0.125);
  expect(report.maxAbs).toBe(0.5);
  expect(report.maxRelative).toBe(0.125);
  expect(report.cosine).toBeCloseTo((9 + 14) / (5 * Math.hypot(3, 3.5)), 12);
});

test("equal arrays have infinite sqnr and cosine one, opposite ones cosine minus one", () => {
  expect(sqnr(sums([1, 2], [1, 2]))).toBe(Number.POSITIVE_INFINITY);
  expect(cosine(sums([1, 2], [1, 2]))).toBe(1);
  expect(cosine(sums([1, 2], [-1, -2]))).toBe(-1);
  expect(cosine(sums([0, 0], [0, 0]))).toBe(1);
  expect(cosine(sums([0, 0], [1, 0]))).toBe(0);
});

test("batches and merged parts give what one batch gives", () => {
  const random = rng(1);
  const a = Array.from({ length: 1000 }, () => random.integer(-50, 50));
  const b = a.map((value) => value + random.integer(-2, 2));
  const whole = sums(a, b);
  const first = sums(a.slice(0, 300), b.slice(0, 300));
  expect(addErrors(first, a.slice(300), b.slice(300))).toEqual(whole);
  expect(mergeErrors(sums(a.slice(300), b.slice(300)), first)).toEqual(whole);
});

test("NaN and infinities are counted by side and left out of the sums", () => {
  const seen = sums([1, Number.NaN, 2, Infinity], [Number.NaN, 1, 2, Infinity]);
  expect(seen).toMatchObject({ count: 1, badCandidate: 1, badReference: 2 });
  expect(mse(seen)).toBe(0);
  expect(countNonFinite([1, Number.NaN, -Infinity, 0])).toEqual({ nan: 1, infinite: 1 });
});

test("arrays of different length are refused", () => {
  expect(() => sums([1, 2], [1])).toThrow("the reference has 2 values and the candidate 1");
});

test("top-1 and top-5 count labels among the highest scores, ties going to the lower class", () => {
  const scores = [0.1, 0.9, 0.5, 0.5, 0, 0.2, 7, 7, 1, 0, 0, 0];
  expect(share(addTopK(noHits, scores, [1, 1], 6, 1))).toBe(0.5);
  expect(share(addTopK(noHits, scores, [3, 1], 6, 3))).toBe(1);
  expect(share(addTopK(noHits, scores, [4, 5], 6, 5))).toBe(0);
  expect(rank(scores, 3, 0, 6)).toBe(2);
});

test("all scores NaN: no label counts as found", () => {
  const scores = [Number.NaN, Number.NaN];
  expect(share(addTopK(noHits, scores, [0], 2, 1))).toBe(0);
  expect(argmax(scores)).toBe(-1);
  expect(share(addAgreement(noHits, scores, scores, 2))).toBe(0);
});

test("agreement counts samples with the same first class", () => {
  expect(share(addAgreement(noHits, [1, 2, 5, 4], [0, 9, 1, 3], 2))).toBe(0.5);
});

test("labels that are not classes, and rows that don't fit, are refused with both numbers", () => {
  expect(() => addTopK(noHits, [1, 2], [2], 2, 1)).toThrow("label 2 of sample 0 is not one of the 2 classes");
  expect(() => addTopK(noHits, [1, 2], [-1], 2, 1)).toThrow("label -1");
  expect(() => addTopK(noHits, [1, 2, 3], [0], 2, 1)).toThrow("3 scores can't be divided into rows of 2 classes");
  expect(() => addTopK(noHits, [1, 2], [0, 1], 2, 1)).toThrow("1 rows of scores need as many labels, found 2");
});
