/**
 * Max pooling whose windows lie side by side and cover everything: each element is in one window, so the gradient is sorted
 * out instead of added up, one axis after the other. On the CPU three times as fast as with the positions the engine finds,
 * which it does not vectorize.
 */
import type { Node } from "../../ir/model.ts";
import type { RuleContext } from "../rule.ts";
import { fixedShape } from "../shapes/lengths.ts";
import type { Writer } from "../writer.ts";
import { windowsOf } from "./windows.ts";

/** Each element along an axis of a window costs a few nodes. */
const MAX_LENGTH = 64;

/** Shape of a value that is cut, but for its samples: channels, then positions. */
type Lengths = readonly number[];

/**
 * Shape of what a node pools, without its samples, where it is known and windows that neither overlap nor leave gaps cover
 * all of it.
 */
export function tiledShape(context: RuleContext, node: Node, kernel: readonly number[]): Lengths | undefined {
  const shape = fixedShape(context.dims(node.inputs[0]!)?.slice(1));
  if (shape === undefined || kernel.some((length) => length > MAX_LENGTH)) return undefined;
  const { strides, dilations, begins, ends } = windowsOf(node, kernel, context);
  const sideBySide = kernel.every((length, axis) => length === strides[axis] && dilations[axis] === 1);
  const whole = kernel.every((length, axis) => shape[axis + 1]! % length === 0);
  return sideBySide && whole && [...begins, ...ends].every((pad) => pad === 0) ? shape : undefined;
}

/** One axis cut into windows of `size`; `axis` counts the samples as axis 0. */
interface Cut {
  readonly shape: Lengths;
  readonly axis: number;
  readonly size: number;
}

/** One cut for each axis of the windows, last axis first; each finds the axes behind it shortened. */
const cutsOf = (shape: Lengths, kernel: Lengths): readonly Cut[] =>
  kernel
    .map((size, at) => ({
      shape: shape.map((length, axis) => (axis > at + 1 ? length / kernel[axis - 1]! : length)),
      axis: at + 2,
      size,
    }))
    .reverse();

/** Reshape; the number of samples stays. */
const shaped = ({ emit, ints }: Writer, value: string, shape: Lengths): string =>
  emit("Reshape", [value, ints([0, ...shape])]);

/** The elements of each window by their place in it. */
function cut(context: Writer, value: string, { shape, axis, size }: Cut): readonly string[] {
  const [before, length, after] = [shape.slice(0, axis - 1), shape[axis - 1]! / size, shape.slice(axis)];
  const windows = shaped(context, value, [...before, length, size, ...after]);
  const sizes = context.ints(Array.from({ length: size }, () => 1));
  const parts = context.emitMany("Split", [windows, sizes], size, { axis: axis + 1 });
  return parts.map((part) => shaped(context, part, [...before, length, ...after]));
}

/** The inverse of `cut`. */
function join(context: Writer, parts: readonly string[], { shape, axis }: Cut): string {
  const { emit, ints } = context;
  const columns = parts.map((part) => emit("Unsqueeze", [part, ints([axis + 1])]));
  return shaped(context, emit("Concat", columns, { axis: axis + 1 }), shape);
}

/** The gradient of each place of a window: the first one that is as large as the `largest` takes all. */
function shares({ emit }: Writer, places: readonly string[], largest: string, d: string, zero: string) {
  const found: string[] = [];
  let rest = d;
  for (const place of places.slice(0, -1)) {
    const share = emit("Where", [emit("Equal", [place, largest]), rest, zero]);
    found.push(share);
    rest = emit("Sub", [rest, share]);
  }
  return [...found, rest];
}

/**
 * Gradient of `x` from the gradient `d` of its largest elements `y`; `shape` as `tiledShape` gives it. Rows are searched
 * before columns of rows, so of equal elements the first in memory wins.
 */
export function spreadTiles(context: Writer, x: string, y: string, d: string, shape: Lengths, kernel: Lengths): string {
  const cuts = cutsOf(shape, kernel).filter(({ size }) => size > 1);
  let [value, gradient] = [x, d];
  const stages = cuts.map((where, at) => {
    const places = cut(context, value, where);
    value = at === cuts.length - 1 ? y : context.emit("Max", places);
    return { where, places, largest: value };
  });
  const zero = context.scalar(0, context.dtype(x));
  for (const { where, places, largest } of stages.reverse())
    gradient = join(context, shares(context, places, largest, gradient, zero), where);
  return gradient;
}
