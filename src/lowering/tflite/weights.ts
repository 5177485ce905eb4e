/** Weights and biases of TFLite models as codes: tensors that say themselves what their codes stand for. */
import type { Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import type { Quantization } from "../../ir/scheme.ts";
import { bytesSource, computedSource, readAll } from "../../ir/source.ts";
import { bytesOf, decodeFloats, emptyArray, encodeFloats } from "../../numeric/convert.ts";
import { byteLength, DTYPES, type DType, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { type Affine, type IntArray, quantizeValues } from "../../numeric/qparams.ts";
import { roundHalfEven } from "../../numeric/rounding.ts";
import { staticWeight } from "../qdq-weights.ts";

/** What a plan says of one weight. */
export type WeightPlan = NonNullable<NodePlan["weight"]>;

/** A bias, and the scale of the values that its products are made of. */
export interface BiasSite {
  readonly bias: Tensor | undefined;
  readonly dataScale: number | undefined;
}

/** Elements of a constant. */
export const floats = async ({ data, dtype }: Tensor): Promise<Float32Array> =>
  decodeFloats(await readAll(data), dtype);

/** Symmetric codes: zero points are all zero, as the specification wants them of weights. */
const symmetric = (scale: Float32Array, axis?: number): Quantization => ({
  qparams: { scale, zeroPoint: new Int32Array(scale.length) },
  ...(axis !== undefined && { axis }),
});

/** Halves of a float32 tensor, converted when the file is written. */
export const halves = (tensor: Tensor, name: string): Tensor => ({
  name,
  dtype: "float16",
  shape: tensor.shape,
  data: computedSource(byteLength("float16", elementCount(tensor.shape)), async () =>
    encodeFloats(await floats(tensor), "float16"),
  ),
});

/** The weight as its plan stores it, under `name`; scales are searched now, codes computed when the file is written. */
export async function codedWeight(tensor: Tensor, plan: WeightPlan, name: string, site?: BiasSite): Promise<Tensor> {
  if (plan.scheme.dtype === "float16") return halves(tensor, name);
  const made = await staticWeight(tensor, plan, site?.bias, site?.dataScale, (wish) => wish);
  const perTensor = plan.scheme.granularity.per === "tensor";
  return { ...made.tensors[0]!, name, quantization: symmetric(made.scales, perTensor ? undefined : plan.axis) };
}

/** Codes of a bias by the type of the activations: sums of int16 products need more than 32 bits. */
const BIAS_TYPES: Readonly<Partial<Record<DType, "int32" | "int64">>> = { int8: "int32", int16: "int64" };

/** A bias on the scale of the products it is added to: input scale times weight scale. */
export async function codedBias(
  bias: Tensor,
  { scale: dataScale }: Affine,
  activations: DType,
  weightScales: Float32Array,
  name: string,
): Promise<Tensor> {
  const values = await floats(bias);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) fail("data", `bias "${bias.name}" holds ${values[bad]} at index ${bad}; keep it in float or repair it`);
  const scales = Float32Array.from(values, (_, i) => dataScale * weightScales[i % weightScales.length]!);
  const codes = Array.from(values, (value, i) => roundHalfEven(value / scales[i]!));
  const dtype = BIAS_TYPES[activations] ?? fail("unsupported", `no biases for ${activations} activations`);
  const data = dtype === "int32" ? Int32Array.from(codes) : BigInt64Array.from(codes, BigInt);
  const perTensor = weightScales.length === 1;
  return {
    name,
    dtype,
    shape: bias.shape,
    data: bytesSource(bytesOf(data)),
    quantization: perTensor ? symmetric(scales.slice(0, 1)) : symmetric(scales, 0),
  };
}

/** A constant operand on a grid. */
export async function codedConstant(tensor: Tensor, grid: Affine, dtype: DType, name: string): Promise<Tensor> {
  const out = emptyArray(dtype, elementCount(tensor.shape)) as IntArray;
  const codes = quantizeValues(await floats(tensor), grid, DTYPES[dtype], out);
  return { name, dtype, shape: tensor.shape, data: bytesSource(bytesOf(codes)), quantization: oneGrid(grid) };
}

/** One scale and zero point for all. */
export const oneGrid = ({ scale, zeroPoint }: Affine): Quantization => ({
  qparams: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) },
});
