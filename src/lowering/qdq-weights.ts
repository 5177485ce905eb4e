/** Weights and biases of the static form: int8 codes per channel, int32 biases on the scale of their products. */
import { tensor as makeTensor } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import type { QParams } from "../ir/scheme.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { byteLength, DTYPES, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { packCodes } from "../numeric/packing.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { channelCount, gridOf, type Layout, quantize } from "./dynamic-codes.ts";
import { givenGrid, givenParams, weightKey } from "./given.ts";
import { findParams } from "./static-scales.ts";

type WeightPlan = NonNullable<NodePlan["weight"]>;

/** Names of codes, scale and zero point, in the order DequantizeLinear takes them. */
export interface StaticWeight {
  /** Codes of less than a byte: cast to int8 before anything else, which the engine does when it loads the model. */
  readonly packed: boolean;
  /** Stored as (code - 1) / 2. */
  readonly odd: boolean;
  readonly names: readonly string[];
  readonly tensors: readonly Tensor[];
  /** Equal for plans that make the same codes of the same tensor, biases aside. */
  readonly key: string;
  /** One per output channel. */
  readonly scales: Float32Array;
}

/** Codes of a bias take at most half of what int32 holds: the products are added to them. */
const BIAS_MAX = 2 ** 30;

const floats = async (tensor: Tensor): Promise<Float32Array> => decodeFloats(await readAll(tensor.data), tensor.dtype);

/** Rows are the channels when they come first, columns when they come last. */
function layoutOf({ shape, axis, scheme, tensor }: WeightPlan): Layout {
  const count = elementCount(shape);
  if (scheme.granularity.per === "tensor") return { blocks: 1, rows: 1, cols: count, channels: "all" };
  const channels =
    shape[axis] ?? fail("graph", `tensor "${tensor}": no axis ${axis} in a shape of rank ${shape.length}`);
  if (axis === 0) return { blocks: 1, rows: channels, cols: count / channels, channels: "rows" };
  if (axis === shape.length - 1) return { blocks: 1, rows: count / channels, cols: channels, channels: "columns" };
  return fail(
    "unsupported",
    `tensor "${tensor}": channels on axis ${axis} of ${shape.length}; expected the first or the last`,
  );
}

/**
 * Reads a weight once for its scales; codes are computed when the file is written. A bias that would not fit int32
 * widens its channel's scale (its products then count in larger steps). `fresh` gives unused names.
 */
export async function staticWeight(
  tensor: Tensor,
  plan: WeightPlan,
  bias: Tensor | undefined,
  dataScale: number | undefined,
  fresh: (wish: string) => string,
): Promise<StaticWeight> {
  const layout = layoutOf(plan);
  const grid = plan.qparams === undefined ? gridOf(plan.scheme) : givenGrid(plan.scheme);
  const params = await paramsOf(tensor, plan, layout, bias, dataScale);
  const { dtype, odd = false } = plan.scheme;
  const { bits } = DTYPES[dtype];
  const count = elementCount(tensor.shape);
  const codes = computedSource(byteLength(dtype, count), async () => {
    const out = new Int8Array(count);
    quantize(await floats(tensor), layout, params, grid, dtype === "uint8" ? new Uint8Array(out.buffer) : out);
    if (odd) for (let i = 0; i < count; i++) out[i] = out[i]! >> 1;
    return bits === 2 || bits === 4 ? packCodes(out, bits) : new Uint8Array(out.buffer);
  });
  const tensors = [
    { name: fresh(`${tensor.name}/q`), dtype, shape: tensor.shape, data: codes },
    ...parameterTensors(tensor.name, params, plan, fresh),
  ];
  return {
    names: tensors.map(({ name }) => name),
    tensors,
    ...{ packed: bits < 8, odd },
    key: weightKey(plan),
    scales: params.scale,
  };
}

/** Given scales as they are; searched ones wide enough for the bias. */
async function paramsOf(
  tensor: Tensor,
  plan: WeightPlan,
  layout: Layout,
  bias: Tensor | undefined,
  dataScale: number | undefined,
): Promise<QParams> {
  if (plan.qparams !== undefined)
    return givenParams(plan.qparams, plan.scheme, channelCount(layout), `weight "${plan.tensor}"`);
  const found = findParams(plan.algorithm)(await floats(tensor), layout, gridOf(plan.scheme));
  return bias && dataScale ? { ...found, scale: fitBias(found.scale, await floats(bias), dataScale) } : found;
}

function parameterTensors(name: string, params: QParams, { scheme }: WeightPlan, fresh: (wish: string) => string) {
  const shape = scheme.granularity.per === "tensor" ? [] : [params.scale.length];
  return [
    makeTensor(fresh(`${name}/s`), "float32", shape, params.scale),
    makeTensor(
      fresh(`${name}/z`),
      scheme.dtype === "uint8" ? "uint8" : "int8",
      shape,
      Int8Array.from(params.zeroPoint),
    ),
  ];
}

/** Scales at least as large as the biases of their channels need. */
export function fitBias(scales: Float32Array, bias: Float32Array, dataScale: number): Float32Array {
  const fitted = scales.slice();
  for (let i = 0; i < bias.length; i++) {
    const channel = i % scales.length;
    fitted[channel] = Math.max(fitted[channel]!, Math.abs(bias[i]!) / (dataScale * BIAS_MAX));
  }
  return fitted;
}

/** Whether the codes of a bias stay within int32 on these scales. */
export async function biasFits(bias: Tensor, dataScale: number, scales: Float32Array): Promise<boolean> {
  const fitted = fitBias(scales, await floats(bias), dataScale);
  return fitted.every((scale, channel) => scale === scales[channel]);
}

/** Codes and scale of a bias; no zero point, which WebGPU refuses for int32. */
export async function staticBias(
  bias: Tensor,
  dataScale: number,
  weightScales: Float32Array,
  fresh: (wish: string) => string,
): Promise<readonly Tensor[]> {
  const values = await floats(bias);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) fail("data", `bias "${bias.name}" holds ${values[bad]} at index ${bad}; keep it in float or repair it`);
  const scales = Float32Array.from(values, (_, i) => dataScale * weightScales[i % weightScales.length]!);
  const codes = Int32Array.from(values, (value, i) => roundHalfEven(value / scales[i]!));
  return [
    makeTensor(fresh(`${bias.name}/q`), "int32", [values.length], codes),
    makeTensor(fresh(`${bias.name}/q/s`), "float32", [values.length], scales),
  ];
}
