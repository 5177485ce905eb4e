/** Scales and zero points that a plan's algorithm finds for a weight: what a lowering would store, as numbers. */
import { algorithmNamed } from "../algorithms/index.ts";
import { freshNames } from "../ir/edit.ts";
import type { Tensor } from "../ir/model.ts";
import type { Form, NodePlan } from "../ir/plan.ts";
import { codesOf, type QParams, type Scheme } from "../ir/scheme.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { staticWeight } from "./qdq-weights.ts";

type WeightPlan = NonNullable<NodePlan["weight"]>;

/** Zero of a grid whose zero points are not stored: the middle of an unsigned one. */
const middleOf = (scheme: Scheme): number => {
  const [low, high] = codesOf(scheme);
  return DTYPES[scheme.dtype].kind === "uint" ? (high + 1 - low) / 2 : 0;
};

/** Zero points of groups lie packed in rows of whole bytes, one row for each channel. */
function unpacked(packed: Uint8Array, count: number, rows: number, bits: number): Int32Array {
  const [perRow, bytes] = [count / rows, packed.length / rows];
  return Int32Array.from({ length: count }, (_, index) => {
    const bit = (index % perRow) * bits;
    return (packed[Math.floor(index / perRow) * bytes + (bit >> 3)]! >> (bit & 7)) & (2 ** bits - 1);
  });
}

/** In the order the form stores them: one for the tensor, per channel, or [channels, groups]. */
export async function startParams(tensor: Tensor, form: Form, weight: WeightPlan): Promise<QParams> {
  const { scheme, axis, algorithm, shape } = weight;
  if (weight.qparams !== undefined) return weight.qparams;
  if (form === "qdq") {
    const { scales } = await staticWeight(tensor, weight, undefined, undefined, freshNames(NO_GRAPH));
    return { scale: scales, zeroPoint: new Int32Array(scales.length) };
  }
  const values = decodeFloats(await readAll(tensor.data), tensor.dtype);
  const { scales, zeroPoints } = algorithmNamed(algorithm).quantize({ values, shape, axis, dtype: "float32" }, scheme);
  const zeroPoint =
    zeroPoints === undefined
      ? new Int32Array(scales.length).fill(middleOf(scheme))
      : scheme.granularity.per === "group"
        ? unpacked(zeroPoints, scales.length, shape[axis]!, DTYPES[scheme.dtype].bits)
        : Int32Array.from(zeroPoints);
  return { scale: scales, zeroPoint };
}

const NO_GRAPH = { name: "", inputs: [], outputs: [], nodes: [], tensors: new Map(), values: new Map() };
