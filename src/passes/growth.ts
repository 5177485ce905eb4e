/** How many elements an op makes at most, from its constant inputs: asked before anything is evaluated. */
import type { Node, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";

/** Inputs in node order, omitted ones undefined. */
type Bound = (inputs: readonly (Tensor | undefined)[], node: Node) => number | Promise<number>;

const UNBOUNDED = Number.POSITIVE_INFINITY;

/** Shapes, repeats and limits are read only up to this size: the longest shapes have 64 dimensions. */
const MAX_SHAPE_BYTES = 1024;

const count = (tensor: Tensor | undefined): number => (tensor === undefined ? 0 : elementCount(tensor.shape));

const sum: Bound = (inputs) => inputs.reduce((total, tensor) => total + count(tensor), 0);

/** Broadcasting: the longest length at each dimension, counted from the last. */
function broadcastCount(shapes: readonly (readonly number[])[]): number {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  let total = 1;
  for (let i = 1; i <= rank; i++) total *= Math.max(...shapes.map((shape) => shape.at(-i) ?? 1));
  return total;
}

const broadcast: Bound = (inputs) => broadcastCount(inputs.flatMap((tensor) => (tensor ? [tensor.shape] : [])));

async function numbers(tensor: Tensor | undefined): Promise<readonly number[] | undefined> {
  if (tensor === undefined || tensor.dtype === "string" || tensor.data.size > MAX_SHAPE_BYTES) return undefined;
  return Array.from(typedView(await readAll(tensor.data), tensor.dtype), Number);
}

const shapeValue: Bound = async ([shape]) => {
  const dims = await numbers(shape);
  return dims === undefined ? UNBOUNDED : elementCount(dims);
};

const expand: Bound = async ([data, shape]) => {
  const dims = await numbers(shape);
  return dims === undefined || data === undefined ? UNBOUNDED : broadcastCount([data.shape, dims]);
};

const tile: Bound = async ([data, repeats]) => {
  const times = await numbers(repeats);
  return times === undefined ? UNBOUNDED : count(data) * elementCount(times);
};

const range: Bound = async (inputs) => {
  const [start, limit, delta] = await Promise.all(inputs.map(async (tensor) => (await numbers(tensor))?.[0]));
  return start === undefined || limit === undefined || !delta ? UNBOUNDED : Math.ceil((limit - start) / delta) + 1;
};

/** Every index picks a slice of at most the whole of `data`. */
const gather: Bound = ([data, indices]) => count(data) * Math.max(1, count(indices));

const few: Bound = () => 64;

const SAME = [
  "Cast",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Flatten",
  "Identity",
  "Transpose",
  "Slice",
  "Split",
  "Concat",
];
const REDUCTIONS = ["Max", "Min", "Mean", "Sum", "Prod", "L1", "L2", "SumSquare"].map((name) => `Reduce${name}`);
const UNARY = ["Abs", "Neg", "Sqrt", "Exp", "Log", "Reciprocal", "Floor", "Ceil", "Round", "Not", "Sign", "Sin", "Cos"];
const BINARY = ["Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "And", "Or", "Xor", "Where"];
const COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"];

const rows = (names: readonly string[], bound: Bound) => names.map((name) => [name, bound] as const);

/** Ops that may be evaluated ahead of time. Quantization ops are left out on purpose: their codes are the point. */
const BOUNDS: ReadonlyMap<string, Bound> = new Map([
  ...rows([...SAME, ...REDUCTIONS, ...UNARY, "Clip", "Relu"], sum),
  ...rows([...BINARY, ...COMPARISONS], broadcast),
  ...rows(["Shape", "Size"], few),
  ...rows(["Gather"], gather),
  ["ConstantOfShape", shapeValue],
  ["Expand", expand],
  ["Tile", tile],
  ["Range", range],
]);

export const isEvaluable = (node: Node): boolean => node.domain === "" && BOUNDS.has(node.op);

/** Most elements any output of the node can have; infinite when that can't be told. */
export const outputBound = async (node: Node, inputs: readonly (Tensor | undefined)[]): Promise<number> =>
  (await BOUNDS.get(node.op)?.(inputs, node)) ?? UNBOUNDED;
