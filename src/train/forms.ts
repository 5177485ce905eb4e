/** Formulations that several rules share; all of them work for shapes known only at run time. */
import { ELEMENT_TYPES } from "../containers/onnx/dtypes.ts";
import type { DType } from "../numeric/dtypes.ts";
import type { RuleContext } from "./rule.ts";

/**
 * Sums `value` over the axes along which `target` was broadcast to its shape, so that the result has the shape of
 * `target` (ONNX Broadcasting.md, multidirectional). Works for shapes and ranks known only at run time.
 */
export function unbroadcast(context: RuleContext, value: string, target: string, full: string): string {
  const [from, to] = [context.shape(full), context.shape(target)];
  if (from !== undefined && to !== undefined && String(from) === String(to)) return value;
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
export const reshapeTo = ({ emit }: RuleContext, value: string, shape: string): string =>
  emit("Reshape", [value, shape], { allowzero: 1 });

/** Reshape to the shape of another value. */
export const reshapeLike = (context: RuleContext, value: string, like: string): string =>
  reshapeTo(context, value, context.emit("Shape", [like]));

/** Conversion to another element type. */
export const castTo = ({ emit }: RuleContext, value: string, dtype: DType): string =>
  emit("Cast", [value], { to: ELEMENT_TYPES[dtype].code });

/** How many elements of `large` there are for each of `small`, as a scalar of `dtype`. */
export function countRatio(context: RuleContext, large: string, small: string, dtype: DType): string {
  const count = (name: string) => castTo(context, context.emit("Size", [name]), dtype);
  return context.emit("Div", [count(large), count(small)]);
}

/** `value` repeated up to the shape of `like`. */
export const expandLike = ({ emit }: RuleContext, value: string, like: string): string =>
  emit("Expand", [value, emit("Shape", [like])]);
