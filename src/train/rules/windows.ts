/** Convolution and pooling over any number of positions axes. `d` is the gradient of the output. */
import { intAttribute, intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { countRatio, expandLike, reshapeLike } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { scatter } from "./movement.ts";

/** How a window moves; one entry for each positions axis, pads at the begins and then at the ends. */
interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

/** A kernel of more taps than this would make a graph of as many nodes. */
const MAX_TAPS = 4096;

function windowsOf(node: Node, kernel: readonly number[], context: RuleContext): Windows {
  const auto = stringAttribute(node, "auto_pad", "NOTSET");
  if (auto !== "NOTSET" && auto !== "VALID") context.refuse(`auto_pad ${auto} has no rule; write the pads out`);
  if (kernel.reduce((taps, length) => taps * length, 1) > MAX_TAPS)
    context.refuse(`a kernel of [${kernel}] has more than ${MAX_TAPS} taps`);
  const each = (name: string, value: number) => intsAttribute(node, name) ?? kernel.map(() => value);
  const none = [...kernel, ...kernel].map(() => 0);
  const pads = intsAttribute(node, "pads") ?? none;
  const [begins, ends] = [pads.slice(0, kernel.length), pads.slice(kernel.length)];
  return { kernel, strides: each("strides", 1), dilations: each("dilations", 1), begins, ends };
}

/** Lengths of the positions axes of a value, as an int64 vector. */
const positions = ({ emit, ints }: RuleContext, value: string): string =>
  emit("Slice", [emit("Shape", [value]), ints([2]), ints([Number.MAX_SAFE_INTEGER])]);

/**
 * Spreads `d` over the elements each window has seen, weighted by the kernel: a transposed convolution without pads, whose
 * result is cut and filled to the positions of `x`.
 */
function spreadWindows(context: RuleContext, d: string, kernel: string, x: string, windows: Windows, group: number) {
  const { emit, ints } = context;
  const attributes = { kernel_shape: windows.kernel, strides: windows.strides, dilations: windows.dilations, group };
  const whole = emit("ConvTranspose", [d, kernel], attributes);
  const missing = emit("Sub", [positions(context, x), positions(context, whole)]);
  const after = emit("Add", [missing, ints(windows.begins)]);
  const cut = ints([0, 0, ...windows.begins.map((pad) => 0 - pad)]);
  return emit("Pad", [whole, emit("Concat", [cut, ints([0, 0]), after], { axis: 0 })]);
}

/** The kernel of the way back: rows and columns of each group's matrices swapped, taps in reverse order. */
function turned({ emit, ints }: RuleContext, weight: string, shape: readonly number[], group: number): string {
  const [outputs, inputs, ...kernel] = shape as readonly [number, number, ...number[]];
  const axes = kernel.map((_, axis) => axis);
  const grouped = emit("Reshape", [weight, ints([group, outputs / group, inputs, ...kernel])]);
  const swapped = emit("Transpose", [grouped], { perm: [0, 2, 1, ...axes.map((axis) => axis + 3)] });
  const flat = emit("Reshape", [swapped, ints([group * inputs, outputs / group, ...kernel])]);
  const each = (value: number) => ints(kernel.map(() => value));
  return emit("Slice", [flat, each(-1), each(-Number.MAX_SAFE_INTEGER), ints(axes.map((axis) => axis + 2)), each(-1)]);
}

/**
 * Gradient of the input. With strides of 1 a convolution with the turned kernel, which the engine runs faster than the
 * transposed one that serves all other cases.
 */
function inputGradient(
  context: RuleContext,
  node: Node,
  d: string,
  shape: readonly number[],
  windows: Windows,
): string {
  const [x = "", weight = ""] = node.inputs;
  const group = intAttribute(node, "group", 1);
  const { kernel, dilations, strides, begins, ends } = windows;
  const reach = [...kernel, ...kernel].map((length, at) => dilations[at % kernel.length]! * (length - 1));
  const pads = [...begins, ...ends].map((pad, at) => reach[at]! - pad);
  if (strides.some((stride) => stride !== 1) || pads.some((pad) => pad < 0))
    return spreadWindows(context, d, weight, x, windows, group);
  return context.emit("Conv", [d, turned(context, weight, shape, group)], { dilations, pads, group });
}

/** All index vectors below `lengths`, last axis fastest. */
const taps = (lengths: readonly number[]): readonly (readonly number[])[] =>
  lengths.reduce<readonly (readonly number[])[]>(
    (found, length) => found.flatMap((start) => Array.from({ length }, (_, index) => [...start, index])),
    [[]],
  );

/** The elements each window sees, [N, group, C/group * taps, windows]: one strided slice for each tap. */
function columns(context: RuleContext, x: string, d: string, windows: Windows, group: number, channels: number) {
  const { emit, ints } = context;
  const { begins, ends, dilations, strides } = windows;
  const padded = emit("Pad", [x, ints([0, 0, ...begins, 0, 0, ...ends])]);
  const axes = ints(begins.map((_, axis) => axis + 2));
  const one = ints([1]);
  const span = emit("Add", [emit("Mul", [emit("Sub", [positions(context, d), one]), ints(strides)]), one]);
  const slices = taps(windows.kernel).map((tap) => {
    const start = ints(tap.map((index, axis) => index * dilations[axis]!));
    const slice = emit("Slice", [padded, start, emit("Add", [span, start]), axes, ints(strides)]);
    return emit("Reshape", [slice, ints([0, group, channels, 1, -1])]);
  });
  return emit("Reshape", [emit("Concat", slices, { axis: 3 }), ints([0, group, channels * slices.length, -1])]);
}

/** Product of `d` with the columns, summed over the samples; a group is one matrix. */
function weightGradient(context: RuleContext, node: Node, d: string, shape: readonly number[], windows: Windows) {
  const { emit, ints } = context;
  const group = intAttribute(node, "group", 1);
  const seen = columns(context, node.inputs[0]!, d, windows, group, shape[1]!);
  const out = emit("Reshape", [d, ints([0, group, shape[0]! / group, -1])]);
  const product = emit("MatMul", [out, emit("Transpose", [seen], { perm: [0, 1, 3, 2] })]);
  return emit("Reshape", [emit("ReduceSum", [product, ints([0])], { keepdims: 0 }), ints(shape)]);
}

/** Sum over everything but the channels. */
function channelSum({ emit, ints }: RuleContext, d: string): string {
  return emit("ReduceSum", [emit("Reshape", [d, ints([0, 0, -1])]), ints([0, 2])], { keepdims: 0 });
}

const conv: Rule = (node, context) => {
  const d = incoming(context);
  const weight = node.inputs[1]!;
  const shape = context.shape(weight) ?? context.refuse(`the shape of its weight "${weight}" is not known; declare it`);
  const windows = windowsOf(node, shape.slice(2), context);
  return [
    context.wants(0) ? inputGradient(context, node, d, shape, windows) : undefined,
    context.wants(1) ? weightGradient(context, node, d, shape, windows) : undefined,
    context.wants(2) ? channelSum(context, d) : undefined,
  ];
};

/** The engine says which element was largest; the first one where several are equal. */
const maxPool: Rule = (node, context) => {
  if (intAttribute(node, "storage_order", 0) !== 0) context.refuse("storage_order 1 has no rule");
  return [scatter(context, incoming(context), context.output(1), node.inputs[0]!)];
};

/** [N, C, ...] as [N * C, 1, ...]: every channel alone. */
const alone = (context: RuleContext, value: string): string =>
  context.emit("Reshape", [
    value,
    context.emit("Concat", [context.ints([-1, 1]), positions(context, value)], { axis: 0 }),
  ]);

/** How many elements each window of `x` averages; pads count where the node says so. */
function seenCount(context: RuleContext, node: Node, x: string, ones: string, windows: Windows): string {
  const { emit, ints, scalar } = context;
  const dtype = context.dtype(x);
  if (intAttribute(node, "count_include_pad", 0) !== 0)
    return scalar(
      windows.kernel.reduce((product, length) => product * length, 1),
      dtype,
    );
  const shape = emit("Concat", [ints([1, 1]), positions(context, x)], { axis: 0 });
  const { strides, dilations, begins, ends } = windows;
  const attributes = { strides, dilations, pads: [...begins, ...ends] };
  return emit("Conv", [emit("Expand", [scalar(1, dtype), shape]), ones], attributes);
}

const averagePool: Rule = (node, context) => {
  if (intAttribute(node, "ceil_mode", 0) !== 0) context.refuse("ceil_mode 1 has no rule; write the pads out");
  const { emit, ints, scalar } = context;
  const x = node.inputs[0]!;
  const kernel = intsAttribute(node, "kernel_shape") ?? context.refuse("it has no kernel_shape");
  const windows = windowsOf(node, kernel, context);
  const ones = emit("Expand", [scalar(1, context.dtype(x)), ints([1, 1, ...kernel])]);
  const share = emit("Div", [alone(context, incoming(context)), seenCount(context, node, x, ones, windows)]);
  return [reshapeLike(context, spreadWindows(context, share, ones, alone(context, x), windows, 1), x)];
};

const globalAveragePool: Rule = (node, context) => {
  const x = node.inputs[0]!;
  const share = context.emit("Div", [incoming(context), countRatio(context, x, node.outputs[0]!, context.dtype(x))]);
  return [expandLike(context, share, x)];
};

export const windowRules: Rules = {
  Conv: conv,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
};
