/** Rounding to integers. Quantizers round half to even (ONNX QuantizeLinear, IEEE 754); ggml and TFLite round half away. */

/** 1.5 * 2^52: adding it pushes every fraction bit out of a double, which rounds half to even. */
const PUSH = 6755399441055744;
const EXACT = 2 ** 51;

/** Nearest integer, a tie to the even one; NaN and infinities stay as they are. */
export const roundHalfEven = (x: number): number => (x > -EXACT && x < EXACT ? x + PUSH - PUSH : roundLarge(x));

/** From 2^51 on a double has at most one fraction bit. */
const roundLarge = (x: number): number => {
  const down = Math.floor(x);
  if (x === down || Number.isNaN(x)) return x;
  return down % 2 === 0 ? down : down + 1;
};

/** Nearest integer, a tie to the one farther from zero (C `round`). */
export const roundHalfAway = (x: number): number => {
  const whole = Math.trunc(x);
  return Math.abs(x - whole) >= 0.5 ? whole + Math.sign(x) : whole;
};

/** The odd number whose step of 2 holds x: 2 floor(x / 2) + 1. */
export const roundToOdd = (x: number): number => 2 * Math.floor(x / 2) + 1;
