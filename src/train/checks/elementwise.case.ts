/** Checks of ops that work element by element, one or two inputs. */
import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { node } from "../../ir/build.ts";
import type { Node, Tensor } from "../../ir/model.ts";
import { constant, type GradCase, type Precision, type Values } from "../gradcheck.case.ts";
import { type Options, of, single } from "./builders.case.ts";

/** One node of one input of different shapes. */
export const unary = (op: string, values: Values = "normal", options: Options = {}): readonly GradCase[] =>
  [[3, 4], [], [2, 1, 5]].map((shape) => single(op, { x: of(shape, values) }, options));
/** Shapes of two inputs: equal, one broadcast, both broadcast, other ranks, scalars. */
export const PAIRS = [
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

const trainedExponents: readonly GradCase[] = PAIRS.map(([a, b]) =>
  single("Pow", { a: of(a, "positive"), b: of(b) }, { label: `[${a}] to the [${b}]` }),
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
  {
    op: "CastLike",
    label: "to float64 and back",
    inputs: { x: of([3, 4]) },
    precision: "float32",
    nodes: () => [
      node("CastLike", ["x", "double"], ["wide"]),
      node("Exp", ["wide"], ["e"]),
      node("CastLike", ["e", "x"], ["y"]),
    ],
    tensors: () => [constant("double", [], [0], "float64")],
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

export const elementwiseCases: readonly GradCase[] = [
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
    { label: "bounds that are trained" },
  ),
  single(
    "Clip",
    { x: of([4, 5], "separate"), low: of([], "large"), high: of([], "unit") },
    { label: "trained bounds, the lowest above the highest" },
  ),
  ...["Add", "Sub", "Mul"].flatMap((op) => binary(op)),
  ...binary("Div", "positive"),
  ...PAIRS.map(([a, b]) => single("Mod", { a: of(a, "separate"), b: of(b, "large") }, { attributes: { fmod: 1 } })),
  ...pow,
  ...trainedExponents,
  ...casts,
  throughBoolean,
];
