/** AVERAGE_POOL_2D, MAX_POOL_2D and MEAN. */
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  activationRange,
  type Call,
  clamp,
  elements,
  expectRank,
  expectSameType,
  expectShape,
  expectType,
  inputOf,
  isQuantized,
  type Kernel,
  numbersOf,
  type Operand,
  outputOf,
  scaleOf,
  zeroOf,
} from "./call.ts";
import { type FixedPoint, fixedPoint, roundedTwice } from "./fixed-point.ts";
import { axisOf, offsetsOf, stridesOf } from "./shapes.ts";
import { strides, type Window, windowOf } from "./window.ts";
import { areCodes8, mean as xnnpackMean } from "./xnnpack.ts";

const TYPES = ["float32", "int8", "uint8", "int16"] as const;

/** First and last input of window `o` that lie in the image. */
const rangeOf = ({ stride, pad, taps, input }: Window, o: number): readonly [number, number] => [
  Math.max(0, o * stride - pad),
  Math.min(input, o * stride - pad + taps),
];

/** How a pool folds elements, and what it makes of the fold and the number of elements. */
interface Fold {
  readonly start: number;
  readonly step: (seen: number, element: number) => number;
  readonly end: (seen: number, count: number) => number;
}

function pool(call: Call, foldOf: (output: Operand) => Fold): void {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectRank(call, input, 4);
  expectType(call, input, TYPES);
  expectSameType(call, input, output);
  const [strideH, strideW] = strides(call);
  const size = (side: string): number => call.options.number(`filter_${side}`, 0);
  const rows = windowOf(call, input.shape[1]!, { taps: size("height"), stride: strideH });
  const columns = windowOf(call, input.shape[2]!, { taps: size("width"), stride: strideW });
  expectShape(call, output, [input.shape[0]!, rows.output, columns.output, input.shape[3]!]);
  poolInto(input, output, rows, columns, foldOf(output), activationRange(call, output));
}

function poolInto(
  input: Operand,
  output: Operand,
  rows: Window,
  columns: Window,
  fold: Fold,
  [low, high]: readonly [number, number],
): void {
  const out = elements(output);
  const [, height, width, channels] = output.shape as [number, number, number, number];
  for (let at = 0; at < out.length; at++) {
    const c = at % channels;
    const x = Math.floor(at / channels) % width;
    const y = Math.floor(at / (channels * width)) % height;
    const batch = Math.floor(at / (channels * width * height));
    out[at] = clamp(foldWindow(input, fold, batch, rangeOf(rows, y), rangeOf(columns, x), c), low, high);
  }
}

function foldWindow(
  input: Operand,
  { start, step, end }: Fold,
  batch: number,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
  channel: number,
): number {
  const data = elements(input);
  const [, height, width, channels] = input.shape as [number, number, number, number];
  let seen = start;
  for (let y = top; y < bottom; y++)
    for (let x = left; x < right; x++)
      seen = step(seen, data[((batch * height + y) * width + x) * channels + channel]!);
  return end(seen, (bottom - top) * (right - left));
}

/** Nearest integer, a tie away from zero, as integer division of C gives it. */
const roundedQuotient = (sum: number, count: number): number =>
  Math.trunc((sum > 0 ? sum + (count >> 1) : sum - (count >> 1)) / count);

/** AVERAGE_POOL_2D: the mean of the codes inside the image. */
export const averagePool2d: Kernel = (call) =>
  pool(call, (output) => ({
    start: 0,
    step: (sum, element) => sum + element,
    end: output.dtype === "float32" ? (sum, count) => sum / count : roundedQuotient,
  }));

/** MAX_POOL_2D. */
export const maxPool2d: Kernel = (call) =>
  pool(call, (output) => ({
    start: output.dtype === "float32" ? -Infinity : DTYPES[output.dtype].min,
    step: (most, element) => Math.max(most, element),
    end: (most) => most,
  }));

/** Axes that MEAN reduces, in ascending order. */
function axesOf(call: Call, input: Operand): readonly number[] {
  const axes = numbersOf(inputOf(call, 1));
  return [...new Set(Array.from(axes, (axis) => axisOf(call.where, axis, input.shape.length)))].sort((a, b) => a - b);
}

/** 1 / count goes into the multiplier, as many bits finer as fit. */
function dividedBy({ multiplier, shift }: FixedPoint, count: number): FixedPoint {
  const bits = Math.min(Math.floor(Math.log2(count)), 32, 31 + shift);
  return { multiplier: Math.trunc((multiplier * 2 ** bits) / count), shift: shift - bits };
}

function generalMean(input: Operand, output: Operand, count: number): (sum: number) => number {
  const factor = dividedBy(fixedPoint(scaleOf(input) / scaleOf(output)), count);
  return (sum) => roundedTwice((sum - zeroOf(input) * count) | 0, factor) + zeroOf(output);
}

function meanOf(input: Operand, output: Operand, count: number): (sum: number) => number {
  if (!isQuantized(output)) return (sum: number) => sum / count;
  return areCodes8(input, output) ? xnnpackMean(input, output, count) : generalMean(input, output, count);
}

/** MEAN over the axes of the second input. */
export const mean: Kernel = (call) => {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectType(call, input, TYPES);
  expectSameType(call, input, output);
  const axes = axesOf(call, input);
  const kept = input.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const pick = (from: readonly number[], which: readonly number[]) => which.map((axis) => from[axis]!);
  const keep = call.options.number("keep_dims", 0) !== 0;
  const all = input.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  expectShape(call, output, keep ? all : pick(input.shape, kept));
  const steps = stridesOf(input.shape);
  const starts = offsetsOf(pick(input.shape, kept), pick(steps, kept));
  const within = offsetsOf(pick(input.shape, axes), pick(steps, axes));
  if (within.length === 0) fail("graph", `${call.where}: nothing to average in a shape of [${input.shape}]`);
  const finish = meanOf(input, output, within.length);
  const { min, max } = DTYPES[output.dtype];
  const [data, out] = [elements(input), elements(output)];
  for (let i = 0; i < starts.length; i++) {
    let sum = 0;
    for (let j = 0; j < within.length; j++) sum += data[starts[i]! + within[j]!]!;
    out[i] = clamp(finish(sum), min, max);
  }
};
