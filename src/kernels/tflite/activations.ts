/** Activations that work on each element alone, by rescaling: RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1, LEAKY_RELU, HARD_SWISH. */
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  type Call,
  clamp,
  codeBounds,
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
import { divideByPowerOfTwo, type FixedPoint, fixedPoint, roundedTwice } from "./fixed-point.ts";
import { areCodes8, convert, factorFits, ratioOf } from "./xnnpack.ts";

type Unary = (x: number) => number;

/** Types of activations that may hold codes. */
export const ACTIVATION_TYPES = ["float32", "int8", "uint8", "int16"] as const;

/** Input and output of an op that keeps shape and type. */
export function unaryOf(call: Call): readonly [Operand, Operand] {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectType(call, input, ACTIVATION_TYPES);
  expectSameType(call, input, output);
  expectShape(call, output, input.shape);
  return [input, output];
}

/** Fills the output with `compute` of each element. */
export function eachElement(input: Operand, output: Operand, compute: Unary): void {
  const [data, out] = [elements(input), elements(output)];
  for (let i = 0; i < out.length; i++) out[i] = compute(data[i]!);
}

/** An op with a rule for codes and one for floats. */
const elementwise =
  (codes: (call: Call, input: Operand, output: Operand) => Unary, float: (call: Call) => Unary): Kernel =>
  (call) => {
    const [input, output] = unaryOf(call);
    eachElement(input, output, isQuantized(output) ? codes(call, input, output) : float(call));
  };

/** From the input's scale to the output's; the quotient is taken in single precision. */
const rescale = (input: Operand, output: Operand): FixedPoint => fixedPoint(ratioOf(input, output));

/** A ReLU with real bounds. */
const relu = (low: number, high: number): Kernel =>
  elementwise(
    (_, input, output) => {
      const factor = rescale(input, output);
      const [zeroIn, zeroOut] = [zeroOf(input), zeroOf(output)];
      const [least, most] = codeBounds(output, [low, high]);
      return (x) => clamp(roundedTwice(x - zeroIn, factor) + zeroOut, least, most);
    },
    () => (x) => clamp(x, low, high),
  );

/** RELU. */
export const relu0: Kernel = relu(0, Infinity);
/** RELU6. */
export const relu6: Kernel = relu(0, 6);
/** RELU_N1_TO_1. */
export const reluN1To1: Kernel = relu(-1, 1);
/** RELU_0_TO_1. */
export const relu0To1: Kernel = relu(0, 1);

const slopeOf = ({ options }: Call): number => Math.fround(options.number("alpha", 0));

/** LEAKY_RELU: negative values are multiplied by `alpha`. */
export const leakyRelu: Kernel = elementwise(
  (call, input, output) => {
    const [ratio, below] = [ratioOf(input, output), Math.fround(ratioOf(input, output) * slopeOf(call))];
    if (areCodes8(input, output) && factorFits(ratio) && factorFits(below)) return convert(input, output, ratio, below);
    const [keep, slope] = [rescale(input, output), fixedPoint(leakyFactor(call, input, output))];
    const [zeroIn, zeroOut] = [zeroOf(input), zeroOf(output)];
    const { min, max } = DTYPES[output.dtype];
    return (x) => clamp(roundedTwice(x - zeroIn, x >= zeroIn ? keep : slope) + zeroOut, min, max);
  },
  (call) => {
    const alpha = slopeOf(call);
    return (x) => (x > 0 ? x : x * alpha);
  },
);

const leakyFactor = (call: Call, input: Operand, output: Operand): number =>
  Math.fround(Math.fround(scaleOf(input) * slopeOf(call)) / scaleOf(output));

/** A factor whose multiplier keeps 15 bits. */
function short({ multiplier, shift }: FixedPoint): FixedPoint {
  return { multiplier: Math.min(0x7fff, (multiplier + 0x8000) >> 16), shift };
}

const INT16 = DTYPES.int16;
const saturate = (x: number): number => clamp(x, INT16.min, INT16.max);

/** a * b / 2^15, rounded to nearest, of 16-bit numbers (gemmlowp SaturatingRoundingDoublingHighMul). */
const roundingProduct = (a: number, b: number): number =>
  a === INT16.min && b === INT16.min ? INT16.max : Math.trunc((a * b + (a * b >= 0 ? 16384 : -16383)) / 32768);

/** a * b / 2^15 towards zero. */
const truncatingProduct = (a: number, b: number): number =>
  a === INT16.min && b === INT16.min ? INT16.max : Math.trunc((a * b) / 32768);

/** (x + 3) / 6 of the hard swish in 15 bits, from an input on 128 times its scale; saturates below -3 and above 3. */
function gate(hires: number, { multiplier, shift }: FixedPoint): number {
  let value = shift > 0 ? saturate(hires * 2 ** (shift - 1)) : hires;
  value = roundingProduct(value, multiplier);
  if (shift > 0) value = saturate(value * 2);
  if (shift < 0) value = divideByPowerOfTwo(value, -shift);
  return (value + 32768) >> 1;
}

function hardSwishCodes(call: Call, input: Operand, output: Operand): Unary {
  if (output.dtype === "int16") fail("unsupported", `${call.where}: 16-bit codes are not computed in this op`);
  const hires = Math.fround(scaleOf(input) / 128);
  const outFactor = short(fixedPoint(Math.fround(hires / scaleOf(output))));
  const gateFactor = short(fixedPoint(Math.fround(hires / Math.fround(3 / 32768))));
  const { min, max } = DTYPES[output.dtype];
  return (x) => {
    const value = (x - zeroOf(input)) * 128;
    const shifted = truncatingProduct(gate(value, gateFactor), roundingProduct(value, outFactor.multiplier));
    return clamp(divideByPowerOfTwo(shifted, -outFactor.shift) + zeroOf(output), min, max);
  };
}

/** HARD_SWISH: x * min(max(x + 3, 0), 6) / 6, for codes in 16-bit fixed-point. */
export const hardSwish: Kernel = elementwise(hardSwishCodes, () => (x) => (x * clamp(x + 3, 0, 6)) / 6);
