/** Pooling over any number of positions axes. `d` is the gradient of the output. */
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo, countRatio, expandLike, reshapeLike } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { scatter } from "./movement.ts";
import { positions, spreadWindows, type Windows, windowsOf } from "./windows.ts";

/** The first of the largest elements takes all; the engine says which one that was. */
const maxPool: Rule = (node, context) => {
  if (intAttribute(node, "storage_order", 0) !== 0) context.refuse("storage_order 1 has no rule");
  return [scatter(context, incoming(context), context.output(1), node.inputs[0]!)];
};

/** [N, C, ...] as [N * C, 1, ...]: every channel alone. */
function alone(context: RuleContext, value: string): string {
  const { emit, ints } = context;
  return emit("Reshape", [value, emit("Concat", [ints([-1, 1]), positions(context, value)], { axis: 0 })]);
}

/**
 * How many elements each window averages, one entry for each window of `d`. Pads count where the node says so; what a last
 * window of ceil_mode has beyond them never does. More pads at the ends give windows that `d` does not have; they are cut.
 */
function seenCount(context: RuleContext, node: Node, ones: string, windows: Windows): string {
  const { emit, ints, scalar } = context;
  const x = node.inputs[0]!;
  const { strides, dilations, begins, ends } = windows;
  const counted = intAttribute(node, "count_include_pad", 0) !== 0;
  const pads = [...begins, ...ends];
  const padded = counted && pads.some((pad) => pad !== 0);
  const around = padded ? ints(begins.map((pad, axis) => pad + ends[axis]!)) : undefined;
  const lengths = around ? emit("Add", [positions(context, x), around]) : positions(context, x);
  const shape = emit("Concat", [ints([1, 1]), lengths], { axis: 0 });
  const more = ceils(node) ? strides.map((stride) => stride - 1) : strides.map(() => 0);
  const none = begins.map(() => 0);
  const outside = padded ? [...none, ...more] : [...begins, ...ends.map((pad, axis) => pad + more[axis]!)];
  const board = emit("Expand", [scalar(1, context.dtype(x)), shape]);
  const counts = emit("Conv", [board, ones], { strides, dilations, pads: outside });
  if (!ceils(node)) return counts;
  const axes = ints(begins.map((_, axis) => axis + 2));
  return emit("Slice", [counts, ints(none), positions(context, node.outputs[0]!), axes]);
}

const ceils = (node: Node): boolean => intAttribute(node, "ceil_mode", 0) !== 0;

const averagePool: Rule = (node, context) => {
  const { emit, ints, scalar } = context;
  const x = node.inputs[0]!;
  const kernel = intsAttribute(node, "kernel_shape") ?? context.refuse("it has no kernel_shape");
  const windows = windowsOf(node, kernel, context);
  const ones = emit("Expand", [scalar(1, context.dtype(x)), ints([1, 1, ...kernel])]);
  const share = emit("Div", [alone(context, incoming(context)), seenCount(context, node, ones, windows)]);
  return [reshapeLike(context, spreadWindows(context, share, ones, alone(context, x), windows, 1), x)];
};

const globalAveragePool: Rule = (node, context) => {
  const x = node.inputs[0]!;
  const share = context.emit("Div", [incoming(context), countRatio(context, x, node.outputs[0]!, context.dtype(x))]);
  return [expandLike(context, share, x)];
};

/** Where several elements are equally large they share the gradient. */
const globalMaxPool: Rule = (node, context) => {
  const { emit, ints } = context;
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const largest = castTo(context, emit("Equal", [x, y]), context.dtype(x));
  const axes = ints(Array.from({ length: context.rank(x) - 2 }, (_, axis) => axis + 2));
  const share = emit("Div", [incoming(context), emit("ReduceSum", [largest, axes], { keepdims: 1 })]);
  return [emit("Mul", [largest, share])];
};

export const poolRules: Rules = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
};
