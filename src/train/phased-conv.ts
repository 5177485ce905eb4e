/**
 * A convolution in front of max pooling whose windows lie side by side, as one for each place of the windows, with strides as
 * long as they are, or as one whose outputs are all places: what pooling would have to sort out is made apart. The gradient of
 * its input would be one with strides, which engines are slow at, so it pays where nobody needs that, as behind an image.
 */
import type { Node } from "../ir/model.ts";
import { elementCount as product } from "../numeric/dtypes.ts";
import { groupOf, taps, type Windows, windowsOf } from "./rules/windows.ts";
import type { Writer } from "./writer.ts";

/** Largest number of elements a kernel may see, and of places a window may have. */
const MAX_SEEN = 75;
const MAX_PLACES = 4;

/** A convolution, how its windows move and the shape of its weight. */
export interface Phased {
  readonly node: Node;
  readonly windows: Windows;
  readonly shape: readonly number[];
}

/** The node as a convolution that can make the places of windows of `kernel` apart, and does so faster; else undefined. */
export function phasedConv(writer: Writer, node: Node, kernel: readonly number[]): Phased | undefined {
  if (node.op !== "Conv" || node.domain !== "") return undefined;
  const shape = writer.shape(node.inputs[1]!);
  if (shape === undefined || product(shape.slice(1)) > MAX_SEEN || product(kernel) > MAX_PLACES) return undefined;
  return { node, windows: windowsOf(node, shape.slice(2), writer), shape };
}

/** To lay out an element for the product of a convolution costs the engine as much as to multiply it with this many. */
const LAYING_OUT = 16;

/** Whether one convolution with kernels so large that each place has a copy in them is faster than one for each place. */
function togetherPays({ node, windows, shape }: Phased, kernel: readonly number[]): boolean {
  if (groupOf(node) !== 1 || windows.dilations.some((dilation) => dilation !== 1)) return false;
  const places = product(kernel);
  const [own, large] = [product(windows.kernel), product(largeKernel(windows, kernel))];
  return shape[0]! * places * (large - own) < LAYING_OUT * (places * own - large);
}

const largeKernel = (windows: Windows, kernel: readonly number[]): readonly number[] =>
  windows.kernel.map((length, axis) => length + windows.strides[axis]! * (kernel[axis]! - 1));

/** What the convolution makes, one value for each place of the windows of `kernel`, last axis fastest. */
export const phases = (writer: Writer, conv: Phased, kernel: readonly number[]): readonly string[] =>
  togetherPays(conv, kernel) ? together(writer, conv, kernel) : apart(writer, conv, kernel);

const longStrides = ({ strides }: Windows, kernel: readonly number[]): readonly number[] =>
  strides.map((stride, axis) => stride * kernel[axis]!);

/** Each place is a block of channels. */
function together(writer: Writer, { node, windows, shape }: Phased, kernel: readonly number[]): readonly string[] {
  const { emit, ints } = writer;
  const [x = "", weight = "", bias = ""] = node.inputs;
  const places = taps(kernel);
  const kernels = places.map((place) => {
    const before = place.map((at, axis) => at * windows.strides[axis]!);
    const after = place.map((at, axis) => (kernel[axis]! - 1 - at) * windows.strides[axis]!);
    return emit("Pad", [weight, ints([0, 0, ...before, 0, 0, ...after])]);
  });
  const copies = places.map(() => bias);
  const biases = bias === "" ? [] : [emit("Concat", copies, { axis: 0 })];
  const attributes = { strides: longStrides(windows, kernel), pads: [...windows.begins, ...windows.ends] };
  const all = emit("Conv", [x, emit("Concat", kernels, { axis: 0 }), ...biases], attributes);
  return writer.emitMany("Split", [all, ints(places.map(() => shape[0]!))], places.length, { axis: 1 });
}

function apart(writer: Writer, { node, windows }: Phased, kernel: readonly number[]): readonly string[] {
  const [x = "", ...weights] = node.inputs;
  const { dilations } = windows;
  return taps(kernel).map((place) => {
    const begins = windows.begins.map((pad, axis) => pad - place[axis]! * windows.strides[axis]!);
    const ends = windows.ends.map((pad, axis) => pad - (kernel[axis]! - 1 - place[axis]!) * windows.strides[axis]!);
    const pads = [...begins, ...ends].map((pad) => Math.max(0, pad));
    const attributes = { strides: longStrides(windows, kernel), dilations, pads, group: groupOf(node) };
    return writer.emit("Conv", [cutFront(writer, x, begins), ...weights], attributes);
  });
}

/** `x` without what negative pads cut off. */
function cutFront({ emit, ints }: Writer, x: string, begins: readonly number[]): string {
  if (begins.every((pad) => pad >= 0)) return x;
  const starts = ints(begins.map((pad) => Math.max(0, -pad)));
  const [all, axes] = [begins.map(() => Number.MAX_SAFE_INTEGER), begins.map((_, axis) => axis + 2)];
  return emit("Slice", [x, starts, ints(all), ints(axes)]);
}
