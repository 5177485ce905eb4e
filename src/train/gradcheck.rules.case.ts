/** The cases every gradient rule is checked on. A row of the rule table without a case here fails the test. */

import { ELEMENT_TYPES } from "../containers/onnx/dtypes.ts";
import { type AttributeInit, float, intTensor, node } from "../ir/build.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { constant, type Given, type GradCase, type Precision, type Values } from "./gradcheck.case.ts";

type Attributes = Readonly<Record<string, AttributeInit>>;
type Options = Partial<Omit<GradCase, "op" | "inputs">> & {
  readonly attributes?: Attributes;
  readonly more?: readonly string[];
};

/** One node that reads the given inputs in order, then `more` constants. */
function single(op: string, inputs: Readonly<Record<string, Given>>, options: Options = {}): GradCase {
  const { attributes = {}, more = [], ...rest } = options;
  const shapes = Object.values(inputs).map(({ shape }) => `[${shape}]`);
  const label = [
    ...shapes,
    ...Object.entries(attributes).map(
      ([key, value]) => `${key}=${typeof value === "object" && "value" in value ? value.value : value}`,
    ),
  ];
  const nodes = () => [node(op, [...Object.keys(inputs), ...more], ["y"], { attributes })];
  return { op, label: label.join(" "), inputs, nodes, ...rest };
}

const of = (shape: readonly number[], values: Values = "normal"): Given => ({ shape, values });
const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true });

const unary = (op: string, values: Values = "normal", options: Options = {}): readonly GradCase[] =>
  [[3, 4], [], [2, 1, 5]].map((shape) => single(op, { x: of(shape, values) }, options));

/** Shapes of two inputs: equal, one broadcast, both broadcast, other ranks, scalars. */
const PAIRS = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [
    [3, 1],
    [2, 1, 4],
  ],
  [[], [2, 2]],
  [
    [2, 1, 2],
    [1, 3, 1],
  ],
] as const;

const binary = (op: string, right: Values = "normal"): readonly GradCase[] =>
  PAIRS.map(([a, b]) => single(op, { a: of(a), b: of(b, right) }));

const exponent =
  (value: number, shape: readonly number[] = []) =>
  (precision: Precision): readonly Tensor[] => [
    constant(
      "e",
      shape,
      Array.from({ length: shape[0] ?? 1 }, (_, index) => value + index),
      precision,
    ),
  ];

const pow: readonly GradCase[] = [2, 3, 0.5, -1.5, 1].map((value) =>
  single("Pow", { x: of([3, 4], "positive") }, { more: ["e"], tensors: exponent(value), label: `exponent ${value}` }),
);

const bounds = (low?: number, high?: number): GradCase => {
  const more = [low === undefined ? "" : "low", high === undefined ? "" : "high"];
  const tensors = (precision: Precision) => [
    ...(low === undefined ? [] : [constant("low", [], [low], precision)]),
    ...(high === undefined ? [] : [constant("high", [], [high], precision)]),
  ];
  const given = high === undefined ? more.slice(0, low === undefined ? 0 : 1) : more;
  return single("Clip", { x: of([4, 5], "separate") }, { more: given, tensors, label: `${low} to ${high}` });
};

const gemms: readonly GradCase[] = [0, 1].flatMap((transA) =>
  [0, 1].flatMap((transB) =>
    [[3, 5], [5], [3, 1], []].map((c) =>
      single(
        "Gemm",
        { a: of(transA ? [4, 3] : [3, 4]), b: of(transB ? [5, 4] : [4, 5]), c: of(c) },
        { attributes: { transA, transB, alpha: float(0.7), beta: float(1.3) } },
      ),
    ),
  ),
);

const matmuls: readonly GradCase[] = (
  [
    [
      [3, 4],
      [4, 5],
    ],
    [
      [2, 3, 4],
      [4, 5],
    ],
    [
      [2, 1, 3, 4],
      [4, 2],
    ],
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [
      [3, 4],
      [2, 4, 5],
    ],
    [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    [[4], [4, 5]],
    [[3, 4], [4]],
    [[4], [4]],
    [[4], [2, 4, 3]],
    [[2, 3, 4], [4]],
  ] as const
).map(([a, b]) => single("MatMul", { a: of(a), b: of(b) }));

const softmaxes = (op: string): readonly GradCase[] =>
  [{}, { axis: 0 }, { axis: 1 }, { axis: -2 }].map((attributes) => single(op, { x: of([2, 3, 4]) }, { attributes }));

const list = (name: string, values: readonly number[]) => (): readonly Tensor[] => [intTensor(name, values)];

/** With the axes as an input. */
const reduceBy = (op: string, axes: readonly number[], keepdims: number, opsets: readonly number[]): GradCase =>
  single(
    op,
    { x: of([2, 3, 4]) },
    {
      attributes: { keepdims },
      more: ["axes"],
      tensors: list("axes", axes),
      label: `axes ${axes}, keepdims ${keepdims}`,
      opsets,
    },
  );

const reductions = (op: string, opsets: readonly number[]): readonly GradCase[] =>
  [0, 1].flatMap((keepdims) => [
    ...[[1], [0, 2], [-1], [-1, 0], []].map((axes) => reduceBy(op, axes, keepdims, opsets)),
    single(op, { x: of([2, 3, 4]) }, { attributes: { keepdims } }),
  ]);

const means17: readonly GradCase[] = [0, 1].flatMap((keepdims) =>
  [[1], [-1, 0]].map((axes) =>
    single("ReduceMean", { x: of([2, 3, 4]) }, { attributes: { keepdims, axes }, opsets: [17] }),
  ),
);

const withList = (
  op: string,
  shape: readonly number[],
  values: readonly number[],
  attributes: Attributes = {},
): GradCase =>
  single(
    op,
    { x: of(shape) },
    { attributes, more: ["list"], tensors: list("list", values), label: `[${shape}] by ${values}` },
  );

const concats: readonly GradCase[] = [
  single("Concat", { a: of([2, 3]), b: of([2, 1]), c: of([2, 4]) }, { attributes: { axis: 1 } }),
  single("Concat", { a: of([1, 3]), b: of([2, 3]) }, { attributes: { axis: -2 } }),
  {
    ...single("Concat", { a: of([2, 3]) }),
    label: "one value twice",
    nodes: () => [node("Concat", ["a", "a"], ["y"], { attributes: { axis: 0 } })],
  },
];

const slice = (
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[],
): GradCase =>
  single(
    "Slice",
    { x: of([4, 5]) },
    {
      more: ["starts", "ends", "axes", "steps"],
      tensors: () => [
        intTensor("starts", starts),
        intTensor("ends", ends),
        intTensor("axes", axes),
        intTensor("steps", steps),
      ],
      label: `${starts} to ${ends}, axes ${axes}, steps ${steps}`,
    },
  );

const gather = (indices: readonly number[], shape: readonly number[], axis: number): GradCase =>
  single(
    "Gather",
    { x: of([4, 3, 2]) },
    {
      attributes: { axis },
      more: ["i"],
      tensors: () => [intTensor("i", indices, shape)],
      label: `${indices} of axis ${axis}`,
    },
  );

/** The engine convolves in float32 only. */
const conv = (x: readonly number[], w: readonly number[], attributes: Attributes = {}, bias = true): GradCase =>
  single("Conv", { x: of(x), w: fixed(...w), ...(bias && { b: of([w[0]!]) }) }, { attributes, precision: "float32" });

const convs: readonly GradCase[] = [
  conv([2, 3, 5, 5], [4, 3, 3, 3]),
  conv([2, 3, 5, 6], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }, false),
  conv([2, 2, 6, 6], [3, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv([1, 2, 7, 6], [3, 2, 3, 3], { strides: [2, 2], pads: [0, 0, 1, 1] }),
  conv([1, 2, 8, 7], [2, 2, 2, 3], { strides: [3, 2], pads: [2, 1, 0, 2] }),
  conv([1, 2, 8, 8], [2, 2, 1, 1], { strides: [2, 2] }),
  conv([1, 2, 9, 8], [2, 2, 3, 2], { dilations: [2, 3], pads: [1, 2, 2, 1] }),
  conv([1, 2, 9, 10], [2, 2, 3, 2], { dilations: [2, 2], strides: [2, 3] }),
  conv([2, 4, 5, 5], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  conv([2, 4, 6, 6], [4, 1, 3, 3], { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv([2, 3, 6, 5], [6, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
  conv([1, 1, 3, 3], [1, 1, 3, 3], { pads: [3, 3, 3, 3] }),
  conv([2, 3, 9], [4, 3, 4], { strides: [2], pads: [1, 0] }),
  conv([1, 2, 4, 3, 4], [2, 2, 2, 2, 2], { pads: [0, 1, 0, 1, 0, 1] }),
  conv([1, 2, 5, 5], [3, 2, 2, 2], { auto_pad: "VALID" }),
];

const maxPool = (shape: readonly number[], attributes: Attributes): GradCase =>
  single("MaxPool", { x: of(shape, "separate") }, { attributes });

const maxPools: readonly GradCase[] = [
  maxPool([2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  maxPool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] }),
  maxPool([1, 2, 7, 7], { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 }),
  maxPool([1, 1, 7, 7], { kernel_shape: [2, 2], dilations: [2, 3] }),
  maxPool([2, 2, 9], { kernel_shape: [3], strides: [2] }),
  maxPool([2, 2, 5, 5], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: "SAME_UPPER" }),
];

const averagePool = (shape: readonly number[], attributes: Attributes): GradCase =>
  single("AveragePool", { x: of(shape) }, { attributes, precision: "float32" });

const averagePools: readonly GradCase[] = [
  averagePool([2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  averagePool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] }),
  averagePool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 0, 1, 2], count_include_pad: 1 }),
  averagePool([2, 2, 9], { kernel_shape: [4], strides: [3] }),
];

const layerNorm = (shape: readonly number[], scale: readonly number[], axis: number, bias = true): GradCase =>
  single(
    "LayerNormalization",
    { x: of(shape), s: of(scale), ...(bias && { b: of(scale) }) },
    { attributes: { axis, epsilon: 1e-3 } },
  );

const layerNorms: readonly GradCase[] = [
  layerNorm([3, 5], [5], -1),
  layerNorm([2, 3, 4], [4], 2, false),
  layerNorm([2, 3, 4], [3, 4], 1),
  layerNorm([2, 2, 3, 2], [3, 2], -2),
];

const batchNorm = (shape: readonly number[]): GradCase => {
  const channels = of([shape[1]!]);
  const inputs = { x: of(shape), s: channels, b: channels, m: channels, v: of([shape[1]!], "positive") };
  return single("BatchNormalization", inputs, { attributes: { epsilon: 1e-3 } });
};

const casts: readonly GradCase[] = [
  {
    op: "Cast",
    label: "to float32 and back",
    inputs: { x: of([3, 4]) },
    precision: "float32",
    nodes: () => [
      node("Cast", ["x"], ["wide"], { attributes: { to: ELEMENT_TYPES.float64.code } }),
      node("Exp", ["wide"], ["e"]),
      node("Cast", ["e"], ["y"], { attributes: { to: ELEMENT_TYPES.float32.code } }),
    ],
  },
];

/** Two nodes in a row, so that a stopped gradient shows. */
const throughBoolean: GradCase = {
  op: "Cast",
  label: "no gradient through a comparison",
  inputs: { x: of([3, 4], "separate") },
  nodes: (precision): readonly Node[] => [
    node("Greater", ["x", "zero"], ["mask"]),
    node("Cast", ["mask"], ["m"], { attributes: { to: ELEMENT_TYPES[precision].code } }),
    node("Mul", ["x", "m"], ["y"]),
  ],
  tensors: (precision) => [constant("zero", [], [0], precision)],
};

export const CASES: readonly GradCase[] = [
  ...["Neg", "Exp", "Sigmoid", "Tanh", "Identity"].flatMap((op) => unary(op)),
  ...["Log", "Sqrt"].flatMap((op) => unary(op, "positive")),
  ...unary("Relu", "separate"),
  ...unary("Erf", "normal", { precision: "float32" }),
  ...unary("Gelu", "normal", { precision: "float32", opsets: [20, 21] }),
  ...unary("Gelu", "normal", { precision: "float32", opsets: [20, 21], attributes: { approximate: "tanh" } }),
  ...[bounds(-0.4, 0.3), bounds(0), bounds(undefined, 0.2), bounds()],
  single(
    "Clip",
    { x: of([4, 5], "separate"), low: of([]), high: of([], "positive") },
    { label: "bounds that are trained", wrt: ["x", "low", "high"] },
  ),
  ...["Add", "Sub", "Mul"].flatMap((op) => binary(op)),
  ...binary("Div", "positive"),
  ...pow,
  ...gemms,
  ...matmuls,
  ...["Softmax", "LogSoftmax"].flatMap(softmaxes),
  ...reductions("ReduceSum", [17, 21]),
  ...reductions("ReduceMean", [18, 21]).filter(({ label }) => label.includes("axes")),
  single("ReduceMean", { x: of([2, 3]) }),
  ...means17,
  ...layerNorms,
  ...[
    [4, 3],
    [2, 3, 4],
    [2, 3, 2, 3],
  ].map(batchNorm),
  ...[withList("Reshape", [2, 6], [3, -1]), withList("Reshape", [2, 6], [0, 2, 3]), withList("Reshape", [1], [])],
  ...[0, 1, -1, 3].map((axis) => single("Flatten", { x: of([2, 3, 4]) }, { attributes: { axis } })),
  ...[
    withList("Squeeze", [1, 3, 1], [0]),
    withList("Squeeze", [1, 3, 1], [-1, 0]),
    withList("Unsqueeze", [2, 3], [1, -1]),
  ],
  ...[{}, { perm: [2, 0, 1] }, { perm: [0, 2, 1] }].map((attributes) =>
    single("Transpose", { x: of([2, 3, 4]) }, { attributes }),
  ),
  ...concats,
  ...[slice([1], [3], [0], [1]), slice([-1, 0], [-5, 5], [0, 1], [-2, 2]), slice([2], [99], [-1], [1])],
  ...[gather([1, 1, -1, 0], [2, 2], 0), gather([2, 0, 2], [3], 1), gather([1], [], -1)],
  ...casts,
  throughBoolean,
  ...convs,
  ...maxPools,
  ...averagePools,
  ...[
    [2, 3, 4, 5],
    [2, 3, 4],
  ].map((shape) => single("GlobalAveragePool", { x: of(shape) }, { precision: "float32" })),
];
