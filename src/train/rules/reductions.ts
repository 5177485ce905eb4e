/** Sums and means over axes, and softmax. `d` is the gradient of the output. */
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { countRatio, expandLike } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** The axes of a reduction, an input or before operator set 18 an attribute; undefined = all of them, or none. */
export function axesOf(node: Node, { ints, shape }: RuleContext): string | undefined {
  const listed = intsAttribute(node, "axes");
  if (listed !== undefined) return listed.length === 0 ? undefined : ints(listed);
  const name = node.inputs[1] ?? "";
  return name === "" || shape(name)?.[0] === 0 ? undefined : name;
}

/** A value of the output's shape with the reduced axes put back, so that it can be broadcast to the input's shape. */
export function unreduced(node: Node, context: RuleContext, value: string): string {
  const axes = axesOf(node, context);
  const keeps = intAttribute(node, "keepdims", 1) !== 0 || axes === undefined;
  return keeps ? value : context.emit("Unsqueeze", [value, axes]);
}

/** `d` repeated along the axes that were summed. */
const spread = (node: Node, context: RuleContext): string =>
  expandLike(context, unreduced(node, context, incoming(context)), node.inputs[0]!);

const mean: Rule = (node, context) => {
  const x = node.inputs[0]!;
  return [context.emit("Div", [spread(node, context), countRatio(context, x, node.outputs[0]!, context.dtype(x))])];
};

/** y * (d - sum(d * y)) */
const softmax: Rule = (node, context) => {
  const { emit, ints } = context;
  const [d, y] = [incoming(context), node.outputs[0]!];
  const axes = ints([intAttribute(node, "axis", -1)]);
  const along = emit("ReduceSum", [emit("Mul", [d, y]), axes], { keepdims: 1 });
  return [emit("Mul", [y, emit("Sub", [d, along])])];
};

/** d - exp(y) * sum(d) */
const logSoftmax: Rule = (node, context) => {
  const { emit, ints } = context;
  const d = incoming(context);
  const sum = emit("ReduceSum", [d, ints([intAttribute(node, "axis", -1)])], { keepdims: 1 });
  return [emit("Sub", [d, emit("Mul", [emit("Exp", [node.outputs[0]!]), sum])])];
};

/** Without axes all are summed, or none where `noop_with_empty_axes` says so; both are one Expand. */
const sum: Rule = (node, context) => [spread(node, context)];

export const reductionRules: Rules = {
  ReduceSum: sum,
  ReduceMean: mean,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
};
