/** Shapes of ops that move, pick or repeat elements. */
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Dim, Node } from "../../ir/model.ts";
import type { Known } from "../types.ts";
import { broadcastDims, type Dims, fromFront, product, quotient } from "./lengths.ts";
import { axisOf, fromFirst, integers, listed, type ShapeRule, type ShapeRules } from "./shape-rule.ts";

const reshape = fromFirst((dims, node, inputs) => {
  const target = inputs[1]?.values;
  if (target === undefined) return undefined;
  const copies = intAttribute(node, "allowzero", 0) === 0;
  const wanted = target.map((dim, axis) => (dim === 0 && copies ? (dims[axis] ?? null) : dim));
  const rest = quotient(product(dims), product(wanted.filter((dim) => dim !== -1)));
  return wanted.map((dim) => (dim === -1 ? rest : dim));
});

const flatten = fromFirst((dims, node) => {
  const axis = axisOf(node, dims.length, 1);
  return [product(dims.slice(0, axis)), product(dims.slice(axis))];
});

const squeeze = fromFirst((dims, node, inputs) => {
  const axes = listed(node, "axes", inputs, 1);
  if (axes === null || (axes === undefined && dims.some((dim) => typeof dim !== "number"))) return undefined;
  const gone = axes?.map((axis) => fromFront(axis, dims.length));
  return dims.filter((dim, axis) => (gone ? !gone.includes(axis) : dim !== 1));
});

const unsqueeze = fromFirst((dims, node, inputs) => {
  const axes = listed(node, "axes", inputs, 1);
  if (axes === null || axes === undefined) return undefined;
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((axis) => fromFront(axis, rank)));
  const left = [...dims];
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (left.shift() ?? null)));
});

const transpose = fromFirst((dims, node) => {
  const perm = intsAttribute(node, "perm") ?? dims.map((_, axis) => dims.length - 1 - axis);
  return perm.map((axis) => dims[axis] ?? null);
});

/** Only lengths that are numbers, or one that is open beside zeros, are added up. */
const added = (lengths: Dims): Dim => {
  const some = lengths.filter((length) => length !== 0);
  if (some.length === 1) return some[0]!;
  return some.every((length) => typeof length === "number")
    ? some.reduce<number>((a, b) => a + (b as number), 0)
    : null;
};

const concat: ShapeRule = (inputs, node) => {
  const shapes = inputs.map(({ dims }) => dims);
  const first = shapes[0];
  if (first === undefined || shapes.some((dims) => dims?.length !== first.length)) return undefined;
  const along = axisOf(node, first.length);
  return [first.map((dim, axis) => (axis === along ? added(shapes.map((dims) => dims![axis]!)) : dim))];
};

const split: ShapeRule = (inputs, node) => {
  const dims = inputs[0]?.dims;
  if (dims === undefined) return undefined;
  const along = axisOf(node, dims.length);
  const lengths = listed(node, "split", inputs, 1);
  const whole = dims[along] ?? null;
  const count = node.outputs.length;
  const share = typeof whole === "number" && whole % count !== 0 ? null : quotient(whole, count);
  return node.outputs.map((_, index) =>
    dims.map((dim, axis) => (axis !== along ? dim : lengths === undefined ? share : (lengths?.[index] ?? null))),
  );
};

/** How many steps lie between two bounds (ONNX operator Slice). */
export function sliceLength(length: number, start: number, end: number, step: number): number {
  const bound = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + length : at, low), high);
  const [from, to] =
    step > 0
      ? [bound(start, 0, length), bound(end, 0, length)]
      : [bound(start, 0, length - 1), bound(end, -1, length - 1)];
  return Math.max(0, Math.ceil((to - from) / step));
}

const slice = fromFirst((dims, node, inputs) => {
  const [starts, ends] = [integers(inputs[1]), integers(inputs[2])];
  const [axes, steps] = [listed(node, "axes", inputs, 3), listed(node, "steps", inputs, 4)];
  if (axes === null) return dims.map(() => null);
  const at = axes?.map((axis) => fromFront(axis, dims.length)) ?? dims.map((_, axis) => axis);
  return dims.map((dim, axis) => {
    const index = at.indexOf(axis);
    if (index < 0) return dim;
    const [start, end, step] = [starts?.[index], ends?.[index], steps === undefined ? 1 : steps?.[index]];
    if (typeof dim !== "number" || start === undefined || end === undefined || !step) return null;
    return sliceLength(dim, start, end, step);
  });
});

const pad = fromFirst((dims, node, inputs) => {
  const pads = listed(node, "pads", inputs, 1);
  if ((node.inputs[3] ?? "") !== "" || !pads || pads.length !== 2 * dims.length) return undefined;
  return dims.map((dim, axis) => {
    const more = pads[axis]! + pads[axis + dims.length]!;
    return more === 0 ? dim : typeof dim === "number" ? dim + more : null;
  });
});

const gather: ShapeRule = ([data, indices], node) => {
  if (data?.dims === undefined || indices?.dims === undefined) return undefined;
  const axis = axisOf(node, data.dims.length);
  return [[...data.dims.slice(0, axis), ...indices.dims, ...data.dims.slice(axis + 1)]];
};

const gatherND: ShapeRule = ([data, indices], node) => {
  const depth = indices?.dims?.at(-1);
  if (data?.dims === undefined || typeof depth !== "number") return undefined;
  const batch = intAttribute(node, "batch_dims", 0);
  return [[...indices!.dims!.slice(0, -1), ...data.dims.slice(batch + depth)]];
};

const expand = fromFirst((dims, _, inputs) => {
  const target = inputs[1]?.values;
  return target && broadcastDims([dims, target]);
});

const tile = fromFirst((dims, _, inputs) => {
  const repeats = inputs[1]?.values;
  return repeats && dims.map((dim, axis) => product([dim, repeats[axis] ?? null]));
});

const block = (sign: 1 | -1) =>
  fromFirst((dims, node) => {
    const size = intAttribute(node, "blocksize", 1);
    const [n = null, c = null, h = null, w = null] = dims;
    const many = (dim: Dim) => product([dim, size]);
    const few = (dim: Dim, by: number) => quotient(dim, by);
    return sign === 1
      ? [n, few(c, size * size), many(h), many(w)]
      : [n, product([c, size * size]), few(h, size), few(w, size)];
  });

const ofSecond: ShapeRule = (inputs) => inputs[1]?.dims && [inputs[1].dims];

const filled: ShapeRule = (inputs) => inputs[0]?.values && [inputs[0].values];

const oneHot = fromFirst((dims, node, inputs) => {
  const axis = fromFront(intAttribute(node, "axis", -1), dims.length + 1);
  return [...dims.slice(0, axis), inputs[1]?.values?.[0] ?? null, ...dims.slice(axis)];
});

const topK: ShapeRule = (inputs: readonly Known[], node: Node) => {
  const dims = inputs[0]?.dims;
  if (dims === undefined) return undefined;
  const along = axisOf(node, dims.length, -1);
  const shape = dims.map((dim, axis) => (axis === along ? (inputs[1]?.values?.[0] ?? null) : dim));
  return [shape, shape];
};

export const movementShapes: ShapeRules = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  GatherElements: ofSecond,
  GatherND: gatherND,
  Expand: expand,
  Tile: tile,
  DepthToSpace: block(1),
  SpaceToDepth: block(-1),
  ConstantOfShape: filled,
  OneHot: oneHot,
  TopK: topK,
};
