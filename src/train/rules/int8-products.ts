/**
 * Gradients of fewbit.Int8MatMul: products of 8-bit codes like the forward ones, straight through the
 * rounding of values and weights (Bengio et al., arXiv:1308.3432), so each is the gradient of a product of floats up to
 * rounding. `d` is the gradient of the output.
 */
import type { Node } from "../../ir/model.ts";
import { asSigned, type Codes, dequantized, integerBackward, integerProduct } from "../low-precision/codes.ts";
import { drawOf, gradientCodes } from "../low-precision/gradient-codes.ts";
import { flipped, INT8_MATMUL as MATMUL, transposedWeight } from "../ops/int8-matmul.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** What the forward node knows already. */
interface Saved {
  readonly x: Required<Codes>;
  readonly weight: Codes;
  readonly shape: readonly [number, number];
}

function saved(context: RuleContext, node: Node): Saved {
  const { output } = context;
  const shape = context.shape(node.inputs[1]!) ?? context.refuse("the shape of its weight is not known; declare it");
  return {
    x: { codes: output(MATMUL.codes), scale: output(MATMUL.scale), zero: output(MATMUL.zero) },
    weight: { codes: output(MATMUL.weightCodes), scale: output(MATMUL.weightScale) },
    shape: shape as readonly [number, number],
  };
}

/** A stack of rows as one matrix of rows this long. */
const rows = ({ emit, ints }: RuleContext, value: string, width: number): string =>
  emit("Reshape", [value, ints([-1, width])]);

/** Gradients in floats, of the weight as the forward product saw it. */
function floatGradients(context: RuleContext, node: Node, d: string, { weight, shape }: Saved) {
  const { emit, wants } = context;
  const [transB, x] = [transposedWeight(node), node.inputs[0]!];
  const [inner, outer] = transB ? [shape[1], shape[0]] : shape;
  const forX = () => {
    const values = dequantized(context, weight, shape, transB ? 0 : 1);
    return emit("MatMul", [d, transB ? values : emit("Transpose", [values], { perm: [1, 0] })]);
  };
  const forWeight = () => {
    const [left, right] = [rows(context, x, inner), rows(context, d, outer)];
    return emit("Gemm", transB ? [right, left] : [left, right], { transA: 1 });
  };
  return [wants(0) ? forX() : undefined, wants(1) ? forWeight() : undefined];
}

/** dX = (d * scales of the channels) times the codes of the weight: scales along the inner axis go into the left side. */
function integerInputGradient(context: RuleContext, node: Node, d: string, { weight }: Saved): string {
  const { emit } = context;
  // Shares of the largest scale: engines fuse a product with two scales, not with one.
  const scale = emit("ReduceMax", [weight.scale], { keepdims: 0 });
  const scaled = emit("Mul", [d, emit("Div", [weight.scale, scale])]);
  const left = gradientCodes(context, scaled, drawOf(node, d)).unsigned();
  const right: Codes = { codes: weight.codes, scale };
  return integerProduct(context, left, transposedWeight(node) ? right : flipped(context, right));
}

/** dW = X^T d, or d^T X where the weight is transposed: the side that is turned is the unsigned one. */
function integerWeightGradient(context: RuleContext, node: Node, d: string, { x, shape }: Saved): string {
  const transB = transposedWeight(node);
  const [inner, outer] = transB ? [shape[1], shape[0]] : shape;
  const asRows = ({ codes, ...rest }: Required<Codes>, width: number) => ({
    ...rest,
    codes: rows(context, codes, width),
  });
  const gradient = gradientCodes(context, d, drawOf(node, d));
  const turned = (codes: Required<Codes>) => flipped(context, codes) as Required<Codes>;
  if (!transB) return integerProduct(context, turned(asRows(x, inner)), asRows(gradient.signed(), outer));
  const signed = asSigned(context, rows(context, node.inputs[0]!, inner), x);
  return integerProduct(context, turned(asRows(gradient.unsigned(), outer)), signed);
}

const int8MatMul: Rule = (node, context) => {
  const d = incoming(context);
  const known = saved(context, node);
  if (!integerBackward(node)) return floatGradients(context, node, d, known);
  return [
    context.wants(0) ? integerInputGradient(context, node, d, known) : undefined,
    context.wants(1) ? integerWeightGradient(context, node, d, known) : undefined,
  ];
};

export const int8ProductRules: Rules = { "fewbit.Int8MatMul": int8MatMul };
