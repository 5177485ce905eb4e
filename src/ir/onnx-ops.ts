/**
 * What quantization knows of the ops of ONNX. The `static` column was measured on ONNX Runtime 1.30.0 CPU with
 * `scripts/peers/qdq-fusion.py` (uint8 activations, int8 weights per channel, opsets 13, 17 and 21): run it again for
 * another version. Weights: ONNX operator specification; com.microsoft: ContribOperators of ONNX Runtime.
 */
import { floatAttribute, intAttribute, stringAttribute, subgraphs } from "./attributes.ts";
import type { Dialect, OpRow, Slots, Static, WeightInput } from "./dialect.ts";
import type { Node } from "./model.ts";

const COMPUTE: Static = { as: "compute", floatOutput: false };
const COMPUTE_TO_FLOAT: Static = { as: "compute", floatOutput: true };
const ELEMENTWISE: Static = { as: "elementwise" };
const SAME_SCALE: Static = { as: "same-scale" };
const CLAMP: Static = { as: "clamp" };
const FLOAT: Static = { as: "float" };

const NO_WEIGHTS: readonly WeightInput[] = [];

type Range = readonly [number, number];

const plain = (kind: Static, data: Slots = [0], outputs: Slots = [0]): OpRow => ({
  weights: NO_WEIGHTS,
  data,
  outputs,
  static: () => kind,
});
const elementwise = (data: Slots, range?: Range): OpRow => ({ ...plain(ELEMENTWISE, data), ...(range && { range }) });
const sameScale = (data: Slots = [0], outputs: Slots = [0]): OpRow => plain(SAME_SCALE, data, outputs);
const inFloat = (data: Slots = [0], range?: Range): OpRow => ({ ...plain(FLOAT, data), ...(range && { range }) });
const withWeights = (weights: readonly WeightInput[], kind: OpRow["static"], data: Slots = [0]): OpRow => ({
  weights,
  data,
  outputs: [0],
  static: kind,
});

const axes = (input: number, axis: number, reduction: number, bias?: number): WeightInput => ({
  input,
  by: 0,
  ...(bias !== undefined && { bias }),
  axis: () => axis,
  reduction: () => reduction,
});

/** Stacked matrices: columns are outputs; a vector is one column. */
const columns = (input: number, bias?: number): WeightInput => ({
  input,
  by: 0,
  ...(bias !== undefined && { bias }),
  axis: (_, rank) => Math.max(rank - 1, 0),
  reduction: (_, rank) => Math.max(rank - 2, 0),
  stacked: true,
});

/** Rows of an embedding table: one row is one "channel", groups run along it. */
const embedding = (input: number): WeightInput => ({
  input,
  axis: () => 0,
  reduction: (_, rank) => Math.max(rank - 1, 0),
});

const gemmWeight: WeightInput = {
  input: 1,
  bias: 2,
  by: 0,
  axis: (node) => (intAttribute(node, "transB", 0) === 0 ? 1 : 0),
  reduction: (node) => (intAttribute(node, "transB", 0) === 0 ? 0 : 1),
};

/** QGemm takes alpha as a scale but its fusion wants 1; a float Gemm stays otherwise. */
const gemm = (node: Node): Static => {
  const scaled = floatAttribute(node, "alpha", 1) !== 1;
  const biased = (node.inputs[2] ?? "") !== "" && floatAttribute(node, "beta", 1) !== 1;
  return scaled || biased ? FLOAT : COMPUTE_TO_FLOAT;
};

/** Only nearest picks elements; the others make new values, in float. */
const resize = (node: Node): Static => (stringAttribute(node, "mode", "nearest") === "nearest" ? SAME_SCALE : FLOAT);

/** Recurrent weights are [directions, gates * hidden, in]. */
const recurrent: OpRow = withWeights([axes(1, 1, 2), axes(2, 1, 2)], () => FLOAT);

const DEFAULT_DOMAIN = {
  Conv: withWeights([axes(1, 0, 1, 2)], () => COMPUTE),
  ConvTranspose: withWeights([axes(1, 1, 0, 2)], () => FLOAT),
  Gemm: withWeights([gemmWeight], gemm),
  MatMul: withWeights([columns(1)], () => COMPUTE_TO_FLOAT, [0, 1]),
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Einsum: inFloat("all"),

  Add: { ...elementwise([0, 1]), numbers: true },
  Mul: elementwise([0, 1]),
  LeakyRelu: elementwise([0]),
  Sigmoid: elementwise([0], [0, 1]),
  AveragePool: elementwise([0]),
  GlobalAveragePool: elementwise([0]),
  Concat: elementwise("all"),
  Where: elementwise([1, 2]),

  Relu: plain(CLAMP),
  Clip: plain(CLAMP),

  MaxPool: sameScale(),
  ReduceMax: sameScale(),
  ReduceMin: sameScale(),
  Flatten: sameScale(),
  Reshape: sameScale(),
  Squeeze: sameScale(),
  Unsqueeze: sameScale(),
  Transpose: sameScale(),
  Slice: sameScale(),
  Split: sameScale([0], "all"),
  Gather: { ...sameScale(), weights: [embedding(0)] },
  GatherElements: sameScale(),
  Expand: sameScale(),
  Tile: sameScale(),
  DepthToSpace: sameScale(),
  Identity: sameScale(),
  Resize: { ...sameScale(), static: resize },

  Sub: inFloat([0, 1]),
  Div: inFloat([0, 1]),
  Pow: inFloat([0, 1]),
  Mod: inFloat([0, 1]),
  Min: inFloat("all"),
  Max: inFloat("all"),
  Sum: inFloat("all"),
  Mean: inFloat("all"),
  PRelu: inFloat([0]),
  Elu: inFloat(),
  Selu: inFloat(),
  Celu: inFloat(),
  Tanh: inFloat([0], [-1, 1]),
  HardSigmoid: inFloat([0], [0, 1]),
  HardSwish: inFloat(),
  Softplus: inFloat(),
  Softsign: inFloat([0], [-1, 1]),
  ThresholdedRelu: inFloat(),
  Gelu: inFloat(),
  Mish: inFloat(),
  Erf: inFloat([0], [-1, 1]),
  Exp: inFloat(),
  Log: inFloat(),
  Sqrt: inFloat(),
  Reciprocal: inFloat(),
  Abs: inFloat(),
  Neg: inFloat(),
  Sign: inFloat([0], [-1, 1]),
  Floor: inFloat(),
  Ceil: inFloat(),
  Round: inFloat(),
  Sin: inFloat([0], [-1, 1]),
  Cos: inFloat([0], [-1, 1]),
  Softmax: inFloat([0], [0, 1]), // fuses to QLinearSoftmax, 1.5 times slower than float
  LogSoftmax: inFloat(),
  Hardmax: inFloat([0], [0, 1]),
  GlobalMaxPool: inFloat(),
  LpPool: inFloat(),
  ReduceMean: inFloat(),
  ReduceSum: inFloat(),
  ReduceProd: inFloat(),
  ReduceL2: inFloat(),
  GatherND: inFloat(),
  ScatterND: inFloat([0, 2]),
  SpaceToDepth: inFloat(),
  Pad: inFloat(),
  CumSum: inFloat(),
  Trilu: inFloat(),
  TopK: inFloat(),
  BatchNormalization: inFloat(),
  InstanceNormalization: inFloat(),
  LayerNormalization: inFloat(),
  LpNormalization: inFloat(),
  LRN: inFloat(),
} as const satisfies Record<string, OpRow>;

const MICROSOFT = {
  Attention: withWeights([columns(1, 2)], () => FLOAT),
  FusedMatMul: withWeights([columns(1)], () => FLOAT, [0, 1]),
  Gelu: inFloat(),
  FastGelu: inFloat(),
  BiasGelu: inFloat(),
  QuickGelu: inFloat(),
  SkipLayerNormalization: inFloat([0, 1]),
  SimplifiedLayerNormalization: inFloat(),
  SkipSimplifiedLayerNormalization: inFloat([0, 1]),
} as const satisfies Record<string, OpRow>;

const DOMAINS: Readonly<Record<string, Readonly<Record<string, OpRow>>>> = {
  "": DEFAULT_DOMAIN,
  "com.microsoft": MICROSOFT,
};

const RANDOM = new Set([
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Multinomial",
  "Bernoulli",
]);

/** Row of an op of the default domain or com.microsoft; undefined for every other string. */
function row({ domain, op }: Pick<Node, "op" | "domain">): OpRow | undefined {
  const rows = Object.hasOwn(DOMAINS, domain) ? DOMAINS[domain] : undefined;
  return rows !== undefined && Object.hasOwn(rows, op) ? rows[op] : undefined;
}

/** Dropout is random only with a `training_mode` input. Ops of unknown domains may do anything. */
function deterministic(node: Node): boolean {
  if (!Object.hasOwn(DOMAINS, node.domain) || RANDOM.has(node.op)) return false;
  if (node.op === "Dropout" && (node.inputs[2] ?? "") !== "") return false;
  return subgraphs(node).every(({ graph }) => graph.nodes.every(deterministic));
}

/** The op table of ONNX: domains "" and "com.microsoft". */
export const ONNX: Dialect = { staticForm: "qdq", integers: "chains", row, deterministic };
