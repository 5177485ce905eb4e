/** How nodes work on a value before its axes are put in another order, so that the Transpose can stand behind them. */
import { intAttribute, intsAttribute } from "../ir/attributes.ts";
import { node as makeNode } from "../ir/build.ts";
import type { Dim, Node } from "../ir/model.ts";

/** Axis i of a Transpose's output is axis `perm[i]` of its input. */
export type Perm = readonly number[];

/** What a rule may ask and make. */
export interface MoveSite {
  /** Elements of an integer constant in memory. */
  ints(name: string): readonly number[] | undefined;
  /** A new int64 vector. */
  list(values: readonly number[]): string;
  dims(name: string): readonly Dim[] | undefined;
}

/** A node that reads values before their Transposes, and the order its outputs still need. */
export interface Moved {
  readonly node: Node;
  readonly perm: Perm;
}

/** The node's data inputs are said to be transposed by `perm`; undefined where the node can't do without. */
type Move = (node: Node, perm: Perm, site: MoveSite) => Moved | undefined;

/** What one op needs to work on other orders of axes. */
export interface MoveRow {
  /** Inputs that carry values: all of them, constants rearranged too, or the first; others stay as they are. */
  readonly data: "all" | "first";
  readonly move: Move;
}

const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const withAttribute = (node: Node, name: string, value: number | readonly number[]): Node => ({
  ...node,
  attributes: { ...node.attributes, ...makeNode("", [], [], { attributes: { [name]: value } }).attributes },
});

const withInput = (node: Node, index: number, name: string): Node => ({
  ...node,
  inputs: node.inputs.map((own, i) => (i === index ? name : own)),
});

const stays: Move = (node, perm) => ({ node, perm });

/** Works along the axis that an attribute names. */
const alongAxis =
  (otherwise: number): Move =>
  (node, perm) => {
    const axis = perm[fromFront(intAttribute(node, "axis", otherwise), perm.length)];
    return axis === undefined ? undefined : { node: withAttribute(node, "axis", axis), perm };
  };

/** The order that is left of `perm` when some axes of the input go. */
function without(perm: Perm, gone: readonly number[]): Perm {
  const kept = perm.filter((axis) => !gone.includes(axis));
  const inOrder = kept.toSorted((a, b) => a - b);
  return kept.map((axis) => inOrder.indexOf(axis));
}

/** Axes from an attribute, or from a constant input. */
function axesOf(node: Node, site: MoveSite): readonly number[] | undefined {
  return intsAttribute(node, "axes") ?? site.ints(node.inputs[1] ?? "");
}

const withAxes = (node: Node, axes: readonly number[], site: MoveSite): Node =>
  node.attributes.axes === undefined ? withInput(node, 1, site.list(axes)) : withAttribute(node, "axes", axes);

function movedAxes(node: Node, perm: Perm, site: MoveSite): readonly number[] | undefined {
  const axes = axesOf(node, site)?.map((axis) => perm[fromFront(axis, perm.length)]);
  return axes === undefined || axes.length === 0 || axes.includes(undefined)
    ? undefined
    : (axes as readonly number[]).toSorted((a, b) => a - b);
}

const reduce: Move = (node, perm, site) => {
  const axes = movedAxes(node, perm, site);
  if (axes === undefined) return undefined;
  const left = intAttribute(node, "keepdims", 1) === 1 ? perm : without(perm, axes);
  return { node: withAxes(node, axes, site), perm: left };
};

const squeeze: Move = (node, perm, site) => {
  const axes = movedAxes(node, perm, site);
  return axes && { node: withAxes(node, axes, site), perm: without(perm, axes) };
};

const place: Move = (node, perm, site) => {
  const moved = alongAxis(0)(node, perm, site);
  if (moved === undefined || intAttribute(node, "keepdims", 1) === 1) return moved;
  return { node: moved.node, perm: without(perm, [intAttribute(moved.node, "axis", 0)]) };
};

/** Entry for each axis of the output, put where that axis is in the input. */
const rearranged = (values: readonly number[], perm: Perm): readonly number[] =>
  perm.map((_, axis) => values[perm.indexOf(axis)]!);

/** One number, or two halves of numbers, for each axis in a constant input. */
const perAxis =
  (sides: 1 | 2): Move =>
  (node, perm, site) => {
    const values = site.ints(node.inputs[1] ?? "");
    if (values?.length !== sides * perm.length || (node.inputs[3] ?? "") !== "") return undefined;
    const halves = sides === 1 ? [values] : [values.slice(0, perm.length), values.slice(perm.length)];
    return { node: withInput(node, 1, site.list(halves.flatMap((half) => rearranged(half, perm)))), perm };
  };

/** Cuts name their axes in the fourth input; without it they are those in front. */
const slice: Move = (node, perm, site) => {
  const starts = site.ints(node.inputs[1] ?? "");
  const named = (node.inputs[3] ?? "") !== "" ? site.ints(node.inputs[3]!) : starts?.map((_, axis) => axis);
  const axes = named?.map((axis) => perm[fromFront(axis, perm.length)]);
  if (axes === undefined || axes.includes(undefined)) return undefined;
  const inputs = [node.inputs[0]!, node.inputs[1]!, node.inputs[2]!, site.list(axes as readonly number[])];
  return { node: { ...node, inputs: [...inputs, ...node.inputs.slice(4)] }, perm };
};

/** Axes longer than one keep their order, so that memory does: the Reshape does not see the difference. */
export function keepsMemory(perm: Perm, dims: readonly Dim[] | undefined): boolean {
  const long = dims && perm.filter((_, axis) => dims[axis] !== 1);
  return long?.every((axis, i) => i === 0 || long[i - 1]! < axis) ?? false;
}

const reshape: Move = (node, perm, site) => {
  const target = site.ints(node.inputs[1] ?? "");
  if (target === undefined || target.includes(0) || !keepsMemory(perm, site.dims(node.inputs[0]!))) return undefined;
  return { node, perm: [] };
};

const all = (ops: readonly string[], data: MoveRow["data"], move: Move): readonly (readonly [string, MoveRow])[] =>
  ops.map((op) => [op, { data, move }]);

const COMBINING =
  "Add Sub Mul Div Pow Max Min Sum Mean Mod PRelu Where Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor";
const UNARY =
  "Relu Clip LeakyRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Gelu Mish Erf Exp Log Sqrt Reciprocal Abs Neg Floor Ceil Round Sign Sin Cos Not Cast Identity Dropout ThresholdedRelu";

/** By op of the default domain, from operator set 13 on. */
export const MOVES: ReadonlyMap<string, MoveRow> = new Map([
  ...all(COMBINING.split(" "), "all", stays),
  ...all(UNARY.split(" "), "first", stays),
  ...all(["Concat"], "all", alongAxis(0)),
  ...all(["Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK"], "first", alongAxis(-1)),
  ...all(["Split"], "first", alongAxis(0)),
  ...all(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare".split(" "),
    "first",
    reduce,
  ),
  ...all(["ArgMax", "ArgMin"], "first", place),
  ...all(["Squeeze"], "first", squeeze),
  ...all(["Pad"], "first", perAxis(2)),
  ...all(["Tile", "Expand"], "first", perAxis(1)),
  ...all(["Slice"], "first", slice),
  ...all(["Reshape"], "first", reshape),
]);
