import { expect, test } from "vitest";
import { roundHalfAway, roundHalfEven, roundToOdd } from "./rounding.ts";

const cases: readonly [x: number, even: number, away: number][] = [
  [0.5, 0, 1],
  [1.5, 2, 2],
  [2.5, 2, 3],
  [-0.5, 0, -1],
  [-1.5, -2, -2],
  [-2.5, -2, -3],
  [0.49999999999999994, 0, 0],
  [-0.49999999999999994, 0, 0],
  [1.4999999999999998, 1, 1],
  [4503599627370495.5, 4503599627370496, 4503599627370496],
  [2 ** 51 + 0.5, 2 ** 51, 2 ** 51 + 1],
  [2 ** 51 + 1.5, 2 ** 51 + 2, 2 ** 51 + 2],
  [-(2 ** 51) - 0.5, -(2 ** 51), -(2 ** 51) - 1],
  [2 ** 53 + 2, 2 ** 53 + 2, 2 ** 53 + 2],
  [1e300, 1e300, 1e300],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
];

test("ties go to the even integer, or away from zero, and everything else to the nearest", () => {
  for (const [x, even, away] of cases) {
    expect(roundHalfEven(x) + 0, `even ${x}`).toBe(even);
    expect(roundHalfAway(x) + 0, `away ${x}`).toBe(away);
  }
});

test("NaN stays NaN", () => {
  expect(roundHalfEven(Number.NaN)).toBeNaN();
  expect(roundHalfAway(Number.NaN)).toBeNaN();
});

test("to odd: every step of two has one such number in its middle, and its lower bound belongs to it", () => {
  for (const [x, odd] of [
    [0, 1],
    [1.99, 1],
    [2, 3],
    [-0.01, -1],
    [-2, -1],
    [-2.01, -3],
  ] as const)
    expect(roundToOdd(x), `${x}`).toBe(odd);
});
