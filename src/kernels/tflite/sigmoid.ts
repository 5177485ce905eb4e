/** LOGISTIC and TANH: tables of codes at 8 bits, one interpolated table of the logistic function at 16. */
import { fail } from "../../numeric/errors.ts";
import { eachElement, unaryOf } from "./activations.ts";
import { type Call, isQuantized, type Kernel, type Operand, scaleOf, zeroOf } from "./call.ts";
import { codeTable } from "./xnnpack.ts";

type Unary = (x: number) => number;

/** Steps of the table per unit of x, and its length. */
const STEPS = 24;
const LENGTH = 256;

const logisticOf = (x: number): number => 1 / (1 + Math.exp(-x));

/** By how much the straight line between two table points lies below the function in their middle. */
const sag = (from: number): number =>
  logisticOf(from + 0.5 / STEPS) - (logisticOf(from) + logisticOf(from + 1 / STEPS)) / 2;

/** The logistic function at i / 24 in 16 bits, raised by half of what interpolation falls short by; the last is the limit. */
const TABLE = Uint16Array.from({ length: LENGTH }, (_, i) =>
  i === LENGTH - 1
    ? 0xffff
    : Math.min(0xffff, Math.round(65536 * (logisticOf(i / STEPS) + (sag(i / STEPS) + sag((i - 1) / STEPS)) / 4))),
);

/** An input as `multiplier / 2^shift` times 3 * 4096, the grid of the table. Some scales go another way (gemmlowp). */
interface Grid {
  readonly multiplier: number;
  readonly shift: number;
}

function gridOf(call: Call, input: Operand, output: Operand, ownWays: readonly number[]): Grid {
  if (ownWays.includes(scaleOf(input)))
    fail(
      "unsupported",
      `${call.where}: 16-bit codes on a scale of ${scaleOf(input)} are not computed as the runtime does`,
    );
  if (scaleOf(output) !== 2 ** -15 || zeroOf(output) !== 0 || zeroOf(input) !== 0)
    fail("graph", `${call.where}: 16-bit codes need an output scale of 1/32768 and zero points of 0`);
  let multiplier = scaleOf(input) * 4096 * 3;
  let shift = 0;
  for (; multiplier <= 32767 / 2 && shift <= 30; shift++) multiplier *= 2;
  return { multiplier: Math.trunc(multiplier), shift };
}

const onGrid = (x: number, { multiplier, shift }: Grid): number =>
  Math.floor((x * multiplier + (shift > 0 ? 2 ** (shift - 1) : 0)) / 2 ** shift);

/** The table at |x| / 2^bits, between its points in 2^bits steps. */
function interpolated(x: number, bits: number, limit: number): number {
  const at = Math.abs(x) >> bits;
  if (at >= LENGTH - 1) return limit;
  return TABLE[at]! * 2 ** bits + (Math.abs(x) & (2 ** bits - 1)) * (TABLE[at + 1]! - TABLE[at]!);
}

function logistic16(call: Call, input: Operand, output: Operand): Unary {
  const grid = gridOf(call, input, output, [2 ** -12]);
  return (code) => {
    const x = onGrid(code, grid);
    const result = interpolated(x, 9, 0x7fff * 1024);
    return (x >= 0 ? result + 512 : 2 ** 25 - result + 511) >> 10;
  };
}

/** tanh(x) = 2 logistic(2x) - 1. */
function tanh16(call: Call, input: Operand, output: Operand): Unary {
  const grid = gridOf(call, input, output, [2 ** -12, 2 ** -11]);
  return (code) => {
    const x = onGrid(code, grid);
    const result = interpolated(x, 8, 0xffff * 256);
    return (x >= 0 ? result - 2 ** 23 + 128 : 2 ** 23 - result + 127) >> 8;
  };
}

/** An op with a function in single precision and one for 16-bit codes. */
const tabled =
  (real: Unary, codes16: (call: Call, input: Operand, output: Operand) => Unary): Kernel =>
  (call) => {
    const [input, output] = unaryOf(call);
    if (!isQuantized(output)) return eachElement(input, output, real);
    const wide = output.dtype === "int16";
    eachElement(input, output, wide ? codes16(call, input, output) : codeTable(input, output, real));
  };

/** LOGISTIC. */
export const logistic: Kernel = tabled(logisticOf, logistic16);

/** TANH. */
export const tanh: Kernel = tabled(Math.tanh, tanh16);
