/**
 * A convolution in front of max pooling whose windows lie side by side, as one for each place of the windows, with strides as
 * long as they are: what pooling would have to sort out is made apart. The gradient of its input would be one with strides,
 * which engines are slow at, so it pays where nobody needs that, as behind an image.
 */
import type { Node } from "../ir/model.ts";
import { elementCount as product } from "../numeric/dtypes.ts";
import { groupOf, taps, type Windows, windowsOf } from "./rules/windows.ts";
import type { Writer } from "./writer.ts";

/** Largest number of elements a kernel may see, and of places a window may have. */
const MAX_SEEN = 75;
const MAX_PLACES = 4;

/** A convolution and how its windows move. */
export interface Phased {
  readonly node: Node;
  readonly windows: Windows;
}

/** The node as a convolution that can make the places of windows of `kernel` apart, and does so faster; else undefined. */
export function phasedConv(writer: Writer, node: Node, kernel: readonly number[]): Phased | undefined {
  if (node.op !== "Conv" || node.domain !== "") return undefined;
  const shape = writer.shape(node.inputs[1]!);
  if (shape === undefined || product(shape.slice(1)) > MAX_SEEN || product(kernel) > MAX_PLACES) return undefined;
  return { node, windows: windowsOf(node, shape.slice(2), writer) };
}

/** What the convolution makes, one value for each place of the windows of `kernel`, last axis fastest. */
export function phases(writer: Writer, { node, windows }: Phased, kernel: readonly number[]): readonly string[] {
  const [x = "", ...weights] = node.inputs;
  const strides = windows.strides.map((stride, axis) => stride * kernel[axis]!);
  const { dilations } = windows;
  return taps(kernel).map((place) => {
    const begins = windows.begins.map((pad, axis) => pad - place[axis]! * windows.strides[axis]!);
    const ends = windows.ends.map((pad, axis) => pad - (kernel[axis]! - 1 - place[axis]!) * windows.strides[axis]!);
    const pads = [...begins, ...ends].map((pad) => Math.max(0, pad));
    return writer.emit("Conv", [cutFront(writer, x, begins), ...weights], {
      strides,
      dilations,
      pads,
      group: groupOf(node),
    });
  });
}

/** `x` without what negative pads cut off. */
function cutFront({ emit, ints }: Writer, x: string, begins: readonly number[]): string {
  if (begins.every((pad) => pad >= 0)) return x;
  const starts = ints(begins.map((pad) => Math.max(0, -pad)));
  const [all, axes] = [begins.map(() => Number.MAX_SAFE_INTEGER), begins.map((_, axis) => axis + 2)];
  return emit("Slice", [x, starts, ints(all), ints(axes)]);
}
