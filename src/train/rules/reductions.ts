/** Sums and means over axes, and what is normalized by them. `d` is the gradient of the output. */
import { floatAttribute, intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { countRatio, expandLike, reshapeLike, reshapeTo, unbroadcast } from "../forms.ts";
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

/** x - mean and 1 / sqrt(variance + epsilon) of the rows of a matrix. */
function rowStatistics(node: Node, context: RuleContext, rows: string, mean: (value: string) => string) {
  const { emit, scalar } = context;
  const centered = emit("Sub", [rows, mean(rows)]);
  const variance = mean(emit("Mul", [centered, centered]));
  const dtype = context.dtype(node.inputs[0]!);
  const deviation = emit("Sqrt", [
    emit("Add", [variance, scalar(Math.fround(floatAttribute(node, "epsilon", 1e-5)), dtype)]),
  ]);
  return { normal: emit("Div", [centered, deviation]), deviation };
}

/** Ba, Kiros and Hinton, arXiv:1607.06450; the axes from `axis` on are one row, whose statistics are computed again. */
const layerNorm: Rule = (node, context) => {
  const { emit, ints } = context;
  if (context.gradient(1) ?? context.gradient(2)) context.refuse("only its first output can have a gradient");
  const d = incoming(context);
  const [x = "", scale = "", bias = ""] = node.inputs;
  const flat = (value: string) => emit("Flatten", [value], { axis: intAttribute(node, "axis", -1) });
  const rows = flat(x);
  const weighted = flat(emit("Mul", [d, scale]));
  const count = countRatio(context, rows, emit("ReduceSum", [rows, ints([1])], { keepdims: 1 }), context.dtype(x));
  const mean = (value: string) => emit("Div", [emit("ReduceSum", [value, ints([1])], { keepdims: 1 }), count]);
  const { normal, deviation } = rowStatistics(node, context, rows, mean);
  const along = emit("Mul", [normal, mean(emit("Mul", [weighted, normal]))]);
  const inner = emit("Sub", [emit("Sub", [weighted, mean(weighted)]), along]);
  return [
    context.wants(0) ? reshapeLike(context, emit("Div", [inner, deviation]), x) : undefined,
    context.wants(1)
      ? unbroadcast(context, emit("Mul", [d, reshapeLike(context, normal, x)]), scale, node.outputs[0]!)
      : undefined,
    context.wants(2) ? unbroadcast(context, d, bias, node.outputs[0]!) : undefined,
  ];
};

/** Channel vectors as [C, 1, ...], which is broadcast over samples and positions of `x`. */
function channelShape({ emit, ints }: RuleContext, x: string): string {
  const rank = emit("Shape", [emit("Shape", [x])]);
  return emit("Concat", [ints([-1]), emit("Expand", [ints([1]), emit("Sub", [rank, ints([2])])])], { axis: 0 });
}

/** Ioffe and Szegedy, arXiv:1502.03167, at inference: mean and variance are inputs like any other. */
const batchNorm: Rule = (node, context) => {
  if (intAttribute(node, "training_mode", 0) !== 0) context.refuse("training_mode 1 has no rule; decompose it");
  const { emit, scalar } = context;
  const [d, x, y] = [incoming(context), node.inputs[0]!, node.outputs[0]!];
  const dtype = context.dtype(x);
  const shape = channelShape(context, x);
  const [scale, , mean, variance] = node.inputs.slice(1).map((name) => emit("Reshape", [name, shape])) as string[];
  const epsilon = scalar(Math.fround(floatAttribute(node, "epsilon", 1e-5)), dtype);
  const deviation = emit("Sqrt", [emit("Add", [variance!, epsilon])]);
  const normal = emit("Div", [emit("Sub", [x, mean!]), deviation]);
  const forX = emit("Div", [emit("Mul", [d, scale!]), deviation]);
  const forVariance = () => emit("Div", [emit("Mul", [emit("Mul", [forX, normal]), scalar(-0.5, dtype)]), deviation]);
  const channels = (value: string, index: number) =>
    reshapeTo(context, unbroadcast(context, value, scale!, y), emit("Shape", [node.inputs[index]!]));
  const parts = [() => emit("Mul", [d, normal]), () => d, () => emit("Neg", [forX]), forVariance];
  return [forX, ...parts.map((part, at) => (context.wants(at + 1) ? channels(part(), at + 1) : undefined))];
};

/** Without axes all are summed, or none where `noop_with_empty_axes` says so; both are one Expand. */
const sum: Rule = (node, context) => [spread(node, context)];

export const reductionRules: Rules = {
  ReduceSum: sum,
  ReduceMean: mean,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  LayerNormalization: layerNorm,
  BatchNormalization: batchNorm,
};
