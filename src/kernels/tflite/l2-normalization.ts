/** L2_NORMALIZATION over the last axis; codes by Newton's method in fixed-point. */
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { unaryOf } from "./activations.ts";
import { clamp, isQuantized, type Kernel, type Operand, scaleOf, zeroOf } from "./call.ts";
import { divideByPowerOfTwo, type FixedPoint, roundedOnce, roundedTwice } from "./fixed-point.ts";
import { eachRow, type Row } from "./softmax.ts";

const INT32 = DTYPES.int32;

/** a * b / 2^31, rounded to nearest. */
const product = (a: number, b: number): number => roundedOnce(a, { multiplier: b, shift: 0 });

/** Shifted left within 32 bits. */
const shifted = (x: number, bits: number): number => clamp(x * 2 ** bits, INT32.min, INT32.max);

/** 1, 3/2 with 28 bits behind the point; the square root of 1/2 with 31. */
const ONE = 2 ** 28;
const THREE_HALVES = 3 * 2 ** 27;
const HALF_ROOT = 1518500250;

/** Five steps of x * (3 - value * x^2) / 2 from 1, for a value of 28 bits behind the point. */
function newton(value: number): number {
  const half = divideByPowerOfTwo(value, 1);
  let x = ONE;
  for (let step = 0; step < 5; step++) {
    const cube = shifted(product(product(x, x), x), 6);
    x = shifted(product(THREE_HALVES, x) - product(half, cube), 3);
  }
  return x;
}

/** 1 / sqrt(sum) as a factor; sums of 0 count as 1. */
function inverseRoot(sum: number): FixedPoint {
  if (sum <= 1) return { multiplier: INT32.max, shift: 0 };
  let [value, shift] = [sum, 11];
  for (; value >= 2 ** 29; shift++) value = Math.trunc(value / 4);
  const pairs = ((Math.clz32(value) - 1) >> 1) - 1;
  shift -= pairs;
  const multiplier = product(newton((value << (2 * pairs)) >> 1), HALF_ROOT);
  return shift < 0 ? { multiplier: multiplier << -shift, shift: 0 } : { multiplier, shift: -shift };
}

/** Results in 1/128. */
function codes(input: Operand): Row {
  const zero = zeroOf(input);
  const { min, max } = DTYPES.int8;
  return (row, out) => {
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += (row[i]! - zero) ** 2;
    const { multiplier, shift } = inverseRoot(sum);
    for (let i = 0; i < row.length; i++)
      out[i] = clamp(roundedTwice(row[i]! - zero, { multiplier, shift: shift + 7 }), min, max);
  };
}

const floats: Row = (row, out) => {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i]! ** 2;
  const norm = Math.max(Math.sqrt(sum), 1e-6);
  for (let i = 0; i < row.length; i++) out[i] = row[i]! / norm;
};

/** L2_NORMALIZATION of floats and of int8. */
export const l2Normalization: Kernel = (call) => {
  const [input, output] = unaryOf(call);
  if (!isQuantized(output)) eachRow(input, output, floats);
  else if (output.dtype !== "int8" || scaleOf(output) !== 2 ** -7 || zeroOf(output) !== 0)
    fail("unsupported", `${call.where}: codes are int8 with a scale of 1/128 and a zero point of 0 in this op`);
  else eachRow(input, output, codes(input));
};
