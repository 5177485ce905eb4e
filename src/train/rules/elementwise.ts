/** Ops of one input that work element by element. `d` is the gradient of the output, `x` the input, `y` the output. */
import { dtypeOf } from "../../containers/onnx/dtypes.ts";
import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { castTo, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** What the derivative of an elementwise op can be written with. */
export interface Site {
  readonly d: string;
  readonly x: string;
  readonly y: string;
  readonly node: Node;
  readonly context: RuleContext;
  readonly mul: (a: string, b: string) => string;
  readonly add: (a: string, b: string) => string;
  readonly sub: (a: string, b: string) => string;
  readonly div: (a: string, b: string) => string;
  /** A constant of the input's dtype. */
  readonly c: (value: number) => string;
}

/** A rule from the formula of the input's gradient. */
export const elementwise =
  (formula: (site: Site) => string): Rule =>
  (node, context) => {
    const x = node.inputs[0]!;
    const two = (op: string) => (a: string, b: string) => context.emit(op, [a, b]);
    const c = (value: number) => context.scalar(value, context.dtype(x));
    const [mul, add, sub, div] = [two("Mul"), two("Add"), two("Sub"), two("Div")];
    return [formula({ d: incoming(context), x, y: node.outputs[0]!, node, context, mul, add, sub, div, c })];
  };

/** `d` where the condition holds, 0 elsewhere. */
export const masked = (context: RuleContext, condition: string, d: string, dtype: DType): string =>
  context.emit("Where", [condition, d, context.scalar(0, dtype)]);

/**
 * At the bounds themselves the gradient is 0, as outside of them. Where the lowest is above the highest, all is the highest
 * (ONNX operator Clip).
 */
const clip: Rule = (node, context) => {
  const d = incoming(context);
  const [x = "", low = "", high = ""] = node.inputs;
  const dtype = context.dtype(x);
  const { emit } = context;
  const inside = [low && emit("Greater", [x, low]), high && emit("Less", [x, high])].filter((name) => name !== "");
  const both = inside.length === 2 ? emit("And", inside) : inside[0];
  const where = (beyond: string, crossed: string, order: string) =>
    low && high ? emit(crossed, [beyond, emit(order, [low, high])]) : beyond;
  const past = (bound: string, condition: string) =>
    unbroadcast(context, masked(context, condition, d, dtype), bound, x);
  return [
    both === undefined ? d : masked(context, both, d, dtype),
    context.wants(1) ? past(low, where(emit("LessOrEqual", [x, low]), "And", "Less")) : undefined,
    context.wants(2) ? past(high, where(emit("GreaterOrEqual", [x, high]), "Or", "GreaterOrEqual")) : undefined,
  ];
};

/** exp(-x^2 * factor) */
const bell = ({ x, context, mul, c }: Site, factor: number): string =>
  context.emit("Exp", [mul(mul(x, x), c(-factor))]);

/** Phi(x) + x * phi(x), with the distribution and density of the standard normal (Hendrycks and Gimpel, arXiv:1606.08415). */
function exactGelu(site: Site): string {
  const { d, x, context, mul, add, c } = site;
  const distribution = mul(c(0.5), add(c(1), context.emit("Erf", [mul(x, c(Math.SQRT1_2))])));
  const density = mul(bell(site, 0.5), c(1 / Math.sqrt(2 * Math.PI)));
  return mul(d, add(distribution, mul(x, density)));
}

const GELU_SLOPE = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

/** Derivative of x/2 * (1 + t) with t = tanh(u), u = slope * (x + cubic * x^3). */
function tanhGelu({ d, x, context, mul, add, sub, c }: Site): string {
  const square = mul(x, x);
  const u = mul(c(GELU_SLOPE), mul(x, add(c(1), mul(c(GELU_CUBIC), square))));
  const t = context.emit("Tanh", [u]);
  const slope = mul(c(GELU_SLOPE), add(c(1), mul(c(3 * GELU_CUBIC), square)));
  const inner = mul(mul(x, sub(c(1), mul(t, t))), slope);
  return mul(d, mul(c(0.5), add(add(c(1), t), inner)));
}

const gelu = (site: Site): string =>
  stringAttribute(site.node, "approximate", "none") === "tanh" ? tanhGelu(site) : exactGelu(site);

/** Between float types the gradient is converted back; through integers and booleans none flows. */
const conversion =
  (target: (node: Node, context: RuleContext) => DType | undefined): Rule =>
  (node, context) => {
    const to = target(node, context);
    if (to === undefined || DTYPES[to].kind !== "float") return [];
    if (to !== "float32" && to !== "float64") context.refuse(`gradients of ${to} have no rule; train in float32`);
    return [castTo(context, incoming(context), context.dtype(node.inputs[0]!))];
  };

export const elementwiseRules: Rules = {
  Neg: elementwise(({ d, context }) => context.emit("Neg", [d])),
  Exp: elementwise(({ d, y, mul }) => mul(d, y)),
  Log: elementwise(({ d, x, div }) => div(d, x)),
  Sqrt: elementwise(({ d, y, mul, div, c }) => div(mul(d, c(0.5)), y)),
  Sigmoid: elementwise(({ d, y, mul, sub, c }) => mul(d, mul(y, sub(c(1), y)))),
  Tanh: elementwise(({ d, y, mul, sub, c }) => mul(d, sub(c(1), mul(y, y)))),
  Erf: elementwise((site) => site.mul(site.d, site.mul(bell(site, 1), site.c(2 / Math.sqrt(Math.PI))))),
  Relu: elementwise(({ d, y, context, c }) => context.emit("Where", [context.emit("Greater", [y, c(0)]), d, c(0)])),
  Gelu: elementwise(gelu),
  Clip: clip,
  Identity: (_, context) => [incoming(context)],
  Cast: conversion((node) => dtypeOf(intAttribute(node, "to", 0), node.name)),
  CastLike: conversion((node, context) => context.dtype(node.inputs[1]!)),
};
