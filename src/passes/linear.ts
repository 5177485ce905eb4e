/** Nodes with a weight and a bias that can take a per-channel scale and shift of their output. */
import { floatAttribute, intAttribute } from "../ir/attributes.ts";
import type { Attribute, Node, Tensor } from "../ir/model.ts";
import type { GivenGrid } from "../ir/scheme.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { bytesOf, decodeDoubles, typedView } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import type { Affine, Channels } from "./affine.ts";
import type { FindConstant } from "./values.ts";

export interface Linear extends Channels {
  readonly node: Node;
  readonly weight: Tensor;
  readonly bias?: Tensor;
  /** Factor of the bias (beta of Gemm); 1 after folding. */
  readonly biasFactor: number;
  /** Channel of the weight element at a flat index. */
  readonly channelOf: (index: number) => number;
}

type Layout = (node: Node, shape: readonly number[]) => Omit<Linear, "node" | "weight" | "bias"> | undefined;

const tail = (shape: readonly number[], from: number): number => elementCount(shape.slice(from));

/** Weight [out, in / group, ...]. */
const conv: Layout = (_, shape) => {
  const inner = tail(shape, 1);
  const channelOf = (index: number) => Math.floor(index / inner);
  return { count: shape[0]!, rank: shape.length, axis: 1, biasFactor: 1, channelOf };
};

/** Weight [in, out / group, ...]; the inputs of group g make its outputs only. */
const convTranspose: Layout = (node, shape) => {
  const group = intAttribute(node, "group", 1);
  const [inputs, perGroup] = [shape[0]!, shape[1]!];
  if (group < 1 || inputs % group !== 0) return undefined;
  const [inner, outer, each] = [tail(shape, 2), tail(shape, 1), inputs / group];
  const channelOf = (index: number) =>
    Math.floor(Math.floor(index / outer) / each) * perGroup + (Math.floor(index / inner) % perGroup);
  return { count: perGroup * group, rank: shape.length, axis: 1, biasFactor: 1, channelOf };
};

/** Y = alpha * A * B + beta * C; scaling B scales the products whatever alpha is. */
const gemm: Layout = (node, shape) => {
  const transposed = intAttribute(node, "transB", 0) !== 0;
  const [rows, columns] = [shape[0]!, shape[1]!];
  const channelOf = transposed ? (index: number) => Math.floor(index / columns) : (index: number) => index % columns;
  const biasFactor = floatAttribute(node, "beta", 1);
  return { count: transposed ? rows : columns, rank: 2, axis: 1, biasFactor, channelOf };
};

const LAYOUTS: Readonly<Record<string, { readonly rank: (rank: number) => boolean; readonly layout: Layout }>> = {
  Conv: { rank: (rank) => rank >= 3, layout: conv },
  ConvTranspose: { rank: (rank) => rank >= 3, layout: convTranspose },
  Gemm: { rank: (rank) => rank === 2, layout: gemm },
};

const isBias = ({ dtype, shape }: Tensor, count: number): boolean =>
  dtype === "float32" && elementCount(shape) === count && shape.every((dim, i) => dim === 1 || i === shape.length - 1);

/** The node as a linear map with constant float32 weight and bias; undefined for any other. */
export function foldable(node: Node, constant: FindConstant): Linear | undefined {
  const row = node.domain === "" && Object.hasOwn(LAYOUTS, node.op) ? LAYOUTS[node.op] : undefined;
  const weight = row && constant(node.inputs[1] ?? "");
  if (row === undefined || weight?.dtype !== "float32" || !row.rank(weight.shape.length)) return undefined;
  const layout = row.layout(node, weight.shape);
  if (layout === undefined || node.inputs[0] === node.inputs[1]) return undefined;
  if ((node.inputs[2] ?? "") === "") return { ...layout, node, weight };
  const bias = constant(node.inputs[2]!);
  return bias !== undefined && isBias(bias, layout.count) ? { ...layout, node, weight, bias } : undefined;
}

function foldedWeight({ weight, channelOf }: Linear, scale: () => Promise<Float64Array>): Tensor["data"] {
  return computedSource(weight.data.size, async () => {
    const factors = await scale();
    const values = typedView(await readAll(weight.data), "float32");
    const out = new Float32Array(values.length);
    for (let i = 0; i < out.length; i++) out[i] = (values[i] as number) * factors[channelOf(i)]!;
    return bytesOf(out);
  });
}

function foldedBias({ bias, biasFactor, count }: Linear, { scale, shift }: Affine): Tensor["data"] {
  return computedSource(4 * count, async () => {
    const factors = await scale?.();
    const shifts = await shift?.();
    const values = bias && decodeDoubles(await readAll(bias.data), bias.dtype, count);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++)
      out[i] = (values ? values[i]! * biasFactor : 0) * (factors?.[i] ?? 1) + (shifts?.[i] ?? 0);
    return bytesOf(out);
  });
}

/**
 * A weight on a grid, times one factor per output channel, is on the grid of scaled steps. A negative factor turns the
 * codes around; undefined where zero is not their middle.
 */
export function scaledGrid(grid: GivenGrid, axis: number, factors: Float64Array): GivenGrid | undefined {
  const { scale, zeroPoint } = grid.qparams;
  const turned = factors.some((factor) => factor < 0);
  if (
    (turned && zeroPoint.some((zero) => zero !== 0)) ||
    (grid.axis !== undefined && (grid.axis !== axis || scale.length !== factors.length))
  )
    return undefined;
  const step = (factor: number, i: number): number => scale[scale.length === 1 ? 0 : i]! * (Math.abs(factor) || 1);
  const zeros = Int32Array.from(factors, (_, i) => zeroPoint[zeroPoint.length === 1 ? 0 : i]!);
  const reach = Math.max(-grid.codes[0], grid.codes[1]);
  const codes = turned ? ([-reach, reach] as const) : grid.codes;
  return { codes, axis, qparams: { scale: Float32Array.from(factors, step), zeroPoint: zeros } };
}

/** `linear` followed by `affine` as one node; `rename` names the copies of its constants. */
export function folded(
  linear: Linear,
  affine: Affine,
  output: string,
  rename: (name: string) => string,
): { readonly node: Node; readonly tensors: readonly Tensor[] } {
  const { node, weight, bias, count } = linear;
  const { scale } = affine;
  const tensors: Tensor[] = [];
  const inputs = [node.inputs[0]!, weight.name, node.inputs[2] ?? ""];
  if (scale !== undefined) {
    inputs[1] = rename(weight.name);
    const { shape, grid } = weight;
    tensors.push({
      name: inputs[1],
      dtype: "float32",
      shape,
      data: foldedWeight(linear, scale),
      ...(grid && { grid }),
    });
  }
  if (bias !== undefined || affine.shift !== undefined) {
    inputs[2] = rename(bias?.name ?? `${weight.name}_bias`);
    tensors.push({ name: inputs[2], dtype: "float32", shape: [count], data: foldedBias(linear, affine) });
  }
  return { node: { ...node, inputs: trimmed(inputs), outputs: [output], attributes: unscaled(node) }, tensors };
}

const trimmed = (inputs: readonly string[]): readonly string[] => (inputs[2] === "" ? inputs.slice(0, 2) : inputs);

/** Beta is inside the folded bias. */
function unscaled({ attributes }: Node): Readonly<Record<string, Attribute>> {
  if (attributes.beta === undefined) return attributes;
  const { beta, ...rest } = attributes;
  return rest;
}
