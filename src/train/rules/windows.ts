/** How windows move over positions, what they see and how it is spread back: shared by convolutions and pools. */
import { intAttribute, intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { fixedShape } from "../shapes/lengths.ts";
import type { Writer } from "../writer.ts";

/** How a window moves; one entry for each positions axis, pads at the begins and then at the ends. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

/** A kernel of more taps than this would make a graph of as many nodes. */
const MAX_TAPS = 4096;

/** Distance from the first to the last element of a window. */
export const reachOf = ({ kernel, dilations }: Omit<Windows, "begins" | "ends">): readonly number[] =>
  kernel.map((length, axis) => dilations[axis]! * (length - 1));

/** Lengths of the positions axes of a value, where they are known when the graph is built. */
export const fixedPositions = (context: Writer, value: string): readonly number[] | undefined =>
  fixedShape(context.dims(value)?.slice(2));

/** The larger half of what is padded goes to the ends, or to the begins for SAME_LOWER (ONNX operator Conv). */
export function halves(totals: readonly number[], largerFirst: boolean) {
  const [small, large] = [totals.map((total) => Math.floor(total / 2)), totals.map((total) => Math.ceil(total / 2))];
  return largerFirst ? { begins: large, ends: small } : { begins: small, ends: large };
}

/** Pads that make as many windows as ceil(length / stride). */
function samePads(node: Node, context: Writer, step: Omit<Windows, "begins" | "ends">) {
  const lengths = fixedPositions(context, node.inputs[0]!);
  const totals = reachOf(step).map((reach, axis) => {
    const stride = step.strides[axis]!;
    if (stride === 1) return reach;
    const length =
      lengths?.[axis] ??
      context.refuse(`auto_pad needs the lengths of "${node.inputs[0]}"; declare them or write the pads out`);
    return Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach + 1 - length);
  });
  return halves(totals, stringAttribute(node, "auto_pad", "") === "SAME_LOWER");
}

/** Strides, dilations and pads of a node whose windows are `kernel` long. */
export function windowsOf(node: Node, kernel: readonly number[], context: Writer): Windows {
  if (kernel.reduce((taps, length) => taps * length, 1) > MAX_TAPS)
    context.refuse(`a kernel of [${kernel}] has more than ${MAX_TAPS} taps`);
  const each = (name: string, value: number) => intsAttribute(node, name) ?? kernel.map(() => value);
  const step = { kernel, strides: each("strides", 1), dilations: each("dilations", 1) };
  const auto = stringAttribute(node, "auto_pad", "NOTSET");
  if (auto.startsWith("SAME")) return { ...step, ...samePads(node, context, step) };
  const none = [...kernel, ...kernel].map(() => 0);
  const pads = (auto === "VALID" ? undefined : intsAttribute(node, "pads")) ?? none;
  return { ...step, begins: pads.slice(0, kernel.length), ends: pads.slice(kernel.length) };
}

/** Lengths of the positions axes of a value, as an int64 vector. */
export function positions(context: Writer, value: string): string {
  const { emit, ints } = context;
  const lengths = fixedPositions(context, value);
  return lengths ? ints(lengths) : emit("Slice", [emit("Shape", [value]), ints([2]), ints([Number.MAX_SAFE_INTEGER])]);
}

/**
 * Attributes of a transposed convolution from `d` to just the positions of `x`: what the last window leaves over is filled
 * by output_padding. Undefined where the lengths are open, or where more is left over than the engine fills.
 */
function exactPads(context: Writer, d: string, x: string, windows: Windows) {
  const [from, to] = [fixedPositions(context, d), fixedPositions(context, x)];
  if (from === undefined || to === undefined) return undefined;
  const { strides, begins } = windows;
  const over = reachOf(windows).map(
    (reach, axis) => strides[axis]! * (from[axis]! - 1) + reach + 1 - begins[axis]! - to[axis]!,
  );
  if (over.some((count, axis) => -count >= strides[axis]!)) return undefined;
  const part = (sign: 1 | -1) => over.map((count) => Math.max(0, sign * count));
  return { pads: [...begins, ...part(1)], output_padding: part(-1) };
}

/**
 * Spreads `d` over the elements each window has seen, weighted by the kernel: a transposed convolution, whose result is cut
 * and filled to the positions of `x`.
 */
export function spreadWindows(
  context: Writer,
  d: string,
  kernel: string,
  x: string,
  windows: Windows,
  group: number,
): string {
  const { emit, ints } = context;
  const attributes = { kernel_shape: windows.kernel, strides: windows.strides, dilations: windows.dilations, group };
  const exact = exactPads(context, d, x, windows);
  if (exact !== undefined) return emit("ConvTranspose", [d, kernel], { ...attributes, ...exact });
  const whole = emit("ConvTranspose", [d, kernel], attributes);
  const missing = emit("Sub", [positions(context, x), positions(context, whole)]);
  const after = emit("Add", [missing, ints(windows.begins)]);
  const cut = ints([0, 0, ...windows.begins.map((pad) => 0 - pad)]);
  return emit("Pad", [whole, emit("Concat", [cut, ints([0, 0]), after], { axis: 0 })]);
}

/** All index vectors below `lengths`, last axis fastest. */
export const taps = (lengths: readonly number[]): readonly (readonly number[])[] =>
  lengths.reduce<readonly (readonly number[])[]>(
    (found, length) => found.flatMap((start) => Array.from({ length }, (_, index) => [...start, index])),
    [[]],
  );

/** `x` with the pads of the windows around it. */
export function padded({ emit, ints }: Writer, x: string, { begins, ends }: Windows): string {
  if ([...begins, ...ends].every((pad) => pad === 0)) return x;
  return emit("Pad", [x, ints([0, 0, ...begins, 0, 0, ...ends])]);
}

/** What each tap sees of `x`: one strided slice for each, of the positions of `d`. */
export const tapSlices = (context: Writer, x: string, d: string, windows: Windows): readonly string[] =>
  slide(context, padded(context, x, windows), d, windows, { from: 0, first: 2 });

/** Some positions axes that follow one another: the first and one after the last, and which axis of a value the first is. */
export interface SlideAxes {
  readonly from: number;
  readonly to?: number;
  readonly first: number;
}

/**
 * What the taps see of `value` along some positions axes, one strided slice for each index into these axes of the kernel;
 * they get the lengths of `d`, other axes stay.
 */
export function slide(
  context: Writer,
  value: string,
  d: string,
  windows: Windows,
  along: SlideAxes,
): readonly string[] {
  const { emit, ints } = context;
  const part = (each: readonly number[]) => each.slice(along.from, along.to);
  const [kernel, strides, dilations] = [part(windows.kernel), part(windows.strides), part(windows.dilations)];
  if ([...kernel, ...strides].every((length) => length === 1)) return [value];
  const axes = ints(kernel.map((_, axis) => along.first + axis));
  const end = lastOf(context, d, strides, along);
  return taps(kernel).map((tap) => {
    const start = tap.map((index, axis) => index * dilations[axis]!);
    return emit("Slice", [value, ints(start), end(start), axes, ints(strides)]);
  });
}

/** Where the slice of a tap ends, by where it starts. */
function lastOf(context: Writer, d: string, strides: readonly number[], { from, to }: SlideAxes) {
  const { emit, ints } = context;
  const lengths = fixedPositions(context, d)?.slice(from, to);
  if (lengths !== undefined)
    return (start: readonly number[]) =>
      ints(start.map((first, axis) => first + (lengths[axis]! - 1) * strides[axis]! + 1));
  const [one, last] = [ints([1]), ints([from + strides.length])];
  const own = emit("Slice", [positions(context, d), ints([from]), last]);
  const span = emit("Add", [emit("Mul", [emit("Sub", [own, one]), ints(strides)]), one]);
  return (start: readonly number[]) => emit("Add", [span, ints(start)]);
}

/** The group attribute of a convolution. */
export const groupOf = (node: Node): number => intAttribute(node, "group", 1);
