/** Weights in blocks: int4 codes, and a tensor with a float16 scale per block (TFLite BlockwiseQuantization). */
import type { Tensor } from "../../ir/model.ts";
import { bytesSource, computedSource } from "../../ir/source.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { byteLength, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { packCodes } from "../../numeric/packing.ts";
import { gridOf, type Layout, quantize } from "../dynamic-codes.ts";
import { findParams } from "../static-scales.ts";
import { floats, type WeightPlan } from "./weights.ts";

/** Below it halves have less than the 8 significant bits of a bfloat16. */
const LEAST_SCALE = 2 ** -17;
/** Largest bfloat16 that is a half too. */
const LARGEST_SCALE = 65_280;

/**
 * The nearest scales that are halves and bfloat16 numbers: the file holds the former, XNNPACK computes with the latter.
 * Codes are rounded on what will be computed with.
 */
export const blockScales = (wanted: Float32Array): Float32Array =>
  decodeFloats(
    encodeFloats(
      wanted.map((scale) => Math.max(scale, LEAST_SCALE)),
      "bfloat16",
    ),
    "bfloat16",
  );

/** Scales that halves can hold. */
async function scalesOf(tensor: Tensor, { algorithm, scheme }: WeightPlan, layout: Layout): Promise<Float32Array> {
  const { scale } = findParams(algorithm)(await floats(tensor), layout, gridOf(scheme));
  const large = scale.find((value) => !(value <= LARGEST_SCALE));
  if (large !== undefined)
    fail("unsupported", `weight "${tensor.name}": a scale of ${large} is no float16; keep it in float with --keep`);
  return blockScales(scale);
}

/** Codes of runs of `size` neighbours along the last axis, which they divide, and the tensor with their scales. */
export async function blockedWeight(
  tensor: Tensor,
  plan: WeightPlan,
  size: number,
  names: { readonly codes: string; readonly scales: string },
): Promise<{ readonly codes: Tensor; readonly scales: Tensor }> {
  const { shape } = tensor;
  const count = elementCount(shape);
  const layout: Layout = { blocks: 1, rows: count / size, cols: size, channels: "rows" };
  const scale = await scalesOf(tensor, plan, layout);
  const params = { scale, zeroPoint: new Int32Array(scale.length) };
  const data = computedSource(byteLength("int4", count), async () => {
    const out = new Int8Array(count);
    quantize(await floats(tensor), layout, params, gridOf(plan.scheme), out);
    return packCodes(out, 4);
  });
  const none = { scale: new Float32Array(), zeroPoint: new Int32Array() };
  const quantization = { qparams: none, blocks: { scales: names.scales, size } };
  return {
    codes: { name: names.codes, dtype: "int4", shape, data, quantization },
    scales: {
      name: names.scales,
      dtype: "float16",
      shape: [...shape.slice(0, -1), shape.at(-1)! / size],
      data: bytesSource(encodeFloats(scale, "float16")),
    },
  };
}
