/** Ops of two values, element by element, the smaller shape broadcast. */
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  activationRange,
  type Call,
  clamp,
  elements,
  expectSameType,
  expectShape,
  expectType,
  inputOf,
  isQuantized,
  type Kernel,
  type Operand,
  outputOf,
  scaleOf,
  zeroOf,
} from "./call.ts";
import { divideByPowerOfTwo, fixedPoint, roundedTwice } from "./fixed-point.ts";
import { broadcastOffsets, broadcastShape } from "./shapes.ts";
import * as xnnpack from "./xnnpack.ts";

type Binary = (a: number, b: number) => number;

/** Both inputs and the output of an op. */
interface Pair {
  readonly a: Operand;
  readonly b: Operand;
  readonly output: Operand;
}

const TYPES = ["float32", "int8", "uint8", "int16", "int32"] as const;

function pairOf(call: Call): Pair {
  const pair = { a: inputOf(call, 0), b: inputOf(call, 1), output: outputOf(call) };
  expectType(call, pair.a, TYPES);
  expectSameType(call, pair.a, pair.b, pair.output);
  expectShape(call, pair.output, broadcastShape(call.where, pair.a.shape, pair.b.shape));
  return pair;
}

/** Fills the output with `compute` of the elements that meet. */
export function eachPair({ a, b, output }: Pair, compute: Binary): void {
  const [left, right, out] = [elements(a), elements(b), elements(output)];
  const fromA = broadcastOffsets(a.shape, output.shape);
  const fromB = broadcastOffsets(b.shape, output.shape);
  for (let i = 0; i < out.length; i++) out[i] = compute(left[fromA[i]!]!, right[fromB[i]!]!);
}

/** Bits that codes are shifted up before sums of two scales, so that the rounding of each stays small. */
const headroom = ({ output }: Pair): number => (output.dtype === "int16" ? 15 : 20);

/** Sums and differences meet on a scale of twice the larger input's, 2^headroom times finer. */
function sum(call: Call, pair: Pair, sign: 1 | -1): Binary {
  const { a, b, output } = pair;
  if (xnnpack.areCodes8(a, b, output) && xnnpack.sumFits(a, b, output)) return xnnpack.sum(call, [a, b, output], sign);
  const bits = headroom(pair);
  const common = 2 * Math.max(scaleOf(a), scaleOf(b));
  const [fa, fb] = [fixedPoint(scaleOf(a) / common), fixedPoint(scaleOf(b) / common)];
  const back = fixedPoint(common / (2 ** bits * scaleOf(output)));
  const [low, high] = activationRange(call, output);
  const [za, zb, zero] = [zeroOf(a), zeroOf(b), zeroOf(output)];
  return (x, y) => {
    const total = roundedTwice((x - za) * 2 ** bits, fa) + sign * roundedTwice((y - zb) * 2 ** bits, fb);
    return clamp(roundedTwice(total, back) + zero, low, high);
  };
}

/** Products take the scales in single precision. */
function product(call: Call, { a, b, output }: Pair): Binary {
  if (xnnpack.areCodes8(a, b, output) && xnnpack.productFits(a, b, output))
    return xnnpack.product(call, [a, b, output]);
  const factor = fixedPoint(xnnpack.productRatio(a, b, output));
  const [low, high] = activationRange(call, output);
  const [za, zb, zero] = [zeroOf(a), zeroOf(b), zeroOf(output)];
  return (x, y) => clamp(roundedTwice((x - za) * (y - zb), factor) + zero, low, high);
}

/** An op with a rule for codes and one for plain numbers, which a fused activation follows. */
const arithmetic =
  (codes: (call: Call, pair: Pair) => Binary, plain: Binary): Kernel =>
  (call) => {
    const pair = pairOf(call);
    if (isQuantized(pair.output)) return eachPair(pair, codes(call, pair));
    const [low, high] = activationRange(call, pair.output);
    eachPair(pair, (x, y) => clamp(plain(x, y), low, high));
  };

const isPowerOfTwo = (operand: Operand): boolean => Number.isInteger(Math.log2(scaleOf(operand)));

/** 16-bit sums of scales that are powers of two are shifted, unless the op says otherwise. */
const isShifted = (call: Call, { a, b, output }: Pair): boolean =>
  output.dtype === "int16" && call.options.number("pot_scale_int16", 1) !== 0 && [a, b, output].every(isPowerOfTwo);

function shiftedSum(call: Call, { a, b, output }: Pair, sign: 1 | -1): Binary {
  const [shiftA, shiftB] = [a, b].map((input) => Math.log2(scaleOf(output) / scaleOf(input)));
  if (shiftA! < 0 || shiftB! < 0 || shiftA! * shiftB! !== 0)
    fail("graph", `${call.where}: of 16-bit scales that are powers of two, one is the output's and the other smaller`);
  const [low, high] = activationRange(call, output);
  return (x, y) => clamp(divideByPowerOfTwo(x, shiftA!) + sign * divideByPowerOfTwo(y, shiftB!), low, high);
}

/** A sum of codes of either sign. */
function signedSum(sign: 1 | -1): (call: Call, pair: Pair) => Binary {
  return (call, pair) => {
    if (pair.output.dtype === "int16" && [pair.a, pair.b, pair.output].some((operand) => zeroOf(operand) !== 0))
      fail("graph", `${call.where}: 16-bit codes have a zero point of 0`);
    return isShifted(call, pair) ? shiftedSum(call, pair, sign) : sum(call, pair, sign);
  };
}

/** ADD. */
export const add: Kernel = arithmetic(signedSum(1), (x, y) => x + y);

/** SUB. */
export const sub: Kernel = arithmetic(signedSum(-1), (x, y) => x - y);

/** MUL. */
export const mul: Kernel = arithmetic(product, (x, y) => x * y);

/** MAXIMUM and MINIMUM compare codes, so all operands share a grid. */
const choose =
  (choice: Binary): Kernel =>
  (call) => {
    const pair = pairOf(call);
    eachPair(pair, choice);
  };

/** MAXIMUM. */
export const maximum: Kernel = choose((x, y) => Math.max(x, y));

/** MINIMUM. */
export const minimum: Kernel = choose((x, y) => Math.min(x, y));

/** PRELU: negative values are multiplied by a factor of their own, broadcast. */
export const prelu: Kernel = (call) => {
  const pair = pairOf(call);
  const { a, b, output } = pair;
  if (!isQuantized(output)) return eachPair(pair, (x, slope) => (x >= 0 ? x : x * slope));
  const { min, max } = DTYPES[output.dtype];
  const keep = fixedPoint(xnnpack.ratioOf(a, output));
  const slope = fixedPoint(xnnpack.productRatio(a, b, output));
  const [za, zb, zero] = [zeroOf(a), zeroOf(b), zeroOf(output)];
  eachPair(pair, (x, y) => {
    const value = x - za;
    return clamp((value >= 0 ? roundedTwice(value, keep) : roundedTwice(value * (y - zb), slope)) + zero, min, max);
  });
};
