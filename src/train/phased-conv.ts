/**
 * A convolution in front of max pooling whose windows lie side by side, as one whose outputs are the places of the windows:
 * strides as long as the windows, and for each place a copy of the kernel where that place sees. What pooling would have to
 * sort out lies apart then, each place a block of channels. The copies stand in larger kernels, so it pays where a kernel
 * sees few elements, as behind an image.
 */
import type { Node } from "../ir/model.ts";
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

const product = (lengths: readonly number[]): number => lengths.reduce((all, length) => all * length, 1);

/** The node as a convolution that can make the places of windows of `kernel` apart, and does so faster; else undefined. */
export function phasedConv(writer: Writer, node: Node, kernel: readonly number[]): Phased | undefined {
  if (node.op !== "Conv" || node.domain !== "" || groupOf(node) !== 1) return undefined;
  const shape = writer.shape(node.inputs[1]!);
  if (shape === undefined || product(shape.slice(1)) > MAX_SEEN || product(kernel) > MAX_PLACES) return undefined;
  const windows = windowsOf(node, shape.slice(2), writer);
  return windows.dilations.every((dilation) => dilation === 1) ? { node, windows, shape } : undefined;
}

/** What the convolution makes, one value for each place of the windows of `kernel`, last axis fastest. */
export function phases(writer: Writer, { node, windows, shape }: Phased, kernel: readonly number[]): readonly string[] {
  const { emit, ints } = writer;
  const [x = "", weight = "", bias = ""] = node.inputs;
  const places = taps(kernel);
  const kernels = places.map((place) => {
    const before = place.map((at, axis) => at * windows.strides[axis]!);
    const after = place.map((at, axis) => (kernel[axis]! - 1 - at) * windows.strides[axis]!);
    return emit("Pad", [weight, ints([0, 0, ...before, 0, 0, ...after])]);
  });
  const biases =
    bias === ""
      ? []
      : [
          emit(
            "Concat",
            places.map(() => bias),
            { axis: 0 },
          ),
        ];
  const all = emit("Conv", [x, emit("Concat", kernels, { axis: 0 }), ...biases], {
    strides: windows.strides.map((stride, axis) => stride * kernel[axis]!),
    pads: [...windows.begins, ...windows.ends],
  });
  return writer.emitMany("Split", [all, ints(places.map(() => shape[0]!))], places.length, { axis: 1 });
}
