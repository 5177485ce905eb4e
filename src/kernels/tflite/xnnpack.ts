/**
 * What XNNPACK computes of a TFLite model, and how. LiteRT's WebAssembly hands it every node with 8-bit codes that it
 * takes; the rest stays with TFLite's builtin kernels, which round otherwise. Facts: TFLite's XNNPACK delegate and
 * XNNPACK's wasmsimd kernels, August 2026.
 */

import { DTYPES } from "../../numeric/dtypes.ts";
import { roundHalfEven } from "../../numeric/rounding.ts";
import { activationBounds, type Call, clamp, isQuantized, type Operand, scaleOf, zeroOf } from "./call.ts";
import { roundedFloat } from "./fixed-point.ts";

const { fround } = Math;

/** Whether operands are 8-bit codes of one type with one scale each. */
export const areCodes8 = (...operands: readonly Operand[]): boolean =>
  operands.every(
    (operand) =>
      (operand.dtype === "int8" || operand.dtype === "uint8") &&
      operand.dtype === operands[0]!.dtype &&
      isQuantized(operand) &&
      operand.scale.length === 1,
  );

/** A quotient of scales in single precision. */
export const ratioOf = (from: Operand, to: Operand): number => fround(scaleOf(from) / scaleOf(to));

/** Whether ADD and SUB take inputs of such scales. */
export const sumFits = (a: Operand, b: Operand, output: Operand): boolean =>
  [ratioOf(a, output), ratioOf(b, output)].every((ratio) => ratio >= 2 ** -10 && ratio < 2 ** 8);

/** Scale of a product over that of the output, in single precision. */
export const productRatio = (a: Operand, b: Operand, output: Operand): number =>
  fround(fround(scaleOf(a) * scaleOf(b)) / scaleOf(output));

/** Whether MUL takes inputs of such scales. */
export const productFits = (a: Operand, b: Operand, output: Operand): boolean => {
  const ratio = productRatio(a, b, output);
  return ratio >= 2 ** -16 && ratio < 2 ** 8;
};

/** Whether conversions and leaky ReLUs take a factor. */
export const factorFits = (factor: number): boolean =>
  Math.abs(factor) >= 2 ** -8 && factor <= 2 ** 7 && factor >= -127.99609375;

/** Codes that a fused activation lets through. */
export function codeRange(call: Call, output: Operand): readonly [number, number] {
  const { min, max } = DTYPES[output.dtype];
  const code = (real: number): number =>
    roundHalfEven(clamp(fround(fround(real / scaleOf(output)) + zeroOf(output)), min, max));
  const [low, high] = activationBounds(call);
  return [code(low), code(high)];
}

type Binary = (a: number, b: number) => number;

/** ADD and SUB: factors of 21 bits on a common shift, one rounding, ties up. */
export function sum(call: Call, [a, b, output]: readonly [Operand, Operand, Operand], sign: 1 | -1): Binary {
  const [ratioA, ratioB] = [ratioOf(a, output), ratioOf(b, output)];
  const shift = 20 - Math.floor(Math.log2(Math.max(ratioA, ratioB)));
  const [factorA, factorB] = [roundHalfEven(ratioA * 2 ** shift), sign * roundHalfEven(ratioB * 2 ** shift)];
  const [low, high] = codeRange(call, output);
  const [zeroA, zeroB, zero] = [zeroOf(a), zeroOf(b), zeroOf(output)];
  return (x, y) => {
    const total = (x - zeroA) * factorA + (y - zeroB) * factorB + 2 ** (shift - 1);
    return clamp(Math.floor(total / 2 ** shift) + zero, low, high);
  };
}

/** MUL: in single precision. */
export function product(call: Call, [a, b, output]: readonly [Operand, Operand, Operand]): Binary {
  const ratio = productRatio(a, b, output);
  const [low, high] = codeRange(call, output);
  const [zeroA, zeroB, zero] = [zeroOf(a), zeroOf(b), zeroOf(output)];
  return (x, y) => clamp(roundedFloat((x - zeroA) * (y - zeroB), ratio) + zero, low, high);
}

/** Codes to codes of the same type: factors in 1/256, another one for what lies below zero. */
export function convert(input: Operand, output: Operand, factor: number, below = factor): (x: number) => number {
  const [keep, other] = [roundHalfEven(fround(256 * factor)), roundHalfEven(fround(256 * below))];
  const [zeroIn, zeroOut] = [zeroOf(input), zeroOf(output)];
  const { min, max } = DTYPES[output.dtype];
  return (x) => {
    const value = x - zeroIn;
    return clamp(Math.floor((value * 128 * (value > 0 ? keep : other) + 16384) / 32768) + zeroOut, min, max);
  };
}

/** Floats to codes: times the reciprocal of the scale. */
export function fromFloats(output: Operand): (x: number) => number {
  const inverse = fround(1 / scaleOf(output));
  const { min, max } = DTYPES[output.dtype];
  return (x) => clamp(roundHalfEven(fround(x * inverse)) + zeroOf(output), min, max);
}

/** A table by code of a real function: zero point and all in single precision. */
export function codeTable(input: Operand, output: Operand, real: (x: number) => number): (x: number) => number {
  const { min, max } = DTYPES[input.dtype];
  const inverse = fround(1 / scaleOf(output));
  const codes = Array.from({ length: max - min + 1 }, (_, i) => {
    const y = fround(real(fround((min + i - zeroOf(input)) * scaleOf(input))));
    return clamp(roundHalfEven(fround(fround(y * inverse) + zeroOf(output))), min, max);
  });
  return (code) => codes[code - min]!;
}

/** The mean of `count` codes from their sum, in single precision. */
export function mean(input: Operand, output: Operand, count: number): (sum: number) => number {
  const scale = fround(ratioOf(input, output) * fround(1 / count));
  const zero = fround(zeroOf(output) - fround(fround(count * zeroOf(input)) * scale));
  return (sum) => roundHalfEven(fround(fround(fround(sum) * scale) + zero));
}
