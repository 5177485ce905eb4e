import { describe, expect, it } from "vitest";
import { rng } from "../../numeric/rng.ts";
import { divideByPowerOfTwo, type FixedPoint, fixedPoint, roundedOnce, roundedWide } from "./fixed-point.ts";

/** floor(x * multiplier / 2^shift + 1/2) in whole numbers of any length. */
const exactly = (x: number, multiplier: number, shift: number): number =>
  Number((BigInt(x) * BigInt(multiplier) + (1n << BigInt(shift - 1))) >> BigInt(shift));

const fits = (value: number): boolean => value >= -(2 ** 31) && value < 2 ** 31;

describe("a real factor", () => {
  it("is within half a unit of the multiplier's last bit", () => {
    const { uniform } = rng(3);
    for (let i = 0; i < 1000; i++) {
      const real = 2 ** (uniform() * 50 - 25);
      const { multiplier, shift } = fixedPoint(real);
      expect(multiplier).toBeGreaterThanOrEqual(2 ** 30);
      expect(multiplier).toBeLessThan(2 ** 31);
      // Half of 2^-31 of a power of two that is at most twice the value.
      expect(Math.abs(multiplier * 2 ** (shift - 31) - real) / real).toBeLessThanOrEqual(2 ** -31);
    }
  });

  it("carries into the shift where rounding reaches a power of two", () => {
    expect(fixedPoint(1 - 2 ** -40)).toEqual({ multiplier: 2 ** 30, shift: 1 });
    expect(fixedPoint(0.5)).toEqual({ multiplier: 2 ** 30, shift: 0 });
  });

  it("is nothing below 2^-32 and the largest there is above 2^30", () => {
    expect(fixedPoint(2 ** -40)).toEqual({ multiplier: 0, shift: 0 });
    expect(fixedPoint(0)).toEqual({ multiplier: 0, shift: 0 });
    expect(fixedPoint(2 ** 40)).toEqual({ multiplier: 2 ** 31 - 1, shift: 30 });
  });
});

const FACTORS: readonly FixedPoint[] = [-31, -17, -10, -9, -3, 0, 1, 7, 14, 15, 16, 20].flatMap((shift) =>
  [2 ** 30, 0x5a827999, 0x7ffeffff, 2 ** 31 - 1].map((multiplier) => ({ multiplier, shift })),
);

describe("an integer times a factor", () => {
  it("is rounded once, ties up, as in whole numbers of any length", () => {
    const { integer } = rng(5);
    const bits = [1, 8, 16, 24, 31];
    for (const factor of FACTORS)
      for (let i = 0; i < 500; i++) {
        const reach = 2 ** bits[i % bits.length]! - 1;
        const x = integer(-reach, reach);
        const wanted = exactly(x, factor.multiplier, 31 - factor.shift);
        if (fits(wanted)) expect([x, factor, roundedOnce(x, factor)]).toEqual([x, factor, wanted]);
      }
  });

  it("rounds ties up on both sides of zero", () => {
    const half = { multiplier: 2 ** 30, shift: 0 };
    expect([-3, -1, 1, 3].map((x) => roundedOnce(x, half))).toEqual([-1, 0, 1, 2]);
  });

  it("keeps 15 bits of the multiplier for sums of up to 48 bits", () => {
    const { integer } = rng(7);
    for (const factor of FACTORS.filter(({ shift }) => shift < 8))
      for (let i = 0; i < 500; i++) {
        const x = integer(-(2 ** 23), 2 ** 23) * 2 ** (i % 24) + (i % 3);
        const reduced = factor.multiplier < 0x7fff0000 ? (factor.multiplier + 0x8000) >> 16 : 0x7fff;
        const wanted = exactly(x, reduced, 15 - factor.shift);
        if (fits(wanted)) expect([x, factor, roundedWide(x, factor)]).toEqual([x, factor, wanted]);
      }
  });
});

it("division by a power of two rounds ties away from zero", () => {
  expect([-6, -5, -2, 2, 5, 6].map((x) => divideByPowerOfTwo(x, 2))).toEqual([-2, -1, -1, 1, 1, 2]);
});
