/** Shapes of convolutions and pools. */
import { intAttribute, intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Dim, Node } from "../../ir/model.ts";
import { type Dims, product } from "./lengths.ts";
import { fromFirst, type ShapeRule, type ShapeRules } from "./shape-rule.ts";

/** How a window moves along one axis; `pads` is the sum of both ends. */
interface Step {
  readonly stride: number;
  /** Elements from the first to the last of a window. */
  readonly reach: number;
  readonly pads: number;
}

function stepsOf(node: Node, kernel: Dims): readonly Step[] {
  const [strides, dilations] = [intsAttribute(node, "strides"), intsAttribute(node, "dilations")];
  const pads = intsAttribute(node, "pads");
  return kernel.map((length, axis) => ({
    stride: strides?.[axis] ?? 1,
    reach: (dilations?.[axis] ?? 1) * ((length as number) - 1) + 1,
    pads: (pads?.[axis] ?? 0) + (pads?.[axis + kernel.length] ?? 0),
  }));
}

const isSame = (node: Node): boolean => stringAttribute(node, "auto_pad", "NOTSET").startsWith("SAME");

/** How many windows fit; an axis keeps an open length where the window steps by 1 and loses nothing at the ends. */
function windowCount(node: Node, dim: Dim, { stride, reach, pads }: Step): Dim {
  if (stride === 1 && (isSame(node) || pads === reach - 1)) return dim;
  if (typeof dim !== "number") return null;
  if (isSame(node)) return Math.ceil(dim / stride);
  const free = dim + pads - reach;
  if (intAttribute(node, "ceil_mode", 0) === 0) return Math.floor(free / stride) + 1;
  const begin = intsAttribute(node, "pads")?.length ? null : 0;
  const count = Math.ceil(free / stride) + 1;
  return free % stride === 0 ? count : begin === null ? null : (count - 1) * stride >= dim ? count - 1 : count;
}

const isFixed = (dims: Dims): boolean => dims.every((dim) => typeof dim === "number");

function windows(node: Node, dims: Dims, channels: Dim, kernel: Dims): Dims | undefined {
  if (!isFixed(kernel) || kernel.length !== dims.length - 2) return undefined;
  const steps = stepsOf(node, kernel);
  return [dims[0]!, channels, ...steps.map((step, axis) => windowCount(node, dims[axis + 2]!, step))];
}

const conv = fromFirst((dims, node, inputs) => {
  const weight = inputs[1]?.dims;
  return weight && windows(node, dims, weight[0]!, weight.slice(2));
});

const pool: ShapeRule = (inputs, node) => {
  const [dims, kernel] = [inputs[0]?.dims, intsAttribute(node, "kernel_shape")];
  const shape = dims && kernel && windows(node, dims, dims[1]!, kernel);
  return shape && [shape, shape];
};

function transposedLength(node: Node, dim: Dim, { stride, reach, pads }: Step, axis: number): Dim {
  if (isSame(node)) return product([dim, stride]);
  if (typeof dim !== "number") return null;
  return stride * (dim - 1) + reach - pads + (intsAttribute(node, "output_padding")?.[axis] ?? 0);
}

const convTranspose = fromFirst((dims, node, inputs) => {
  const weight = inputs[1]?.dims;
  if (weight === undefined || !isFixed(weight.slice(2))) return undefined;
  const target = intsAttribute(node, "output_shape");
  const steps = stepsOf(node, weight.slice(2));
  const channels = product([weight[1]!, intAttribute(node, "group", 1)]);
  return [
    dims[0]!,
    channels,
    ...steps.map((step, axis) => target?.[axis] ?? transposedLength(node, dims[axis + 2]!, step, axis)),
  ];
});

const global = fromFirst((dims) => dims.map((dim, axis) => (axis < 2 ? dim : 1)));

export const windowShapes: ShapeRules = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: global,
  GlobalMaxPool: global,
};
