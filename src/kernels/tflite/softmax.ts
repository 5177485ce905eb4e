/** SOFTMAX and LOG_SOFTMAX over the last axis. */
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { roundHalfAway, roundHalfEven } from "../../numeric/rounding.ts";
import { unaryOf } from "./activations.ts";
import {
  type Call,
  clamp,
  elements,
  isQuantized,
  type Kernel,
  type Numbers,
  type Operand,
  scaleOf,
  zeroOf,
} from "./call.ts";
import { fixedPoint, roundedTwice } from "./fixed-point.ts";

const { fround } = Math;

/** Computes a row of the output from that of the input. */
export type Row = (input: Numbers, output: Numbers) => void;

/** Calls `row` with views of the last axis. */
export function eachRow(input: Operand, output: Operand, row: Row): void {
  const depth = input.shape.at(-1) ?? 1;
  const [data, out] = [elements(input), elements(output)];
  for (let at = 0; at < out.length; at += depth) row(data.subarray(at, at + depth), out.subarray(at, at + depth));
}

function largest(values: Numbers): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! > most) most = values[i]!;
  return most;
}

const betaOf = ({ options }: Call): number => fround(options.number("beta", 0));

/** exp of differences 0, -1, ... -255 of codes, in single precision. */
function exponentials(scale: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, difference) => Math.exp(fround(scale * difference)));
}

/** Sum of the exponentials of a row in single precision, and its largest code. */
function expSum(input: Numbers, table: Float32Array): readonly [number, number] {
  const most = largest(input);
  let sum = 0;
  for (let i = 0; i < input.length; i++) sum = fround(sum + table[most - input[i]!]!);
  return [sum, most];
}

/** 8-bit codes: exponentials from a table in single precision. */
function softmax8(call: Call, input: Operand, output: Operand): Row {
  const table = exponentials(fround(-scaleOf(input) * betaOf(call)));
  const { min, max } = DTYPES[output.dtype];
  const round = output.dtype === "uint8" ? (x: number) => Math.trunc(fround(x + 0.5)) : roundHalfAway;
  const zero = output.dtype === "uint8" ? 0 : zeroOf(output);
  return (row, out) => {
    const [sum, most] = expSum(row, table);
    const inverse = fround(1 / fround(sum * scaleOf(output)));
    for (let i = 0; i < row.length; i++)
      out[i] = clamp(round(fround(table[most - row[i]!]! * inverse)) + zero, min, max);
  };
}

/** 512 steps of a function over 16-bit codes, shifted so that interpolation errs to both sides alike, and one at the end. */
function stepTable(from: number, to: number, real: (x: number) => number): Int16Array {
  const step = (to - from) / 512;
  const code = (x: number): number => roundHalfAway(real(x) * 32768);
  return Int16Array.from({ length: 513 }, (_, i) => {
    if (i === 512) return clamp(code(to), -32768, 32767);
    const middle = roundHalfAway((real(from + (i + 1) * step) * 32768 + code(from + i * step)) / 2);
    const bias = roundHalfAway((middle - code(from + i * step + step / 2)) / 2);
    return clamp(code(from + i * step) - bias, -32768, 32767);
  });
}

/** A table of 513 at a 16-bit code. */
function lookup(code: number, table: Int16Array): number {
  const at = 256 + (code >> 7);
  return table[at]! + (((table[at + 1]! - table[at]!) * (code & 0x7f) + 64) >> 7);
}

const saturate = (x: number): number => clamp(x, -32768, 32767);

/** 1 / sum of 16-bit exponentials, from 1 / (1 + x) of the sum's bits behind the first. */
function reciprocal(sum: number, table: Int16Array): readonly [number, number] {
  const headroom = Math.clz32(sum);
  const shifted = Math.floor((sum * 2 ** (headroom - 1) + 2 ** 13) / 2 ** 14);
  return [lookup(saturate(shifted - 0x18000), table), 31 - headroom];
}

/** 16-bit codes: tables of exp over [-10, 0] and of 1 / (1 + x) over [0, 1]. */
function softmax16(call: Call, input: Operand): Row {
  const exp = stepTable(-10, 0, Math.exp);
  const inverse = stepTable(0, 1, (x) => 1 / (1 + x));
  const factor = fixedPoint(fround(scaleOf(input) * betaOf(call)) / (10 / 65535));
  return (row, out) => {
    const most = largest(row);
    let sum = 0;
    for (let i = 0; i < row.length; i++) {
      out[i] = lookup(saturate(roundedTwice(row[i]! - most, factor) + 32767), exp);
      sum += out[i]!;
    }
    const [share, shift] = reciprocal(sum, inverse);
    for (let i = 0; i < row.length; i++)
      out[i] = clamp(Math.floor((out[i]! * share + 2 ** (shift - 1)) / 2 ** shift), 0, 32767);
  };
}

function softmaxFloat(beta: number): Row {
  return (row, out) => {
    const most = largest(row);
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += out[i] = Math.exp((row[i]! - most) * beta);
    for (let i = 0; i < row.length; i++) out[i]! /= sum;
  };
}

/** SOFTMAX. */
export const softmax: Kernel = (call) => {
  const [input, output] = unaryOf(call);
  if (!isQuantized(output)) return eachRow(input, output, softmaxFloat(betaOf(call)));
  eachRow(input, output, output.dtype === "int16" ? softmax16(call, input) : softmax8(call, input, output));
};

function logSoftmax8(input: Operand, output: Operand): Row {
  const table = exponentials(-scaleOf(input));
  const { min, max } = DTYPES[output.dtype];
  const scale = fround(scaleOf(input) / scaleOf(output));
  return (row, out) => {
    const [sum, most] = expSum(row, table);
    const log = fround(Math.log(sum));
    const shift = fround(fround(fround(scaleOf(input) * most) + log) / scaleOf(output));
    for (let i = 0; i < row.length; i++)
      out[i] = clamp(roundHalfEven(fround(fround(scale * row[i]!) - shift)) + zeroOf(output), min, max);
  };
}

const logSoftmaxFloat: Row = (row, out) => {
  const most = largest(row);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i]! - most);
  for (let i = 0; i < row.length; i++) out[i] = row[i]! - most - Math.log(sum);
};

/** LOG_SOFTMAX. */
export const logSoftmax: Kernel = (call) => {
  const [input, output] = unaryOf(call);
  if (output.dtype === "int16") fail("unsupported", `${call.where}: 16-bit codes are not computed in this op`);
  eachRow(input, output, isQuantized(output) ? logSoftmax8(input, output) : logSoftmaxFloat);
};
