/** Convolution and transposed convolution over any number of positions axes. `d` is the gradient of the output. */
import { intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { elementCount as product } from "../../numeric/dtypes.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import {
  fixedPositions,
  groupOf,
  halves,
  padded,
  reachOf,
  slide,
  spreadWindows,
  tapSlices,
  type Windows,
  windowsOf,
} from "./windows.ts";

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

/** Where kernels have this many times as many outputs as inputs, few inputs at that, laying out what they see is what costs. */
const WIDENING = 2;
const FEW_INPUTS = 32;

const widens = ([outputs, inputs, rows]: readonly number[]): boolean =>
  outputs! >= WIDENING * inputs! && inputs! <= FEW_INPUTS && rows! > 1;

/** The convolution of `d` with a turned kernel, each of its rows apart, moved to where it belongs and added up. */
function rowByRow(
  { emit, ints }: RuleContext,
  d: string,
  kernel: string,
  shape: readonly number[],
  windows: { readonly dilations: readonly number[]; readonly pads: readonly number[] },
) {
  const [outputs, inputs, rows, ...rest] = shape as readonly [number, number, number, ...number[]];
  const apart = emit("Transpose", [kernel], { perm: [2, 0, 1, ...rest.map((_, axis) => axis + 3)] });
  const all = emit("Conv", [d, emit("Reshape", [apart, ints([rows * inputs, outputs, 1, ...rest])])], windows);
  const slices = Array.from({ length: rows }, (_, row) => {
    const [before, after] = [row, rows - 1 - row].map((count) => count * windows.dilations[0]!) as [number, number];
    const ends = ints([(row + 1) * inputs, after === 0 ? Number.MAX_SAFE_INTEGER : -after]);
    return emit("Slice", [all, ints([row * inputs, before]), ends, ints([1, 2])]);
  });
  return emit("Sum", slices);
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
  const group = groupOf(node);
  const { dilations, strides, begins, ends } = windows;
  const reach = [...reachOf(windows), ...reachOf(windows)];
  const pads = [...begins, ...ends].map((pad, at) => reach[at]! - pad);
  if (strides.some((stride) => stride !== 1) || pads.some((pad) => pad < 0))
    return spreadWindows(context, d, weight, x, windows, group);
  const kernel = turned(context, weight, shape, group);
  if (group === 1 && widens(shape)) return rowByRow(context, d, kernel, shape, { dilations, pads });
  return context.emit("Conv", [d, kernel], { dilations, pads, group });
}

/**
 * Filters of one channel each, where all lengths are known: every channel of every sample is convolved with its own `d` as
 * the kernel, strides and dilations swapped. What strides leave over at the ends makes rows that no tap has; they are cut.
 * Three times as fast as the product with the columns; but the number of groups is an attribute, so the batch must be known.
 */
function depthwiseGradient(
  context: RuleContext,
  x: string,
  d: string,
  shape: readonly number[],
  windows: Windows,
): string | undefined {
  const { emit, ints } = context;
  const [from, to] = [context.shape(x), context.shape(d)];
  if (from === undefined || to === undefined) return undefined;
  const { begins, ends, strides, dilations } = windows;
  const [samples, channels] = [from[0]!, from[1]!];
  const alone = emit("Reshape", [x, ints([1, samples * channels, ...from.slice(2)])]);
  const kernels = emit("Reshape", [d, ints([samples * shape[0]!, 1, ...to.slice(2)])]);
  const attributes = { group: samples * channels, pads: [...begins, ...ends], strides: dilations, dilations: strides };
  const axes = begins.map((_, axis) => axis + 2);
  const whole = emit("Conv", [alone, kernels], attributes);
  const cut = emit("Slice", [whole, ints(axes.map(() => 0)), ints(shape.slice(2)), ints(axes)]);
  return emit("ReduceSum", [emit("Reshape", [cut, ints([samples, ...shape])]), ints([0])], { keepdims: 0 });
}

/** One filter for each channel: each tap is a product summed over samples and positions, without laying out columns. */
function tapGradient(context: RuleContext, x: string, d: string, shape: readonly number[], windows: Windows): string {
  const { emit, ints } = context;
  const axes = ints([0, ...windows.begins.map((_, axis) => axis + 2)]);
  const sums = tapSlices(context, x, d, windows).map((slice) => {
    const sum = emit("ReduceSum", [emit("Mul", [slice, d]), axes], { keepdims: 0 });
    return emit("Reshape", [sum, ints([-1, 1])]);
  });
  return emit("Reshape", [emit("Concat", sums, { axis: 1 }), ints(shape)]);
}

/** What the taps of the last axis see, beside each other: [N, C, taps, ...positions of `x` with pads but the last of `d`]. */
function neighbours(context: RuleContext, x: string, d: string, windows: Windows): string {
  const { emit, ints } = context;
  const last = windows.kernel.length - 1;
  const slices = slide(context, padded(context, x, windows), d, windows, { from: last, first: last + 2 });
  const stacked = slices.map((slice) => emit("Unsqueeze", [slice, ints([2])]));
  return stacked.length === 1 ? stacked[0]! : emit("Concat", stacked, { axis: 2 });
}

/**
 * For each tap of the leading axes the product of what the taps of the last axis see with `d`, summed over the samples. The
 * side with more rows stands left, since the engine packs the right one; whole columns would be copied twice.
 */
function columnGradient(
  context: RuleContext,
  x: string,
  d: string,
  shape: readonly number[],
  windows: Windows,
  group: number,
): string {
  const { emit, ints } = context;
  const [outputs, channels, ...kernel] = [shape[0]! / group, shape[1]!, ...shape.slice(2)];
  const [last, seen] = [kernel.length - 1, neighbours(context, x, d, windows)];
  const width = kernel[last]!;
  const out = emit("Transpose", [emit("Reshape", [d, ints([0, group, outputs, -1])])], { perm: [0, 1, 3, 2] });
  const sums = slide(context, seen, d, windows, { from: 0, to: last, first: 3 }).map((rows) => {
    const product = emit("MatMul", [emit("Reshape", [rows, ints([0, group, channels * width, -1])]), out]);
    return emit("ReduceSum", [product, ints([0])], { keepdims: 1 });
  });
  const all = sums.length === 1 ? sums[0]! : emit("Concat", sums, { axis: 0 });
  const apart = emit("Reshape", [all, ints([sums.length, group, channels, width, outputs])]);
  return emit("Reshape", [emit("Transpose", [apart], { perm: [1, 4, 2, 0, 3] }), ints(shape)]);
}

/**
 * Columns of one sample of at most this many elements stay near enough to be worth it. Larger ones cost more to write and to
 * read than the rows of kernels save, unless a sample has few rows of them, as behind an image.
 */
const MAX_COLUMNS = 100_000;
const FEW_ROWS = 75;
/** Taps that are laid out: the convolution that does it has as many ones and zeros as their square for each channel. */
const FEW_TAPS = 75;

/** Whether whole columns are laid out. */
function columnsPay(context: RuleContext, d: string, shape: readonly number[], group: number): boolean {
  const taps = product(shape.slice(2));
  if (taps === 1 || taps > FEW_TAPS) return false;
  const [rows, lengths] = [product(shape.slice(1)) * group, fixedPositions(context, d)];
  return rows <= FEW_ROWS || (lengths !== undefined && rows * product(lengths) <= MAX_COLUMNS);
}

/**
 * What each tap sees of each channel: [N, C * taps, ...positions of `d`]. A convolution with kernels of a single one copies
 * it, on all threads and several times as fast as slices do.
 */
function columns({ emit, ints, scalar, dtype }: RuleContext, x: string, channels: number, windows: Windows): string {
  const { kernel, strides, dilations, begins, ends } = windows;
  const taps = product(kernel);
  const eye = emit("EyeLike", [emit("Expand", [scalar(0, dtype(x)), ints([taps, taps])])]);
  const all = emit("Expand", [emit("Reshape", [eye, ints([1, taps, ...kernel])]), ints([channels, taps, ...kernel])]);
  const attributes = { group: channels, strides, dilations, pads: [...begins, ...ends] };
  return emit("Conv", [x, emit("Reshape", [all, ints([channels * taps, 1, ...kernel])])], attributes);
}

/** The product of whole columns with `d`, summed over the samples; the side with more rows stands left. */
function wholeColumnGradient(
  context: RuleContext,
  x: string,
  d: string,
  shape: readonly number[],
  windows: Windows,
  group: number,
): string {
  const { emit, ints } = context;
  const [outputs, seen] = [shape[0]! / group, product(shape.slice(1))];
  const rows = (value: string, count: number) => emit("Reshape", [value, ints([0, group, count, -1])]);
  const flipped = (value: string, perm: readonly number[]) => emit("Transpose", [value], { perm });
  const [left, right] = [rows(d, outputs), rows(columns(context, x, shape[1]! * group, windows), seen)];
  const [a, b] = outputs > seen ? [left, right] : [right, left];
  const sum = emit("ReduceSum", [emit("MatMul", [a, flipped(b, [0, 1, 3, 2])]), ints([0])], { keepdims: 0 });
  return emit("Reshape", [outputs > seen ? sum : flipped(sum, [0, 2, 1]), ints(shape)]);
}

/** Gradient of the weight of a convolution from `x` to what `d` is the gradient of. */
function weightGradient(
  context: RuleContext,
  x: string,
  d: string,
  shape: readonly number[],
  windows: Windows,
  group: number,
): string {
  const single = shape[1] === 1 && group > 1;
  const depthwise = single ? depthwiseGradient(context, x, d, shape, windows) : undefined;
  if (depthwise !== undefined) return depthwise;
  if (single && group === shape[0]) return tapGradient(context, x, d, shape, windows);
  if (columnsPay(context, d, shape, group)) return wholeColumnGradient(context, x, d, shape, windows, group);
  return columnGradient(context, x, d, shape, windows, group);
}

/** Sum over everything but the channels. */
function channelSum(context: RuleContext, d: string): string {
  const { emit, ints } = context;
  const axes = Array.from({ length: context.rank(d) }, (_, axis) => axis).filter((axis) => axis !== 1);
  return emit("ReduceSum", [d, ints(axes)], { keepdims: 0 });
}

const weightShape = (node: Node, context: RuleContext): readonly number[] =>
  context.shape(node.inputs[1]!) ??
  context.refuse(`the shape of its weight "${node.inputs[1]}" is not known; declare it`);

const conv: Rule = (node, context) => {
  const d = incoming(context);
  const shape = weightShape(node, context);
  const windows = windowsOf(node, shape.slice(2), context);
  return [
    context.wants(0) ? inputGradient(context, node, d, shape, windows) : undefined,
    context.wants(1) ? weightGradient(context, node.inputs[0]!, d, shape, windows, groupOf(node)) : undefined,
    context.wants(2) ? channelSum(context, d) : undefined,
  ];
};

/** Pads that follow from the lengths of the output: those asked for, or length * stride for auto_pad (ONNX operator ConvTranspose). */
function transposedPads(node: Node, context: RuleContext, step: Windows): Windows {
  const auto = stringAttribute(node, "auto_pad", "NOTSET");
  const asked = intsAttribute(node, "output_shape");
  if (asked === undefined && !auto.startsWith("SAME")) return step;
  const lengths = fixedPositions(context, node.inputs[0]!);
  const filled = intsAttribute(node, "output_padding");
  const totals = reachOf(step).map((reach, axis) => {
    const stride = step.strides[axis]!;
    const over = reach + 1 + (filled?.[axis] ?? 0) - stride;
    if (asked === undefined) return Math.max(0, over);
    const length =
      lengths?.[axis] ?? context.refuse(`output_shape needs the lengths of "${node.inputs[0]}"; declare them`);
    return Math.max(0, over + length * stride - asked[axis]!);
  });
  return { ...step, ...halves(totals, auto !== "SAME_UPPER") };
}

/** The way back of a transposed convolution is a convolution with the same kernel; `d` and `x` swap roles for the weight. */
const convTranspose: Rule = (node, context) => {
  const { emit } = context;
  const d = incoming(context);
  const [x = "", weight = ""] = node.inputs;
  const shape = weightShape(node, context);
  const plain = { ...node, attributes: { ...node.attributes } };
  delete plain.attributes.auto_pad;
  const windows = transposedPads(node, context, windowsOf(plain, shape.slice(2), context));
  const { strides, dilations, begins, ends } = windows;
  const filled = intsAttribute(node, "output_padding") ?? [];
  if (filled.some((count, axis) => count >= strides[axis]!))
    context.refuse(`output_padding [${filled}] of a stride or more has no rule; strides are [${strides}]`);
  const group = groupOf(node);
  return [
    context.wants(0) ? emit("Conv", [d, weight], { strides, dilations, pads: [...begins, ...ends], group }) : undefined,
    context.wants(1) ? weightGradient(context, d, x, shape, windows, group) : undefined,
    context.wants(2) ? channelSum(context, d) : undefined,
  ];
};

export const convolutionRules: Rules = { Conv: conv, ConvTranspose: convTranspose };
