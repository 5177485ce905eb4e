/** Values divided by a norm of theirs, or by how large their neighbours are. `d` is the gradient of the output. */
import { floatAttribute, intAttribute } from "../../ir/attributes.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** Integers from a bound to before another. */
export const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);

/** Rows whose norm is 0 stay 0, and no gradient flows to them. */
const lpNorm: Rule = (node, context) => {
  const { emit, ints, scalar } = context;
  const [d, x, y] = [incoming(context), node.inputs[0]!, node.outputs[0]!];
  const zero = scalar(0, context.dtype(x));
  const sum = (value: string) => emit("ReduceSum", [value, ints([intAttribute(node, "axis", -1)])], { keepdims: 1 });
  const first = intAttribute(node, "p", 2) === 1;
  const norm = first ? sum(emit("Abs", [x])) : emit("Sqrt", [sum(emit("Mul", [x, x]))]);
  const inner = emit("Sub", [d, emit("Mul", [first ? emit("Sign", [x]) : y, sum(emit("Mul", [d, y]))])]);
  return [emit("Where", [emit("Greater", [norm, zero]), emit("Div", [inner, norm]), zero])];
};

/** Sum over channels from `before` ones ahead to `after` ones behind each. */
function channelWindow(context: RuleContext, value: string, rank: number, before: number, after: number): string {
  const { emit, ints } = context;
  const pads = (count: number) => [0, count, ...range(2, rank).map(() => 0)];
  const padded = emit("Pad", [value, ints([...pads(before), ...pads(after)])]);
  const last = before + after;
  const slices = range(0, last + 1).map((start) =>
    emit("Slice", [padded, ints([start]), ints([start === last ? Number.MAX_SAFE_INTEGER : start - last]), ints([1])]),
  );
  return emit("Sum", slices);
}

/** Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks": y = x / s^beta. */
const localResponse: Rule = (node, context) => {
  const { emit, scalar } = context;
  const [d, x, y] = [incoming(context), node.inputs[0]!, node.outputs[0]!];
  const c = (value: number) => scalar(value, context.dtype(x));
  const number = (name: string, otherwise: number) => Math.fround(floatAttribute(node, name, otherwise));
  const size = intAttribute(node, "size", 1);
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const [beta, slope] = [number("beta", 0.75), number("alpha", 1e-4) / size];
  const around = (value: string, left: number, right: number) =>
    channelWindow(context, value, context.rank(x), left, right);
  const squares = emit("Mul", [around(emit("Mul", [x, x]), before, after), c(slope)]);
  const s = emit("Add", [squares, c(number("bias", 1))]);
  const back = around(emit("Div", [emit("Mul", [d, y]), s]), after, before);
  const others = emit("Mul", [emit("Mul", [x, back]), c(2 * beta * slope)]);
  return [emit("Sub", [emit("Mul", [d, emit("Pow", [s, c(-beta)])]), others])];
};

export const scalingRules: Rules = { LpNormalization: lpNorm, LRN: localResponse };
