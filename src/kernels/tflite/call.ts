/** What a kernel of a TFLite op is called with, and short ways to ask it. */
import type { TypedArray } from "../../numeric/convert.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { roundHalfAway } from "../../numeric/rounding.ts";

/** Arrays whose elements are numbers; 64-bit integers are read through `numbersOf`. */
export type Numbers = Exclude<TypedArray, BigInt64Array | BigUint64Array>;

/** A value and what its codes stand for: (code - zeroPoint) * scale. No scales: the elements stand for themselves. */
export interface Operand {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** One element per slot, codes of less than a byte unpacked. Kernels fill those of outputs. */
  readonly data: TypedArray;
  readonly scale: ArrayLike<number>;
  readonly zeroPoint: ArrayLike<number>;
  /** Axis of the scales when there are several. */
  readonly axis: number;
  /** Whether the elements are in the file. */
  readonly constant: boolean;
}

/** Builtin options of an op by their names in TFLite's schema, enums as their names; absent ones take the default given. */
export interface Options {
  number(name: string, otherwise: number): number;
  text(name: string, otherwise: string): string;
}

/** One op with its operands. Omitted optional inputs are undefined. */
export interface Call {
  /** Names node and op in errors: `node "conv1" (CONV_2D)`. */
  readonly where: string;
  readonly inputs: readonly (Operand | undefined)[];
  readonly outputs: readonly Operand[];
  readonly options: Options;
}

/** Computes the outputs of an op from its inputs, into the arrays of the outputs. */
export type Kernel = (call: Call) => void;

/** An input that must be there. */
export const inputOf = ({ inputs, where }: Call, index: number): Operand =>
  inputs[index] ?? fail("graph", `${where}: input ${index} is missing`);

/** The first output, or that of another index. */
export const outputOf = ({ outputs, where }: Call, index = 0): Operand =>
  outputs[index] ?? fail("graph", `${where}: output ${index} is missing`);

/** Elements as numbers; 64-bit integers beyond 2^53 are rounded. */
export const numbersOf = ({ data }: Operand): Numbers =>
  data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;

/** The array of an operand whose elements are only copied or are no 64-bit integers. */
export const elements = ({ data }: Operand): Numbers => data as Numbers;

/** Whether the elements are codes of real numbers. */
export const isQuantized = ({ scale, dtype }: Operand): boolean => scale.length > 0 && DTYPES[dtype].kind !== "float";

/** The one scale of an activation; 1 where there is none. */
export const scaleOf = ({ scale }: Operand): number => scale[0] ?? 1;

/** The one zero point of an activation; 0 where there is none. */
export const zeroOf = ({ zeroPoint }: Operand): number => zeroPoint[0] ?? 0;

const list = (types: readonly string[]): string => types.join(", ");

/** Throws unless the operand has one of the types. */
export function expectType(call: Call, operand: Operand, types: readonly DType[]): void {
  if (!types.includes(operand.dtype))
    fail(
      "unsupported",
      `${call.where}: "${operand.name}" is ${operand.dtype}; the reference computes this op in ${list(types)}`,
    );
}

/** Throws unless the operands have the same type. */
export function expectSameType(call: Call, ...operands: readonly Operand[]): void {
  const [first, ...others] = operands;
  for (const other of others)
    if (other.dtype !== first!.dtype)
      fail(
        "unsupported",
        `${call.where}: "${first!.name}" is ${first!.dtype} and "${other.name}" ${other.dtype}; the reference needs the same type`,
      );
}

/** Throws unless the output has the shape that the op gives. */
export function expectShape(call: Call, output: Operand, shape: readonly number[]): void {
  if (output.shape.length !== shape.length || output.shape.some((length, axis) => length !== shape[axis]))
    fail("graph", `${call.where}: output "${output.name}" is declared as [${output.shape}], the op gives [${shape}]`);
}

/** Throws unless the operand has so many dimensions. */
export function expectRank(call: Call, operand: Operand, rank: number): void {
  if (operand.shape.length !== rank)
    fail("graph", `${call.where}: "${operand.name}" has shape [${operand.shape}]; ${rank} dimensions are expected`);
}

/** Real bounds of the fused activations. */
const BOUNDS: Readonly<Record<string, readonly [number, number]>> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU_N1_TO_1: [-1, 1],
  RELU6: [0, 6],
};

/** Real bounds of the fused activation of an op. */
export function activationBounds({ options, where }: Call): readonly [number, number] {
  const activation = options.text("fused_activation_function", "NONE");
  const bounds = Object.hasOwn(BOUNDS, activation) ? BOUNDS[activation] : undefined;
  return (
    bounds ??
    fail(
      "unsupported",
      `${where}: the fused activation ${activation} is not computed; known are ${list(Object.keys(BOUNDS))}`,
    )
  );
}

/** Smallest and largest value a fused activation lets through, as codes of the output where it has codes. */
export function activationRange(call: Call, output: Operand): readonly [number, number] {
  const bounds = activationBounds(call);
  return isQuantized(output) ? codeBounds(output, bounds) : bounds;
}

/** Codes of real bounds, cut to those of the output's type. */
export function codeBounds(output: Operand, [low, high]: readonly [number, number]): readonly [number, number] {
  const { min, max } = DTYPES[output.dtype];
  const code = (real: number): number => zeroOf(output) + roundHalfAway(Math.fround(real / scaleOf(output)));
  return [low === -Infinity ? min : Math.max(min, code(low)), high === Infinity ? max : Math.min(max, code(high))];
}

/** `value` within [low, high]. */
export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
