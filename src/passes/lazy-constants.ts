/** Constants that are other constants seen differently: nothing is computed until their bytes are read. */
import { intAttribute, intsAttribute } from "../ir/attributes.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";

/** Shapes and axes have at most 64 entries. */
const MAX_SHAPE_BYTES = 512;

type Inputs = readonly (Tensor | undefined)[];

/** The numbers of a small int64 constant, such as a shape or axes. */
export async function integers(tensor: Tensor | undefined): Promise<readonly number[] | undefined> {
  if (tensor === undefined || tensor.dtype !== "int64" || tensor.data.size > MAX_SHAPE_BYTES) return undefined;
  return Array.from(typedView(await readAll(tensor.data), "int64"), Number);
}

type Shaper = (
  shape: readonly number[],
  node: Node,
  argument: readonly number[] | undefined,
) => readonly number[] | undefined;

/** 0 copies a dimension, -1 is what is left over (ONNX operator Reshape). */
const reshaped: Shaper = (shape, node, target) => {
  if (target === undefined || shape.includes(0) || intAttribute(node, "allowzero", 0) !== 0) return undefined;
  const dims = target.map((dim, index) => (dim === 0 ? (shape[index] ?? 0) : dim));
  const known = elementCount(dims.filter((dim) => dim !== -1));
  return dims.map((dim) => (dim === -1 ? elementCount(shape) / known : dim));
};

const squeezed: Shaper = (shape, node, argument) => {
  const axes = argument ?? intsAttribute(node, "axes");
  if (axes === undefined) return shape.filter((dim) => dim !== 1);
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  return [...gone].every((axis) => shape[axis] === 1) ? shape.filter((_, index) => !gone.has(index)) : undefined;
};

const unsqueezed: Shaper = (shape, node, argument) => {
  const axes = argument ?? intsAttribute(node, "axes");
  if (axes === undefined) return undefined;
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  let next = 0;
  return Array.from({ length: rank }, (_, index) => (added.has(index) ? 1 : (shape[next++] ?? -1)));
};

const flattened: Shaper = (shape, node) => {
  const axis = intAttribute(node, "axis", 1);
  const split = axis < 0 ? axis + shape.length : axis;
  return [elementCount(shape.slice(0, split)), elementCount(shape.slice(split))];
};

const SHAPERS: ReadonlyMap<string, Shaper> = new Map([
  ["Identity", (shape) => shape],
  ["Reshape", reshaped],
  ["Squeeze", squeezed],
  ["Unsqueeze", unsqueezed],
  ["Flatten", flattened],
]);

/** The same bytes under another shape; undefined when the node is no such thing, or its arguments make no sense. */
export async function asView(node: Node, inputs: Inputs): Promise<Tensor | undefined> {
  const shaper = SHAPERS.get(node.op);
  const data = inputs[0];
  if (shaper === undefined || data === undefined) return undefined;
  const argument = await integers(inputs[1]);
  if (inputs[1] !== undefined && argument === undefined) return undefined;
  const shape = shaper(data.shape, node, argument);
  if (shape === undefined || shape.some((dim) => dim < 0)) return undefined;
  if (elementCount(shape) !== elementCount(data.shape)) return undefined;
  const { dtype, strings } = data;
  return { name: node.outputs[0]!, dtype, shape, data: data.data, ...(strings && { strings }) };
}

/** Transpose of a constant whose elements are whole bytes. */
export function permuted(node: Node, [data]: Inputs): Tensor | undefined {
  if (node.op !== "Transpose" || data === undefined || DTYPES[data.dtype].bits % 8 !== 0) return undefined;
  const rank = data.shape.length;
  const perm = intsAttribute(node, "perm") ?? Array.from({ length: rank }, (_, index) => rank - 1 - index);
  if (data.dtype === "string" || perm.length !== rank || new Set(perm).size !== rank) return undefined;
  if (perm.some((axis) => axis < 0 || axis >= rank)) return undefined;
  const shape = perm.map((axis) => data.shape[axis]!);
  const bytes = computedSource(data.data.size, async () => permute(await readAll(data.data), data, perm));
  return { name: node.outputs[0]!, dtype: data.dtype, shape, data: bytes, ...turnedGrid(data, perm) };
}

/** The grid along the axis that the channels went to. */
function turnedGrid({ grid }: Tensor, perm: readonly number[]): Pick<Tensor, "grid"> {
  if (grid === undefined) return {};
  return { grid: grid.axis === undefined ? grid : { ...grid, axis: perm.indexOf(grid.axis) } };
}

/** Copies element by element in the order of the result; runs along its last axis are one strided loop. */
function permute(bytes: Uint8Array, { dtype, shape }: Tensor, perm: readonly number[]): Uint8Array {
  const width = DTYPES[dtype].bits / 8;
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)) * width);
  const steps = perm.map((axis) => strides[axis]!);
  const lengths = perm.map((axis) => shape[axis]!);
  const out = new Uint8Array(bytes.byteLength);
  const inner = lengths.at(-1) ?? 1;
  const step = steps.at(-1) ?? 0;
  const index = new Array<number>(perm.length).fill(0);
  let from = 0;
  for (let to = 0; to < out.length; ) {
    for (let i = 0, at = from; i < inner; i++, at += step) for (let b = 0; b < width; b++) out[to++] = bytes[at + b]!;
    from = advance(index, lengths, steps, from);
  }
  return out;
}

/** Next position of all axes but the last; gives the offset of its first element. */
function advance(index: number[], lengths: readonly number[], steps: readonly number[], from: number): number {
  let at = from;
  for (let axis = index.length - 2; axis >= 0; axis--) {
    at += steps[axis]!;
    index[axis]!++;
    if (index[axis]! < lengths[axis]!) return at;
    at -= steps[axis]! * lengths[axis]!;
    index[axis] = 0;
  }
  return at;
}
