/** Shapes of the outputs of ops, as far as they follow from what is known of the inputs. An op without a row has none. */
import { intAttribute, tensorAttribute } from "../../ir/attributes.ts";
import { broadcastDims, type Dims, fromFront } from "./lengths.ts";
import { movementShapes } from "./movement.ts";
import { fromFirst, listed, rows, type ShapeRule, type ShapeRules } from "./shape-rule.ts";
import { specialShapes } from "./special.ts";
import { windowShapes } from "./windows.ts";

const same = fromFirst((dims) => dims);

const SAME = [
  ...[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "EyeLike",
  ],
  ...["Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "IsInf", "IsNaN", "LRN", "LeakyRelu"],
  ...["Log", "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "PRelu", "Reciprocal"],
  ...["Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt"],
  ...["Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu", "ScatterElements", "ScatterND", "RandomUniformLike"],
  ...["RandomNormalLike", "InstanceNormalization", "GroupNormalization", "RMSNormalization", "BatchNormalization"],
  "SimplifiedLayerNormalization",
  ...["QuantizeLinear", "DequantizeLinear", "ReverseSequence", "CastLike", "Bernoulli", "RotaryEmbedding"],
];

const BROADCASTING = [
  ...["Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean", "Where", "And", "Or", "Xor", "Equal"],
  ...["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "BitShift"],
];

const REDUCING = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"];

const broadcast: ShapeRule = (inputs) => {
  const shapes = inputs.map(({ dims }) => dims);
  return shapes.every((dims) => dims !== undefined) ? [broadcastDims(shapes as readonly Dims[])] : undefined;
};

const without = (dims: Dims, axes: readonly number[], keepdims: boolean): Dims => {
  const gone = new Set(axes.map((axis) => fromFront(axis, dims.length)));
  return keepdims ? dims.map((dim, axis) => (gone.has(axis) ? 1 : dim)) : dims.filter((_, axis) => !gone.has(axis));
};

const reduce = fromFirst((dims, node, inputs) => {
  const axes = listed(node, "axes", inputs, 1);
  if (axes === null) return undefined;
  const none = axes === undefined || axes.length === 0;
  if (none && intAttribute(node, "noop_with_empty_axes", 0) !== 0) return dims;
  return without(dims, none ? dims.map((_, axis) => axis) : axes, intAttribute(node, "keepdims", 1) !== 0);
});

const largest = fromFirst((dims, node) =>
  without(dims, [intAttribute(node, "axis", 0)], intAttribute(node, "keepdims", 1) !== 0),
);

/** As numpy.matmul: vectors are rows on the left and columns on the right. */
const matmul: ShapeRule = ([a, b]) => {
  if (a?.dims === undefined || b?.dims === undefined) return undefined;
  const stack = broadcastDims([a.dims.slice(0, -2), b.dims.slice(0, -2)]);
  const rowsOf = a.dims.length > 1 ? [a.dims.at(-2)!] : [];
  const columnsOf = b.dims.length > 1 ? [b.dims.at(-1)!] : [];
  return [[...stack, ...rowsOf, ...columnsOf]];
};

const gemm: ShapeRule = ([a, b], node) => {
  if (a?.dims?.length !== 2 || b?.dims?.length !== 2) return undefined;
  return [[a.dims[intAttribute(node, "transA", 0)]!, b.dims[1 - intAttribute(node, "transB", 0)]!]];
};

/** Mean and inverse deviation have one entry for each row. */
const layerNorm: ShapeRule = ([x], node) => {
  if (x?.dims === undefined) return undefined;
  const axis = fromFront(intAttribute(node, "axis", -1), x.dims.length);
  const statistics = x.dims.map((dim, at) => (at < axis ? dim : 1));
  return [x.dims, statistics, statistics];
};

const batchNorm: ShapeRule = ([x, , , mean, variance]) => [x?.dims, mean?.dims, variance?.dims];

const dropout: ShapeRule = ([x]) => x?.dims && [x.dims, x.dims];

/** Shape has a length even where the lengths in it are open. */
const shape: ShapeRule = ([x], node) => {
  const rank = x?.rank;
  if (rank === undefined) return undefined;
  const bound = (name: string, otherwise: number) =>
    Math.min(Math.max(fromFront(intAttribute(node, name, otherwise), rank), 0), rank);
  return [[Math.max(0, bound("end", rank) - bound("start", 0))]];
};

/** From 0 by 1 the length is the limit, which may be open. */
const range: ShapeRule = ([start, limit, delta]) => [
  [start?.values?.[0] === 0 && delta?.values?.[0] === 1 ? (limit?.values?.[0] ?? null) : null],
];

const SHAPES: ReadonlyMap<string, ShapeRule> = new Map(
  Object.entries({
    ...rows(SAME, same),
    ...rows(BROADCASTING, broadcast),
    ...rows(
      REDUCING.map((name) => `Reduce${name}`),
      reduce,
    ),
    ...rows(["ArgMax", "ArgMin"], largest),
    ...movementShapes,
    ...windowShapes,
    ...specialShapes,
    MatMul: matmul,
    Gemm: gemm,
    LayerNormalization: layerNorm,
    BatchNormalization: batchNorm,
    Dropout: dropout,
    Shape: shape,
    Range: range,
    Size: () => [[]],
    Constant: (_, node) => [tensorAttribute(node, "value")?.shape],
  } satisfies ShapeRules),
);

/** The shape rule of an op of the default domain. */
export const shapeRule = (op: string): ShapeRule | undefined => SHAPES.get(op);
