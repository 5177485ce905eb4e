/** Ops through which nothing flows stand beside a way to the loss: they must not be refused, and must not add anything. */
import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { node } from "../../ir/build.ts";
import type { Node } from "../../ir/model.ts";
import { constant, type GradCase, type Precision } from "../gradcheck.case.ts";
import { type Attributes, of } from "./builders.case.ts";

/** y = x + factor * the sum of what `made` leaves in "s". */
const beside = (op: string, made: (precision: Precision) => readonly Node[], factor = 1): GradCase => ({
  op,
  label: "beside x",
  inputs: { x: of([4, 4], "separate") },
  nodes: (precision) => [
    ...made(precision),
    node("Cast", ["s"], ["f"], { attributes: { to: ELEMENT_TYPES[precision].code } }),
    node("ReduceSum", ["f"], ["sum"], { attributes: { keepdims: 0 } }),
    node("Mul", ["sum", "factor"], ["scaled"]),
    node("Add", ["x", "scaled"], ["y"]),
  ],
  tensors: (precision) => [
    constant("zero", [], [0], precision),
    constant("factor", [], [factor], precision),
    constant("vector", [3], [1, 2, 3], precision),
  ],
  opsets: [16, 21],
});

const alone = (op: string, attributes: Attributes = {}, factor = 1): GradCase =>
  beside(op, () => [node(op, ["x"], ["s"], { attributes })], factor);

/** The engine has these in float32 only. */
const narrow = (op: string): GradCase => ({ ...alone(op), precision: "float32" });

const compared = (op: string): GradCase => beside(op, () => [node(op, ["x", "zero"], ["s"])]);

const logical = (op: string, inputs: readonly string[]): GradCase =>
  beside(op, () => [node("Greater", ["x", "zero"], ["mask"]), node(op, inputs, ["s"])]);

const constants: readonly GradCase[] = [
  beside("Constant", () => [node("Constant", [], ["s"], { attributes: { value_floats: [0.5, 1.5] } })]),
  beside("ConstantOfShape", () => [node("Shape", ["x"], ["lengths"]), node("ConstantOfShape", ["lengths"], ["s"])]),
];

const oneHot: GradCase = {
  ...beside("OneHot", () => [
    node("ArgMax", ["x"], ["largest"], { attributes: { axis: 1, keepdims: 0 } }),
    node("Constant", [], ["depth"], { attributes: { value_int: 4 } }),
    node("Cast", ["ends"], ["values"], { attributes: { to: ELEMENT_TYPES.float32.code } }),
    node("OneHot", ["largest", "depth", "values"], ["s"]),
  ]),
  precision: "float32",
  tensors: (precision) => [constant("factor", [], [1], precision), constant("ends", [2], [0, 1], precision)],
};

export const stoppedCases: readonly GradCase[] = [
  ...["Sign", "Floor", "Ceil", "Round", "IsNaN", "IsInf", "Shape", "Size", "EyeLike"].map((op) => alone(op)),
  ...["Hardmax", "NonZero"].map(narrow),
  ...["ArgMax", "ArgMin"].flatMap((op) => [alone(op), alone(op, { axis: 1, keepdims: 0 })]),
  ...["RandomNormalLike", "RandomUniformLike", "Bernoulli"].map((op) =>
    beside(op, () => [node("Abs", ["zero"], ["p"]), node(op, ["p"], ["s"])], 0),
  ),
  ...["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"].map(compared),
  logical("Not", ["mask"]),
  ...["And", "Or", "Xor"].map((op) => logical(op, ["mask", "mask"])),
  ...constants,
  oneHot,
];
