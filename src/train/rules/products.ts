/** Matrix products. `d` is the gradient of the output. */
import { floatAttribute, intAttribute } from "../../ir/attributes.ts";
import { float } from "../../ir/build.ts";
import { reshapeLike, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** Y = alpha * A' B' + beta * C, where a prime is an optional transposition. */
const gemm: Rule = (node, context) => {
  const d = incoming(context);
  const [a = "", b = "", c = ""] = node.inputs;
  const [transA, transB] = [intAttribute(node, "transA", 0), intAttribute(node, "transB", 0)];
  const alpha = float(floatAttribute(node, "alpha", 1));
  const product = (left: string, right: string, flipLeft: number, flipRight: number) =>
    context.emit("Gemm", [left, right], { alpha, transA: flipLeft, transB: flipRight });
  const forA = () => (transA === 0 ? product(d, b, 0, 1 - transB) : product(b, d, transB, 1));
  const forB = () => (transB === 0 ? product(a, d, 1 - transA, 0) : product(d, a, 1, transA));
  const forC = () =>
    unbroadcast(context, scaled(context, d, Math.fround(floatAttribute(node, "beta", 1)), c), c, node.outputs[0]!);
  return [forA, forB, forC].map((make, index) => (context.wants(index) ? make() : undefined));
};

const scaled = (context: RuleContext, d: string, factor: number, like: string): string =>
  factor === 1 ? d : context.emit("Mul", [d, context.scalar(factor, context.dtype(like))]);

/** Swaps the last two of `rank` axes. */
const swapped = ({ emit }: RuleContext, value: string, rank: number): string => {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return emit("Transpose", [value], { perm: [...axes.slice(0, -2), rank - 1, rank - 2] });
};

/** A stack of matrices as one: all rows under each other. Needs the length of a row when there may be no rows. */
function rows(context: RuleContext, value: string): string {
  const { emit, ints } = context;
  const width = context.dims(value)?.at(-1);
  if (typeof width === "number" && width > 0) return emit("Reshape", [value, ints([-1, width])]);
  const found = emit("Slice", [emit("Shape", [value]), ints([-1]), ints([Number.MAX_SAFE_INTEGER])]);
  return emit("Reshape", [value, emit("Concat", [ints([-1]), found], { axis: 0 })]);
}

/** Vectors count as matrices of one row (left) or one column (right), as in numpy.matmul; `d` gets the same axes. */
function lifted(context: RuleContext, a: string, b: string) {
  const { emit, ints } = context;
  const [rankA, rankB] = [context.rank(a), context.rank(b)];
  const onRight = rankB === 1 ? emit("Unsqueeze", [incoming(context), ints([-1])]) : incoming(context);
  return {
    left: rankA === 1 ? emit("Unsqueeze", [a, ints([0])]) : a,
    right: rankB === 1 ? emit("Unsqueeze", [b, ints([1])]) : b,
    d: rankA === 1 ? emit("Unsqueeze", [onRight, ints([-2])]) : onRight,
    rankA: Math.max(rankA, 2),
    rankB: Math.max(rankB, 2),
  };
}

/** Brings the gradient of a lifted and broadcast stack back to the shape of the input. */
function lowered(context: RuleContext, value: string, lift: string, input: string, stacked: boolean): string {
  const summed = stacked ? unbroadcast(context, value, lift, value) : value;
  return lift === input ? summed : reshapeLike(context, summed, input);
}

/** dA = d B^T, dB = A^T d; with a single matrix on the right the stack on the left becomes one matrix. */
const matmul: Rule = (node, context) => {
  const [a = "", b = ""] = node.inputs;
  const { emit } = context;
  const { left, right, d, rankA, rankB } = lifted(context, a, b);
  const forLeft = () => emit("MatMul", [d, swapped(context, right, rankB)]);
  const forRight = () => {
    if (rankB === 2 && rankA > 2) return emit("Gemm", [rows(context, left), rows(context, d)], { transA: 1 });
    if (rankB === 2) return emit("Gemm", [left, d], { transA: 1 });
    return emit("MatMul", [swapped(context, left, rankA), d]);
  };
  return [
    context.wants(0) ? lowered(context, forLeft(), left, a, rankB > 2) : undefined,
    context.wants(1) ? lowered(context, forRight(), right, b, rankB > 2) : undefined,
  ];
};

export const productRules: Rules = { Gemm: gemm, MatMul: matmul };
