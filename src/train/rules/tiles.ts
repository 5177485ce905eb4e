/**
 * Max pooling whose windows lie side by side and cover everything: each element is in one window, so the gradient is sorted
 * out instead of added up. On the CPU twice as fast as the positions the engine finds, which it does not vectorize.
 */
import type { Node } from "../../ir/model.ts";
import type { RuleContext } from "../rule.ts";
import { fixedShape } from "../shapes/lengths.ts";
import type { Writer } from "../writer.ts";
import { windowsOf } from "./windows.ts";

/** Each element of a window costs three nodes. */
const MAX_ELEMENTS = 64;

/** Shape of a value that is cut, but for its samples: channels, then positions. */
type Lengths = readonly number[];

/**
 * Shape of what a node pools, without its samples, where it is known and windows that neither overlap nor leave gaps cover
 * all of it.
 */
export function tiledShape(context: RuleContext, node: Node, kernel: readonly number[]): Lengths | undefined {
  const shape = fixedShape(context.dims(node.inputs[0]!)?.slice(1));
  const elements = kernel.reduce((product, length) => product * length, 1);
  if (shape === undefined || elements > MAX_ELEMENTS) return undefined;
  const { strides, dilations, begins, ends } = windowsOf(node, kernel, context);
  const sideBySide = kernel.every((length, axis) => length === strides[axis] && dilations[axis] === 1);
  const whole = kernel.every((length, axis) => shape[axis + 1]! % length === 0);
  return sideBySide && whole && [...begins, ...ends].every((pad) => pad === 0) ? shape : undefined;
}

/** Where one axis of all values is cut into windows of `size`; `axis` counts the samples as axis 0. */
interface Cut {
  readonly shape: Lengths;
  readonly axis: number;
  readonly size: number;
}

const count = ({ shape, axis, size }: Cut): number => shape[axis - 1]! / size;

/** Reshape; the number of samples stays. */
const shaped = ({ emit, ints }: Writer, value: string, shape: Lengths): string =>
  emit("Reshape", [value, ints([0, ...shape])]);

/** The elements of each window by their place in it. */
function cut(context: Writer, value: string, where: Cut): readonly string[] {
  const { shape, axis, size } = where;
  const [before, after] = [shape.slice(0, axis - 1), shape.slice(axis)];
  const windows = shaped(context, value, [...before, count(where), size, ...after]);
  const sizes = context.ints(Array.from({ length: size }, () => 1));
  const parts = context.emitMany("Split", [windows, sizes], size, { axis: axis + 1 });
  return parts.map((part) => shaped(context, part, [...before, count(where), ...after]));
}

/** The inverse of `cut`. */
function join(context: Writer, parts: readonly string[], { shape, axis }: Cut): string {
  const { emit, ints } = context;
  const columns = parts.map((part) => emit("Unsqueeze", [part, ints([axis + 1])]));
  return shaped(context, emit("Concat", columns, { axis: axis + 1 }), shape);
}

/** One cut for each positions axis, first axis first; each finds the axes before it shortened. */
const cutsOf = (shape: Lengths, kernel: Lengths): readonly Cut[] =>
  kernel.map((size, at) => ({
    shape: shape.map((length, axis) => (axis > 0 && axis <= at ? length / kernel[axis - 1]! : length)),
    axis: at + 2,
    size,
  }));

/** The gradient of each place of a window: the first one that is as large as the largest, `y`, takes all. */
function shares({ emit, scalar, dtype }: Writer, places: readonly string[], y: string, d: string, x: string) {
  const found: string[] = [];
  let rest = d;
  for (const place of places.slice(0, -1)) {
    const share = emit("Where", [emit("Equal", [place, y]), rest, scalar(0, dtype(x))]);
    found.push(share);
    rest = emit("Sub", [rest, share]);
  }
  return [...found, rest];
}

/** Values in groups of `size`. */
const groups = (values: readonly string[], size: number): readonly (readonly string[])[] =>
  Array.from({ length: values.length / size }, (_, at) => values.slice(at * size, (at + 1) * size));

/** Gradient of `x` from the gradient `d` of its largest elements `y`; `shape` as `tiledShape` gives it. */
export function spreadTiles(context: Writer, x: string, y: string, d: string, shape: Lengths, kernel: Lengths): string {
  const cuts = cutsOf(shape, kernel);
  const places = cuts.reduce<readonly string[]>(
    (values, where) => values.flatMap((value) => cut(context, value, where)),
    [x],
  );
  const joined = cuts.reduceRight<readonly string[]>(
    (values, where) => groups(values, where.size).map((parts) => join(context, parts, where)),
    shares(context, places, y, d, x),
  );
  return joined[0]!;
}
