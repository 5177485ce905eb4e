/**
 * Element types, ranks and shapes of the values of a graph, as far as the backward pass needs them: declared ones, and
 * those that follow from the ops in one walk.
 */
import { dtypeOf } from "../containers/onnx/dtypes.ts";
import { intAttribute, intsAttribute, subgraphs, tensorAttribute } from "../ir/attributes.ts";
import type { Dim, Graph, Node, Tensor, ValueInfo } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { shapeRule } from "./shapes/index.ts";
import { type Dims, fixedShape } from "./shapes/lengths.ts";
import { inferValues, valuesOf } from "./shapes/values.ts";

/** What is known of a value; a field is absent where nothing tells it. */
export interface Known {
  readonly dtype?: DType;
  readonly rank?: number;
  /** Lengths of the axes; two of the same symbol are equal whenever the model runs. */
  readonly dims?: readonly Dim[];
  /** Only where every length is known. */
  readonly shape?: readonly number[];
  /** Elements of an integer value in order, where they are known: constants, and lengths of other values. */
  readonly values?: readonly Dim[];
}

const UNKNOWN: Known = {};

type Inputs = readonly Known[];
type Infer<T> = (inputs: Inputs, node: Node) => T | undefined;

const BOOLEAN = [
  "Equal",
  "Greater",
  "GreaterOrEqual",
  "Less",
  "LessOrEqual",
  "Not",
  "And",
  "Or",
  "Xor",
  "IsNaN",
  "IsInf",
];
const INTEGER = ["Shape", "Size", "NonZero", "ArgMax", "ArgMin"];

const constant =
  <T>(value: T): Infer<T> =>
  () =>
    value;

const filled: Infer<DType> = (_, node) => tensorAttribute(node, "value")?.dtype ?? "float32";

/** A Constant holds a tensor, or numbers or texts as attributes of their own. */
const held: Infer<DType> = (inputs, node) =>
  Object.keys(node.attributes).some((name) => name.startsWith("value_int")) ? "int64" : filled(inputs, node);

/** The dtype that a node may name in an attribute. */
const chosen =
  (attribute: string, otherwise: Infer<DType>): Infer<DType> =>
  (inputs, node) =>
    dtypeOf(intAttribute(node, attribute, 0), node.name) ?? otherwise(inputs, node);

const firstDtype: Infer<DType> = (inputs) => inputs[0]?.dtype;

/** Ops whose first output is not of the dtype of their first input. */
const DTYPE_OF: ReadonlyMap<string, Infer<DType>> = new Map<string, Infer<DType>>([
  ...BOOLEAN.map((op) => [op, constant<DType>("bool")] as const),
  ...INTEGER.map((op) => [op, constant<DType>("int64")] as const),
  ["Cast", (_, node) => dtypeOf(intAttribute(node, "to", 0), node.name)],
  ["Where", (inputs) => inputs[1]?.dtype],
  ["ConstantOfShape", filled],
  ["Constant", held],
  ...["EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli"].map(
    (op) => [op, chosen("dtype", firstDtype)] as const,
  ),
  ...["RandomNormal", "RandomUniform"].map((op) => [op, chosen("dtype", constant("float32"))] as const),
  ["CastLike", (inputs) => inputs[1]?.dtype],
  ["QuantizeLinear", chosen("output_dtype", (inputs) => inputs[2]?.dtype ?? "uint8")],
  ["DequantizeLinear", chosen("output_dtype", (inputs) => inputs[1]?.dtype)],
  ["DynamicQuantizeLinear", constant("uint8")],
  ...["MatMulInteger", "ConvInteger"].map((op) => [op, constant<DType>("int32")] as const),
]);

const SAME_RANK = [
  ...[
    "Neg",
    "Abs",
    "Relu",
    "LeakyRelu",
    "Elu",
    "Clip",
    "Sigmoid",
    "Tanh",
    "Exp",
    "Log",
    "Sqrt",
    "Erf",
    "Gelu",
    "Softmax",
  ],
  ...["LogSoftmax", "Transpose", "Concat", "Slice", "Identity", "Cast", "Conv", "MaxPool", "AveragePool", "Pad"],
  ...["GlobalAveragePool", "GlobalMaxPool", "LayerNormalization", "BatchNormalization", "Dropout", "Reciprocal"],
];
const BROADCASTING = ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Where"];
const REDUCING = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"];

const first: Infer<number> = (inputs) => inputs[0]?.rank;

const largest: Infer<number> = (inputs) => {
  const ranks = inputs.map(({ rank }) => rank);
  return ranks.some((rank) => rank === undefined) ? undefined : Math.max(...(ranks as number[]));
};

/** Length of a list that is an attribute, or from operator set 13 or 18 on an input. */
const listLength = (inputs: Inputs, node: Node): number | undefined =>
  intsAttribute(node, "axes")?.length ?? inputs[1]?.shape?.[0];

const reduced: Infer<number> = (inputs, node) => {
  if (intAttribute(node, "keepdims", 1) !== 0) return inputs[0]?.rank;
  if ((node.inputs[1] ?? "") === "" && node.attributes.axes === undefined) return 0;
  return shifted(-1)(inputs, node);
};

const shifted =
  (sign: 1 | -1): Infer<number> =>
  (inputs, node) => {
    const [rank, count] = [inputs[0]?.rank, listLength(inputs, node)];
    return rank === undefined || count === undefined ? undefined : rank + sign * count;
  };

const product: Infer<number> = ([a, b]) => {
  if (a?.rank === undefined || b?.rank === undefined) return undefined;
  if (a.rank > 1 && b.rank > 1) return Math.max(a.rank, b.rank);
  return Math.max(a.rank + b.rank - 2, 0);
};

const gathered: Infer<number> = ([data, indices]) =>
  data?.rank === undefined || indices?.rank === undefined ? undefined : data.rank + indices.rank - 1;

const RANK_OF: ReadonlyMap<string, Infer<number>> = new Map<string, Infer<number>>([
  ...SAME_RANK.map((op) => [op, first] as const),
  ...BROADCASTING.map((op) => [op, largest] as const),
  ...REDUCING.map((op) => [op, reduced] as const),
  ["MatMul", product],
  ["Gemm", constant(2)],
  ["Flatten", constant(2)],
  ["Shape", constant(1)],
  ["Reshape", (inputs) => inputs[1]?.shape?.[0]],
  ["Unsqueeze", shifted(1)],
  ["Squeeze", shifted(-1)],
  ["Gather", gathered],
]);

const LATER_OUTPUTS: ReadonlyMap<string, DType | "first"> = new Map<string, DType | "first">([
  ...["MaxPool", "TopK"].map((op) => [op, "int64"] as const),
  ...["Split", "BatchNormalization", "LayerNormalization", "SoftmaxCrossEntropyLoss"].map(
    (op) => [op, "first"] as const,
  ),
  ["Dropout", "bool"],
]);

/** Open lengths get names of their own, so that values computed from this one element by element are known to be as long. */
const named = (name: string, dims: Dims): Dims => dims.map((dim, axis) => dim ?? `?${name}.${axis}`);

/** Everything that follows from a shape. */
const shaped = (dims: Dims): Known => {
  const shape = fixedShape(dims);
  return { rank: dims.length, dims, ...(shape && { shape }) };
};

const fromInfo = ({ name, dtype, shape }: ValueInfo): Known => ({
  ...(dtype && { dtype }),
  ...(shape && shaped(named(name, shape))),
});

/** Indices and lengths come before the data in some ops (OneHot), but never decide the type when there is a float input. */
const floatFirst = (inputs: Inputs): DType | undefined =>
  (inputs.find(({ dtype }) => dtype?.startsWith("float")) ?? inputs[0])?.dtype;

function dtypeOfOutput(node: Node, index: number, inputs: Inputs): DType | undefined {
  const later = index === 0 ? "first" : LATER_OUTPUTS.get(node.op);
  return later === "first" ? (DTYPE_OF.get(node.op) ?? floatFirst)(inputs, node) : later;
}

/** fewbit's own ops that give values of the type and shape of what they take. */
const keepsType = ({ domain, op }: Node): boolean => domain === "fewbit" && op === "FakeQuantize";

function inferred(node: Node, index: number, inputs: Inputs): Known {
  if (keepsType(node)) return index === 0 ? (inputs[0] ?? UNKNOWN) : UNKNOWN;
  if (node.domain !== "") return UNKNOWN;
  const dtype = dtypeOfOutput(node, index, inputs);
  const found = shapeRule(node.op)?.(inputs, node)?.[index];
  if (found !== undefined) {
    const values = index === 0 ? inferValues(node, dtype, inputs) : undefined;
    return { ...(dtype && { dtype }), ...shaped(named(node.outputs[index]!, found)), ...(values && { values }) };
  }
  const rank = index === 0 ? RANK_OF.get(node.op)?.(inputs, node) : undefined;
  return { ...(dtype && { dtype }), ...(rank !== undefined && { rank }) };
}

/** A number says more than a symbol, and a symbol of the inputs more than one that was made up for this value. */
const betterDim = (declared: Dim, follows: Dim): Dim =>
  typeof declared === "number" || (typeof follows === "string" && follows.startsWith("?")) ? declared : follows;

/** A declared fact goes before an inferred one. */
function merged(follows: Known, declared: Known | undefined): Known {
  if (declared === undefined) return follows;
  const [a, b] = [declared.dims, follows.dims];
  if (a === undefined || b?.length !== a.length) return { ...follows, ...declared };
  return { ...follows, ...declared, ...shaped(a.map((dim, axis) => betterDim(dim, b[axis]!))) };
}

/** What is known of a constant. */
export function knownTensor(tensor: Tensor): Known {
  const values = valuesOf(tensor);
  return { dtype: tensor.dtype, ...shaped(tensor.shape), ...(values && { values }) };
}

/** What is true of a value that is one of two: lengths that differ are open. */
function either(name: string, a: Known, b: Known): Known {
  const dtype = a.dtype === b.dtype ? a.dtype : undefined;
  if (a.dims === undefined || a.dims.length !== b.dims?.length) return { ...(dtype && { dtype }) };
  const dims = a.dims.map((dim, axis) => (dim === b.dims![axis] ? dim : null));
  return { ...(dtype && { dtype }), ...shaped(named(name, dims)) };
}

/** Outputs of If, from those of its branches, which see all that is known around them. */
function branchOutputs(known: ReadonlyMap<string, Known>, node: Node): readonly Known[] {
  const found = subgraphs(node).map(({ graph }) => {
    const inner = knownTypes(graph, known);
    return graph.outputs.map(({ name }) => inner.get(name) ?? UNKNOWN);
  });
  return node.outputs.map((name, index) => {
    const [a = UNKNOWN, b = UNKNOWN] = found.map((outputs) => outputs[index] ?? UNKNOWN);
    return either(name, a, b);
  });
}

/** Adds what follows for the outputs of a node to what is known. */
export function learn(known: Map<string, Known>, node: Node): void {
  const inputs = node.inputs.map((name) => known.get(name) ?? UNKNOWN);
  const branches = node.op === "If" && node.domain === "" ? branchOutputs(known, node) : undefined;
  for (const [index, name] of node.outputs.entries())
    if (name !== "") known.set(name, merged(branches?.[index] ?? inferred(node, index, inputs), known.get(name)));
}

/** What is known of every value of a graph by name, `outer` ones included; a declared fact goes before an inferred one. */
export function knownTypes(graph: Graph, outer: ReadonlyMap<string, Known> = new Map()): Map<string, Known> {
  const known = new Map(outer);
  for (const [name, tensor] of graph.tensors) known.set(name, knownTensor(tensor));
  for (const info of [...graph.values.values(), ...graph.outputs, ...graph.inputs]) {
    const tensor = graph.tensors.get(info.name);
    known.set(info.name, tensor ? { dtype: tensor.dtype, ...shaped(tensor.shape) } : fromInfo(info));
  }
  for (const node of graph.nodes) learn(known, node);
  return known;
}
