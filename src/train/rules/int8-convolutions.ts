/**
 * Gradients of fewbit.Int8Conv: products of codes like the forward one, straight through the rounding of values and weights
 * (Bengio et al., arXiv:1308.3432). The gradient of the input is one of floats where windows move by more than one step: spreading it
 * over what lies between would be mostly products with zero. `d` is the gradient of the output.
 */
import type { Node } from "../../ir/model.ts";
import { type Codes, dequantized, integerBackward, integerProduct } from "../low-precision/codes.ts";
import { columns, fromRows, range, stepsBack, stepsOf } from "../low-precision/columns.ts";
import { drawOf, gradientCodes } from "../low-precision/gradient-codes.ts";
import { INT8_CONV as CONV, weightMatrix, weightShape } from "../ops/int8-conv.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { convolutionRules } from "./convolutions.ts";

/** The gradients of one input, by the rule of Conv, of the weight as the forward product saw it. */
function byFloats(context: RuleContext, node: Node, weight: Codes, input: 0 | 1): string | undefined {
  const [x = "", w = ""] = node.inputs;
  const values = dequantized(context, weight, weightShape(context, node), 0);
  const shape = (name: string) => context.shape(name === values ? w : name);
  const conv: Node = { ...node, op: "Conv", domain: "", inputs: [x, values] };
  return convolutionRules.Conv!(conv, { ...context, shape, wants: (index) => index === input })[input];
}

/** d, its channels times the scales of the weight, in windows times the codes of the weight. */
function inputGradient(context: RuleContext, node: Node, d: string, weight: Codes): string | undefined {
  const { emit, ints } = context;
  const shape = weightShape(context, node);
  const steps = stepsOf(node, shape.slice(2));
  const back = stepsBack(steps);
  if (steps.strides.some((stride) => stride !== 1) || [...back.begins, ...back.ends].some((pad) => pad < 0))
    return byFloats(context, node, weight, 0);
  const scale = emit("ReduceMax", [weight.scale], { keepdims: 0 });
  const shares = emit("Reshape", [emit("Div", [weight.scale, scale]), ints([-1, ...steps.kernel.map(() => 1)])]);
  const codes = gradientCodes(context, emit("Mul", [d, shares]), drawOf(node, d)).unsigned();
  const { rows, windows } = columns(context, codes, shape[0]!, back, true);
  const product = integerProduct(context, rows, weightMatrix(context, { codes: weight.codes, scale }, shape, 0));
  return fromRows(context, product, windows, shape[1]!, shape.length);
}

/** d as a matrix of channels and windows, times the windows the forward product has made. */
function weightGradient(context: RuleContext, node: Node, d: string): string {
  const { emit, ints, output } = context;
  const shape = weightShape(context, node);
  const [outputs, inputs, ...kernel] = shape as readonly [number, number, ...number[]];
  const { codes, ...rest } = gradientCodes(context, d, drawOf(node, d)).unsigned();
  const turned = emit("Transpose", [codes], { perm: [1, 0, ...range(2, shape.length)] });
  const left = { ...rest, codes: emit("Reshape", [turned, ints([outputs, -1])]) };
  const seen = { codes: output(CONV.windows), scale: output(CONV.scale), zero: output(CONV.zero) };
  const product = emit("Reshape", [integerProduct(context, left, seen), ints([outputs, ...kernel, inputs])]);
  return emit("Transpose", [product], { perm: [0, shape.length - 1, ...range(1, shape.length - 1)] });
}

const int8Conv: Rule = (node, context) => {
  const d = incoming(context);
  const { wants, output } = context;
  const weight: Codes = { codes: output(CONV.weightCodes), scale: output(CONV.weightScale) };
  const integer = integerBackward(node);
  const forX = () => (integer ? inputGradient(context, node, d, weight) : byFloats(context, node, weight, 0));
  const forWeight = () => (integer ? weightGradient(context, node, d) : byFloats(context, node, weight, 1));
  return [wants(0) ? forX() : undefined, wants(1) ? forWeight() : undefined];
};

export const int8ConvolutionRules: Rules = { "fewbit.Int8Conv": int8Conv };
