/**
 * Multiplying integers by real factors (arXiv:1712.05877, section 2.2; TFLite's quantization specification leaves the
 * rounding open). LiteRT has four ways, and every op takes the one it takes there:
 * - `roundedOnce`: fixed-point, rounded once, ties up; matrix products outside of XNNPACK (ruy).
 * - `roundedTwice`: fixed-point, rounded twice; the other builtin kernels (gemmlowp).
 * - `roundedWide`: as once, with 15 bits of the factor; sums of 64 bits.
 * - `roundedFloat`: single precision, ties to even; XNNPACK.
 */
import { roundHalfAway, roundHalfEven } from "../../numeric/rounding.ts";

/** A factor as multiplier * 2^(shift - 31), the multiplier in [2^30, 2^31); both zero for factors near zero. */
export interface FixedPoint {
  readonly multiplier: number;
  readonly shift: number;
}

/** Smallest and largest shift: below, factors count as zero; above, they are cut to the largest one. */
const MIN_SHIFT = -31;
const MAX_SHIFT = 30;

/** Exponent of a positive double: value = fraction * 2^exponent, the fraction in [0.5, 1). */
function exponentOf(value: number): number {
  let exponent = Math.floor(Math.log2(value)) + 1;
  while (value / 2 ** exponent >= 1) exponent++;
  while (value / 2 ** exponent < 0.5) exponent--;
  return exponent;
}

/** The fixed-point factor nearest to a real one, which may be negative (the slope of a leaky ReLU). */
export function fixedPoint(real: number): FixedPoint {
  if (!(Math.abs(real) > 2 ** (MIN_SHIFT - 2)) || !Number.isFinite(real)) return { multiplier: 0, shift: 0 };
  const exponent = exponentOf(Math.abs(real));
  const rounded = roundHalfAway((real / 2 ** exponent) * 2 ** 31);
  const carried = Math.abs(rounded) === 2 ** 31;
  const shift = carried ? exponent + 1 : exponent;
  if (shift < MIN_SHIFT) return { multiplier: 0, shift: 0 };
  if (shift > MAX_SHIFT) return { multiplier: 2 ** 31 - 1, shift: MAX_SHIFT };
  return { multiplier: carried ? rounded / 2 : rounded, shift };
}

/** floor((high * 2^bits + low + 2^(shift - 1)) / 2^shift) of integers, low in [0, 2^bits), without leaving a double. */
function shiftRounding(high: number, low: number, bits: number, shift: number): number {
  if (shift > bits) return Math.floor((high + 2 ** (shift - bits - 1)) / 2 ** (shift - bits));
  return high * 2 ** (bits - shift) + Math.floor((low + 2 ** (shift - 1)) / 2 ** shift);
}

/** `x` times a factor for 32-bit `x`, rounded once to the nearest integer, ties up. */
export function roundedOnce(x: number, { multiplier, shift }: FixedPoint): number {
  const low = x * (multiplier & 0xffff);
  const carry = Math.floor(low / 65536);
  return shiftRounding(x * (multiplier >> 16) + carry, low - carry * 65536, 16, 31 - shift) | 0;
}

/** `x` times a factor for `x` of up to 48 bits: the multiplier keeps 15 bits, as in LiteRT's 64-bit accumulators. */
export function roundedWide(x: number, { multiplier, shift }: FixedPoint): number {
  const reduced = multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff;
  const top = Math.floor(x / 2 ** 24);
  const low = (x - top * 2 ** 24) * reduced;
  const carry = Math.floor(low / 2 ** 24);
  return shiftRounding(top * reduced + carry, low - carry * 2 ** 24, 24, 15 - shift) | 0;
}

/** `x` times a factor for 32-bit `x`: rounded to the multiplier's scale first, then to an integer, ties away from zero. */
export function roundedTwice(x: number, { multiplier, shift }: FixedPoint): number {
  const product = roundedOnce((x * 2 ** Math.max(shift, 0)) | 0, { multiplier, shift: 0 });
  return shift < 0 ? divideByPowerOfTwo(product, -shift) : product;
}

/** `x` times a factor, both in single precision, ties to even. */
export const roundedFloat = (x: number, factor: number): number => roundHalfEven(Math.fround(Math.fround(x) * factor));

/** x / 2^exponent, rounded to the nearest integer, ties away from zero (gemmlowp RoundingDivideByPOT). */
export function divideByPowerOfTwo(x: number, exponent: number): number {
  return roundHalfAway(x / 2 ** exponent);
}
