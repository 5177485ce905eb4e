/** Formulations that several rules share; shorter where shapes are known, all of them work for those known only at run time. */
import { ELEMENT_TYPES } from "../containers/onnx/dtypes.ts";
import type { DType } from "../numeric/dtypes.ts";
import { type Dims, product, quotient } from "./shapes/lengths.ts";
import type { Writer } from "./writer.ts";

/** True where two shapes are known to be equal. */
const equal = (a: Dims | undefined, b: Dims | undefined): boolean =>
  a !== undefined && a.length === b?.length && a.every((dim, axis) => dim !== null && dim === b[axis]);

/** The axes of `full` that are 1 or missing in `target`; undefined where that is known only at run time. */
function broadcastAxes(target: Dims | undefined, full: Dims | undefined): readonly number[] | undefined {
  if (target === undefined || full === undefined) return undefined;
  const missing = full.length - target.length;
  const axes: number[] = [];
  for (const [axis, length] of full.entries()) {
    const own = axis < missing ? 1 : target[axis - missing]!;
    if (own === length) continue;
    if (own === 1) axes.push(axis);
    else if (typeof own !== "number") return undefined;
  }
  return axes;
}

/**
 * Sums `value` over the axes along which `target` was broadcast to the shape of `full`, so that the result has the shape of
 * `target` (ONNX Broadcasting.md, multidirectional).
 */
export function unbroadcast(context: Writer, value: string, target: string, full: string): string {
  const [short, long] = [context.dims(target), context.dims(full)];
  const axes = broadcastAxes(short, long);
  if (axes === undefined) return unbroadcastLater(context, value, target);
  const { emit, ints } = context;
  const missing = long!.length - short!.length;
  const summed =
    axes.length === 0 && missing === 0
      ? value
      : emit("ReduceSum", [value, ints(axes)], { keepdims: axes.length === missing ? 0 : 1, noop_with_empty_axes: 1 });
  return missing === 0 || axes.length === missing
    ? summed
    : emit("Squeeze", [summed, ints(Array.from({ length: missing }, (_, axis) => axis))]);
}

/** As `unbroadcast`, for shapes and ranks known only at run time. */
function unbroadcastLater(context: Writer, value: string, target: string): string {
  const { emit, ints } = context;
  const [long, short] = [emit("Shape", [value]), emit("Shape", [target])];
  const missing = emit("Sub", [emit("Shape", [long]), emit("Shape", [short])]);
  const padded = emit("Concat", [emit("Expand", [ints([1]), missing]), short], { axis: 0 });
  const differs = emit("Not", [emit("Equal", [padded, long])]);
  const axes = emit("Reshape", [emit("NonZero", [differs]), ints([-1])]);
  const summed = emit("ReduceSum", [value, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  return reshapeTo(context, summed, short);
}

/** Reshape to a computed shape; a length of 0 is taken as it is. */
export const reshapeTo = ({ emit }: Writer, value: string, shape: string): string =>
  emit("Reshape", [value, shape], { allowzero: 1 });

/** The shape of a value for a Reshape that keeps the number of elements: a constant where one length at most is open. */
function shapeOf(context: Writer, like: string): string {
  const dims = context.dims(like);
  const open = dims?.filter((dim) => typeof dim !== "number").length;
  if (dims === undefined || open === undefined || open > 1 || (open === 1 && dims.includes(0)))
    return context.emit("Shape", [like]);
  return context.ints(dims.map((dim) => (typeof dim === "number" ? dim : -1)));
}

/** Reshape to the shape of another value. */
export const reshapeLike = (context: Writer, value: string, like: string): string =>
  equal(context.dims(value), context.dims(like)) ? value : reshapeTo(context, value, shapeOf(context, like));

/** Conversion to another element type. */
export const castTo = ({ emit }: Writer, value: string, dtype: DType): string =>
  emit("Cast", [value], { to: ELEMENT_TYPES[dtype].code });

/** How many elements of `large` there are for each of `small`, as a scalar of `dtype`. */
export function countRatio(context: Writer, large: string, small: string, dtype: DType): string {
  const [whole, part] = [large, small].map((name) => context.dims(name));
  const ratio = whole && part && quotient(product(whole), product(part));
  if (typeof ratio === "number") return context.scalar(ratio, dtype);
  const count = (name: string) => castTo(context, context.emit("Size", [name]), dtype);
  return context.emit("Div", [count(large), count(small)]);
}

/** `value` repeated up to the shape of `like`. */
export function expandLike(context: Writer, value: string, like: string): string {
  if (equal(context.dims(value), context.dims(like))) return value;
  const shape = context.shape(like);
  return context.emit("Expand", [value, shape ? context.ints(shape) : context.emit("Shape", [like])]);
}

/** 2 floor(x / 2) + 1: the odd number whose step of 2 holds x. */
export function roundedToOdd({ emit, scalar }: Writer, x: string): string {
  const two = scalar(2, "float32");
  return emit("Add", [emit("Mul", [emit("Floor", [emit("Div", [x, two])]), two]), scalar(1, "float32")]);
}
