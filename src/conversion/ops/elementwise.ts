/** Ops that work element by element. */

import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { floatAttribute } from "../../ir/attributes.ts";
import { float } from "../../ir/build.ts";
import { alike, rowwise } from "../batch-state.ts";
import { type ConversionRow, flag, type Site } from "../row.ts";
import type { Attributes } from "../writer.ts";

type Formula = (site: Site, x: string, y: string) => string;

/** Says how the first two inputs become the result. */
const formula = (convert: Formula): ConversionRow => ({
  convert: (site) => convert(site, site.input(0), site.optional(1) ?? ""),
  batch: alike,
});

/** The same op in ONNX, all inputs handed on. */
const same = (op: string, attributes?: Attributes): ConversionRow => ({
  convert: (site) =>
    site.emit(
      op,
      site.node.inputs.map((_, i) => site.input(i)),
      attributes,
    ),
  batch: alike,
});

const clip =
  (low: number, high: number): Formula =>
  ({ emit, scalar }, x) =>
    emit("Clip", [x, scalar(low), scalar(high)]);

/** x * Phi(x), by the error function or its tanh approximation (Hendrycks and Gimpel, arXiv:1606.08415). */
const gelu: Formula = ({ node, emit, scalar }, x) => {
  const phi = flag(node, "approximate")
    ? emit("Tanh", [
        emit("Mul", [
          scalar(Math.sqrt(2 / Math.PI)),
          emit("Add", [x, emit("Mul", [scalar(0.044715), emit("Mul", [x, emit("Mul", [x, x])])])]),
        ]),
      ])
    : emit("Erf", [emit("Mul", [x, scalar(Math.SQRT1_2)])]);
  return emit("Mul", [emit("Mul", [x, scalar(0.5)]), emit("Add", [phi, scalar(1)])]);
};

const squaredDifference: Formula = ({ emit }, x, y) => {
  const difference = emit("Sub", [x, y]);
  return emit("Mul", [difference, difference]);
};

/** `beta` scales the logits; the schema's default for an absent one is 0. */
const softmax: ConversionRow = {
  convert: ({ node, input, emit, scalar }) => {
    const beta = floatAttribute(node, "beta", 0);
    const logits = beta === 1 ? input(0) : emit("Mul", [input(0), scalar(beta)]);
    return emit("Softmax", [logits], { axis: -1 });
  },
  batch: rowwise(),
};

/** TFLite keeps the divisor above this (kernels/internal/optimized, L2Normalization). */
const L2_EPSILON = 1e-6;

const l2Normalization: ConversionRow = {
  convert: ({ input, emit, scalar }) => {
    const norm = emit("ReduceL2", [input(0)], { axes: [-1], keepdims: 1 });
    return emit("Div", [input(0), emit("Max", [norm, scalar(L2_EPSILON)])]);
  },
  batch: rowwise(),
  noActivation: true,
};

/** A condition of fewer axes stands for whole rows (SELECT); a scalar stands for all. */
const select: ConversionRow = {
  convert: ({ input, dims, emit, list }) => {
    const [own, rank] = [dims(input(0)).length, dims(input(1)).length];
    const added = Array.from({ length: Math.max(0, rank - own) }, (_, i) => own + i);
    const whole = own === 0 || added.length === 0 ? input(0) : emit("Unsqueeze", [input(0), list(added)]);
    return emit("Where", [whole, input(1), input(2)]);
  },
  batch: (site) => {
    const { node, dims } = site;
    const own = dims(node.inputs[0]!).length;
    return own === 0 || own === dims(node.inputs[1]!).length ? alike(site) : { reason: "its condition picks samples" };
  },
};

const cast: ConversionRow = {
  convert: ({ node, input, dtype, emit }) =>
    emit("Cast", [input(0)], { to: ELEMENT_TYPES[dtype(node.outputs[0]!)].code }),
  batch: alike,
};

/** Any number of values. */
const sumOfAll: ConversionRow = same("Sum");

export const elementwiseRows = {
  ADD: same("Add"),
  SUB: same("Sub"),
  MUL: same("Mul"),
  DIV: same("Div"),
  POW: same("Pow"),
  MAXIMUM: same("Max"),
  MINIMUM: same("Min"),
  ADD_N: sumOfAll,
  SQUARED_DIFFERENCE: formula(squaredDifference),
  EXP: same("Exp"),
  LOG: same("Log"),
  SQRT: same("Sqrt"),
  RSQRT: formula(({ emit }, x) => emit("Reciprocal", [emit("Sqrt", [x])])),
  SQUARE: formula(({ emit }, x) => emit("Mul", [x, x])),
  ABS: same("Abs"),
  NEG: same("Neg"),
  FLOOR: same("Floor"),
  CEIL: same("Ceil"),
  ROUND: same("Round"),
  SIN: same("Sin"),
  COS: same("Cos"),
  SIGN: same("Sign"),
  RELU: same("Relu"),
  RELU6: formula(clip(0, 6)),
  RELU_N1_TO_1: formula(clip(-1, 1)),
  RELU_0_TO_1: formula(clip(0, 1)),
  LEAKY_RELU: formula(({ node, emit }, x) =>
    emit("LeakyRelu", [x], { alpha: float(floatAttribute(node, "alpha", 0)) }),
  ),
  PRELU: same("PRelu"),
  ELU: same("Elu"),
  LOGISTIC: same("Sigmoid"),
  TANH: same("Tanh"),
  HARD_SWISH: same("HardSwish"),
  GELU: formula(gelu),
  SOFTMAX: softmax,
  LOG_SOFTMAX: { ...same("LogSoftmax", { axis: -1 }), batch: rowwise() },
  L2_NORMALIZATION: l2Normalization,
  EQUAL: same("Equal"),
  NOT_EQUAL: formula(({ emit }, x, y) => emit("Not", [emit("Equal", [x, y])])),
  GREATER: same("Greater"),
  GREATER_EQUAL: same("GreaterOrEqual"),
  LESS: same("Less"),
  LESS_EQUAL: same("LessOrEqual"),
  LOGICAL_AND: same("And"),
  LOGICAL_OR: same("Or"),
  LOGICAL_NOT: same("Not"),
  SELECT: select,
  SELECT_V2: same("Where"),
  CAST: cast,
} satisfies Readonly<Record<string, ConversionRow>>;

/** Activations that a TFLite node may carry, as the op that does the same. */
export const FUSED: ReadonlyMap<string, ConversionRow> = new Map(
  Object.entries({
    RELU: elementwiseRows.RELU,
    RELU6: elementwiseRows.RELU6,
    RELU_N1_TO_1: elementwiseRows.RELU_N1_TO_1,
    TANH: elementwiseRows.TANH,
  }),
);
