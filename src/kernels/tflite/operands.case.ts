/** Short ways to call kernels in tests. */
import { emptyArray, type TypedArray } from "../../numeric/convert.ts";
import { type DType, elementCount } from "../../numeric/dtypes.ts";
import type { Call, Kernel, Operand } from "./call.ts";

/** What an operand has besides type and shape. */
interface OperandInit {
  readonly scale?: number | readonly number[];
  readonly zero?: number;
  readonly constant?: boolean;
}

/** An operand with the elements given, or zeros. */
export function operand(
  dtype: DType,
  shape: readonly number[],
  values?: ArrayLike<number>,
  { scale, zero = 0, constant = false }: OperandInit = {},
): Operand {
  const data = emptyArray(dtype, elementCount(shape)) as Int8Array;
  if (values) data.set(values as number[]);
  const scales = scale === undefined ? [] : typeof scale === "number" ? [scale] : scale;
  return {
    name: "v",
    dtype,
    shape,
    data,
    scale: Float32Array.from(scales),
    zeroPoint: scales.map(() => zero),
    axis: 0,
    constant,
  };
}

/** Codes with the scale 1 and the zero point 0 unless told. */
export const codes = (
  shape: readonly number[],
  values?: ArrayLike<number>,
  { scale = 1, zero = 0, constant = false }: OperandInit = {},
): Operand => operand("int8", shape, values, { scale, zero, constant });

export const floats = (shape: readonly number[], values?: ArrayLike<number>): Operand =>
  operand("float32", shape, values);

export const ints = (values: readonly number[], shape: readonly number[] = [values.length]): Operand =>
  operand("int32", shape, values);

type Values = Readonly<Record<string, number | string>>;

const optionsOf = (values: Values): Call["options"] => ({
  number: (name, otherwise) => Number(values[name] ?? otherwise),
  text: (name, otherwise) => String(values[name] ?? otherwise),
});

/** The elements of the outputs after the kernel ran, one list per output. */
export function outputsOf(
  kernel: Kernel,
  inputs: readonly Operand[],
  outputs: readonly Operand[],
  options: Values = {},
): readonly (readonly number[])[] {
  kernel({ where: 'node "n" (OP)', inputs, outputs, options: optionsOf(options) });
  return outputs.map(({ data }) => Array.from(data as TypedArray as Int8Array));
}

/** The elements of the only output. */
export const outputOf = (
  kernel: Kernel,
  inputs: readonly Operand[],
  output: Operand,
  options: Values = {},
): readonly number[] => outputsOf(kernel, inputs, [output], options)[0]!;
