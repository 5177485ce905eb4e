/** QUANTIZE (from floats or from codes to other codes) and DEQUANTIZE. */

import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { decodeHalf } from "../../numeric/half.ts";
import { roundHalfAway } from "../../numeric/rounding.ts";
import { eachElement } from "./activations.ts";
import {
  type Call,
  clamp,
  elements,
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
import { fixedPoint, roundedTwice } from "./fixed-point.ts";
import { stridesOf } from "./shapes.ts";
import * as xnnpack from "./xnnpack.ts";

/** Position of an element's scale among the scales of an operand. */
function channelOf({ shape, axis, scale }: Operand): (i: number) => number {
  if (scale.length < 2) return () => 0;
  const stride = stridesOf(shape)[axis]!;
  return (i) => Math.floor(i / stride) % shape[axis]!;
}

function fromFloats(input: Operand, output: Operand): void {
  const { min, max } = DTYPES[output.dtype];
  const [data, out, channel] = [elements(input), elements(output), channelOf(output)];
  // One scale divides in double precision, several in single.
  const round = output.scale.length > 1 ? (x: number) => roundHalfAway(Math.fround(x)) : roundHalfAway;
  for (let i = 0; i < out.length; i++) {
    const c = channel(i);
    const code = round(data[i]! / output.scale[c]!) + (output.zeroPoint[c] ?? zeroOf(output));
    out[i] = clamp(code, min, max);
  }
}

function fromCodes(input: Operand, output: Operand): void {
  const { min, max } = DTYPES[output.dtype];
  const factor = fixedPoint(scaleOf(input) / scaleOf(output));
  const [zeroIn, zeroOut] = [zeroOf(input), zeroOf(output)];
  eachElement(input, output, (x) => clamp(roundedTwice(x - zeroIn, factor) + zeroOut, min, max));
}

const xnnpackFloats = (input: Operand, output: Operand): void => eachElement(input, output, xnnpack.fromFloats(output));

const xnnpackCodes = (input: Operand, output: Operand): void =>
  eachElement(input, output, xnnpack.convert(input, output, xnnpack.ratioOf(input, output)));

function ruleOf(input: Operand, output: Operand): (input: Operand, output: Operand) => void {
  if (input.dtype === "float32") return xnnpack.areCodes8(output) ? xnnpackFloats : fromFloats;
  const taken = xnnpack.areCodes8(input, output) && xnnpack.factorFits(xnnpack.ratioOf(input, output));
  return taken ? xnnpackCodes : fromCodes;
}

/** QUANTIZE. */
export const quantize: Kernel = (call) => {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectType(call, input, ["float32", "int8", "uint8", "int16", "int32"]);
  expectType(call, output, ["int8", "uint8", "int16", "int32"]);
  expectShape(call, output, input.shape);
  expectScales(call, output);
  if (input.dtype !== "float32") expectScales(call, input);
  ruleOf(input, output)(input, output);
};

function expectScales(call: Call, operand: Operand): void {
  if (!isQuantized(operand)) fail("graph", `${call.where}: "${operand.name}" has no scale`);
}

/** DEQUANTIZE: codes to floats; float16 to float32. */
export const dequantize: Kernel = (call) => {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectType(call, input, ["int8", "uint8", "int16", "int4", "int2", "float16"]);
  expectType(call, output, ["float32"]);
  expectShape(call, output, input.shape);
  if (input.dtype === "float16") elements(output).set(decodeHalf(input.data as Uint16Array));
  else dequantizeCodes(call, input, output);
};

function dequantizeCodes(call: Call, input: Operand, output: Operand): void {
  expectScales(call, input);
  const [data, out, channel] = [elements(input), elements(output), channelOf(input)];
  for (let i = 0; i < out.length; i++) {
    const c = channel(i);
    out[i] = input.scale[c]! * (data[i]! - (input.zeroPoint[c] ?? zeroOf(input)));
  }
}
