/** What follows a sum of products in convolutions and fully-connected layers: bias, rescaling, activation. */
import { fail } from "../../numeric/errors.ts";
import { roundHalfAway } from "../../numeric/rounding.ts";
import {
  activationRange,
  type Call,
  clamp,
  elements,
  expectSameType,
  expectType,
  isQuantized,
  numbersOf,
  type Operand,
  scaleOf,
  zeroOf,
} from "./call.ts";
import { type FixedPoint, fixedPoint, roundedFloat } from "./fixed-point.ts";
import { areCodes8, codeRange } from "./xnnpack.ts";

const { fround } = Math;

/** Operands of an op that sums products of an input and weights. */
export interface Weighted {
  readonly input: Operand;
  readonly filter: Operand;
  readonly bias: Operand | undefined;
  readonly output: Operand;
}

/** Turns a channel's sum into the element that is stored. */
export type Finish = (sum: number, channel: number) => number;

/** Throws unless the types go together: floats, 8-bit codes, or 16-bit activations with weights of at most 8 bits. */
export function expectWeighted(call: Call, { input, filter, bias, output }: Weighted): void {
  expectType(call, input, ["float32", "int8", "uint8", "int16"]);
  expectType(call, filter, WEIGHTS[input.dtype as keyof typeof WEIGHTS]);
  if (bias) expectType(call, bias, BIASES[input.dtype as keyof typeof BIASES]);
  expectSameType(call, input, output);
  if (input.dtype !== "float32" && !(isQuantized(input) && isQuantized(filter) && isQuantized(output)))
    fail("graph", `${call.where}: input, weights and output need scales where they hold codes`);
}

const WEIGHTS = {
  float32: ["float32"],
  int8: ["int8", "int4"],
  uint8: ["uint8"],
  int16: ["int8", "int4"],
} as const;

const BIASES = {
  float32: ["float32"],
  int8: ["int32"],
  uint8: ["int32"],
  int16: ["int32", "int64"],
} as const;

/** Elements less their zero point, in doubles: sums of their products are exact below 2^53. */
export function centered(operand: Operand, zero = isQuantized(operand) ? zeroOf(operand) : 0): Float64Array {
  return Float64Array.from(elements(operand), (element) => element - zero);
}

/** How a layer's sums become codes where XNNPACK leaves it to the builtin kernels. */
export interface Rounding {
  /** Sums of 32 bits. */
  readonly narrow: (sum: number, factor: FixedPoint) => number;
  /** Sums of 64 bits; in double precision where absent. */
  readonly wide?: (sum: number, factor: FixedPoint) => number;
  /** Whether one scale for all weights is multiplied in single precision. */
  readonly singleScale: boolean;
}

/** 16-bit activations sum in 64 bits unless their bias has 32. */
const isWide = ({ input, bias }: Weighted): boolean => input.dtype === "int16" && bias?.dtype !== "int32";

/** Real factors per channel, or one: input scale * weight scale / output scale. */
function factors({ input, filter, output }: Weighted, single: boolean): readonly number[] {
  const inScale = scaleOf(input);
  return Array.from(filter.scale, (scale) => (single ? fround(inScale * scale) : inScale * scale) / scaleOf(output));
}

function checkChannels(call: Call, { filter, bias }: Weighted, channels: number): void {
  if (bias && bias.data.length !== channels)
    fail("graph", `${call.where}: ${bias.data.length} biases for ${channels} channels`);
  if (filter.scale.length > 1 && filter.scale.length !== channels)
    fail("graph", `${call.where}: ${filter.scale.length} scales for ${channels} channels`);
}

/** Rescales a sum that has its bias. */
type Rescale = (sum: number, channel: number) => number;

/** Sums of 32 bits wrap around, as the runtime's do. */
function xnnpackRescale(operands: Weighted): Rescale {
  const all = factors(operands, true).map(fround);
  const step = all.length > 1 ? 1 : 0;
  return (sum, channel) => roundedFloat(sum | 0, all[channel * step]!);
}

function builtinRescale(operands: Weighted, { narrow, wide, singleScale }: Rounding): Rescale {
  const all = factors(operands, singleScale && operands.filter.scale.length === 1);
  const step = all.length > 1 ? 1 : 0;
  const fixed = all.map(fixedPoint);
  if (!isWide(operands)) return (sum, channel) => narrow(sum | 0, fixed[channel * step]!);
  if (wide) return (sum, channel) => wide(sum, fixed[channel * step]!);
  const exact = factors(operands, false);
  return (sum, channel) => roundHalfAway(sum * exact[channel * step]!);
}

/** XNNPACK takes 8-bit layers whose weights and biases are in the file. */
export const takenByXnnpack = ({ input, filter, bias, output }: Weighted): boolean =>
  areCodes8(input, output) && filter.dtype === input.dtype && filter.constant && bias?.constant !== false;

/** Bias, rescaling and fused activation of a layer with so many output channels. */
export function finisher(
  call: Call,
  operands: Weighted,
  channels: number,
  rounding: Rounding,
  xnnpack = takenByXnnpack(operands),
): Finish {
  checkChannels(call, operands, channels);
  const { bias, output } = operands;
  const [low, high] = xnnpack ? codeRange(call, output) : activationRange(call, output);
  const biases = bias ? numbersOf(bias) : new Float64Array(channels);
  if (!isQuantized(output)) return (sum, channel) => clamp(fround(sum + biases[channel]!), low, high);
  const rescale = xnnpack ? xnnpackRescale(operands) : builtinRescale(operands, rounding);
  const zero = zeroOf(output);
  return (sum, channel) => clamp(rescale(sum + biases[channel]!, channel) + zero, low, high);
}
