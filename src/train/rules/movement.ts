/** Ops that move or pick elements. `d` is the gradient of the output. */
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { expandLike, reshapeLike } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { fromFront } from "../shapes/lengths.ts";

const reshaped: Rule = (node, context) => [reshapeLike(context, incoming(context), node.inputs[0]!)];

/** The inverse permutation; without one the order of the axes is reversed, which is its own inverse. */
const transpose: Rule = (node, context) => {
  const perm = intsAttribute(node, "perm");
  const inverse = perm?.map((_, axis) => perm.indexOf(axis));
  return [context.emit("Transpose", [incoming(context)], inverse && { perm: inverse })];
};

/** Split at the lengths the inputs have. */
const concat: Rule = (node, context) => {
  const { emit, ints } = context;
  const axis = intAttribute(node, "axis", 0);
  const known = node.inputs.map((name) => context.dims(name)?.at(axis));
  const measured = () => node.inputs.map((name) => emit("Gather", [emit("Shape", [name]), ints([axis])]));
  const sizes = allNumbers(known) ? ints(known) : emit("Concat", measured(), { axis: 0 });
  return context.emitMany("Split", [incoming(context), sizes], node.inputs.length, { axis });
};

const allNumbers = (list: readonly unknown[]): list is readonly number[] =>
  list.every((value) => typeof value === "number");

/**
 * Adds `d` to zeros of the shape of `x` at flat positions; a position may come several times. Positions may have any shape
 * with as many elements as `d`.
 */
export function scatter(context: RuleContext, d: string, positions: string, x: string): string {
  const { emit, ints, scalar } = context;
  const zeros = expandLike(context, scalar(0, context.dtype(x)), x);
  const flat = (value: string) => emit("Reshape", [value, ints([-1])]);
  const sums = emit("ScatterElements", [flat(zeros), flat(positions), flat(d)], { axis: 0, reduction: "add" });
  return reshapeLike(context, sums, x);
}

/** The flat position of each element, in the shape of `x`. */
export const positionsLike = (context: RuleContext, x: string): string => {
  const { emit, ints } = context;
  return reshapeLike(context, emit("Range", [ints(0), emit("Size", [x]), ints(1)]), x);
};

/** For ops that pick elements of their first input: the same op on the positions says where each came from. */
export const picking: Rule = (node: Node, context) => {
  const x = node.inputs[0]!;
  const picked = context.emit(node.op, [positionsLike(context, x), ...node.inputs.slice(1)], node.attributes);
  return [scatter(context, incoming(context), picked, x)];
};

/** Where a slice that keeps every element between its ends starts, one entry for each axis; undefined for all others. */
function slicedFrom(node: Node, context: RuleContext): readonly number[] | undefined {
  const listOf = (input: number, otherwise: (at: number) => number) =>
    (node.inputs[input] ?? "") === "" ? starts?.map((_, at) => otherwise(at)) : context.values(node.inputs[input]!);
  const starts = context.values(node.inputs[1] ?? "");
  const axes = listOf(3, (at) => at);
  const dims = context.dims(node.inputs[0]!);
  if (starts === undefined || axes === undefined || dims === undefined) return undefined;
  if (!listOf(4, () => 1)?.every((step) => step === 1)) return undefined;
  const begins = new Array<number>(dims.length).fill(0);
  for (const [at, named] of axes.entries()) {
    const axis = fromFront(named, dims.length);
    const length = dims[axis];
    const start = starts[at]!;
    if (start < 0 && typeof length !== "number") return undefined;
    begins[axis] = start < 0 ? Math.max(0, start + Number(length)) : start;
  }
  return begins;
}

/** Zeros around what was kept; a start behind the end is as far as the end. */
const slice: Rule = (node, context) => {
  const begins = slicedFrom(node, context);
  if (begins === undefined) return picking(node, context);
  const { emit, ints } = context;
  const d = incoming(context);
  const missing = emit("Sub", [emit("Shape", [node.inputs[0]!]), emit("Shape", [d])]);
  const before = emit("Min", [ints(begins), missing]);
  return [emit("Pad", [d, emit("Concat", [before, emit("Sub", [missing, before])], { axis: 0 })])];
};

export const movementRules: Rules = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
};
