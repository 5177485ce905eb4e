/** Models of one layer, built in code: the parts they are made of. */
import { type float, node, tensor, tfliteModel } from "../ir/build.ts";
import type { Model, Tensor, TypedArray, ValueInfo } from "../ir/model.ts";
import type { Quantization } from "../ir/scheme.ts";
import { emptyArray } from "../numeric/convert.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";

/** A model of one layer. */
export interface LayerCase {
  readonly name: string;
  readonly model: Model;
}

/** Codes over the whole range of the type, or floats in [-4, 4). */
export function randomData(dtype: DType, count: number, seed: number): TypedArray {
  const { uniform } = rng(seed);
  const { min, max } = DTYPES[dtype];
  const data = emptyArray(dtype, count) as Int8Array;
  const isFloat = DTYPES[dtype].kind === "float";
  for (let i = 0; i < data.length; i++)
    data[i] = isFloat ? uniform() * 8 - 4 : min + Math.floor(uniform() * (max - min + 1));
  return data;
}

export const grid = (scale: number | readonly number[], zeroPoint = 0, axis = 0): Quantization => {
  const scales = typeof scale === "number" ? [scale] : scale;
  return {
    qparams: { scale: Float32Array.from(scales), zeroPoint: new Int32Array(scales.length).fill(zeroPoint) },
    ...(scales.length > 1 && { axis }),
  };
};

/** A value that holds codes. */
export const coded = (name: string, dtype: DType, shape: readonly number[], scale: number, zero = 0): ValueInfo => ({
  name,
  dtype,
  shape,
  quantization: grid(scale, zero),
});

export const plain = (name: string, dtype: DType, shape: readonly number[]): ValueInfo => ({ name, dtype, shape });

export const ints = (name: string, values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  tensor(name, "int32", shape, Int32Array.from(values));

/** Scales that differ from one another by irregular amounts. */
export const scalesOf = (count: number, from: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => from * (1 + 0.37 * ((i * 7) % 11)));

export type Attributes = Readonly<Record<string, number | string | ReturnType<typeof float>>>;

interface LayerInit {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly constants?: readonly Tensor[];
  /** Names in the order of the op; inputs, then constants unless told. */
  readonly reads?: readonly string[];
  readonly attributes?: Attributes;
}

export function layer(
  name: string,
  op: string,
  { inputs, outputs, constants = [], reads, attributes = {} }: LayerInit,
): LayerCase {
  const names = reads ?? [...inputs, ...constants].map((value) => value.name);
  const nodes = [
    node(
      op,
      names,
      outputs.map((value) => value.name),
      { name: op, attributes },
    ),
  ];
  return { name: `${op} ${name}`, model: tfliteModel({ inputs, outputs, nodes, tensors: constants }) };
}

/** What the fused activations are called. */
export const NONE = { fused_activation_function: "NONE" };

export const ZERO: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  int8: [-9, 11],
  uint8: [117, 131],
  int16: [0, 0],
};

export function shared(
  op: string,
  dtype: DType,
  name: string,
  init: {
    readonly x: readonly number[];
    readonly y: readonly number[];
    readonly constants?: readonly Tensor[];
    readonly reads?: readonly string[];
    readonly attributes?: Attributes;
  },
): LayerCase {
  const zero = ZERO[dtype]![0];
  return layer(`${dtype} ${name}`, op, {
    inputs: [coded("x", dtype, init.x, 0.0471, zero)],
    outputs: [coded("y", dtype, init.y, 0.0471, zero)],
    constants: init.constants ?? [],
    ...(init.reads && { reads: init.reads }),
    attributes: init.attributes ?? {},
  });
}
