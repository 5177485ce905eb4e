/**
 * fewbit.FakeQuantize: values as they are after quantizing and dequantizing, for training. Inputs: x, scale and, where the
 * grid has one, a zero point, a float that is rounded; a scalar share, where only that part of the rounding is in effect
 * (alpha-blending: Liu and Mattina, arXiv:1903.01061; here the way back is straight through for all of it).
 *
 * Attributes: `low` and `high`, the smallest and largest code; `axis`, along which each index has a scale of its own (none: one
 * scale for all, a scalar); `group`, how many neighbours along that axis share one (the scale then has the shape of x with fewer
 * entries on the axis); with `odd` 1 codes are odd numbers, the one above where x lies on a bound. With `learn` 0 the scale gets
 * no gradient.
 *
 * y = (clip(round(x / scale) + round(zero point), low, high) - round(zero point)) * scale, ties to even, as QuantizeLinear.
 * With a share: c + share * (y - c), c being x limited to the grid.
 */
import { intAttribute } from "../../ir/attributes.ts";
import { node as makeNode } from "../../ir/build.ts";
import type { Node } from "../../ir/model.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import type { Expansion } from "../expand.ts";
import { castTo, reshapeLike, reshapeTo, roundedToOdd } from "../forms.ts";
import type { Writer } from "../writer.ts";

/** The grid of one FakeQuantize. */
export interface FakeGrid {
  readonly low: number;
  readonly high: number;
  readonly axis?: number;
  readonly group?: number;
  /** Odd codes only; such a grid has no zero point. */
  readonly odd?: boolean;
  /** False where the scale is not trained here; true by default. */
  readonly learn?: boolean;
}

/** The domain of fewbit's own ops. */
const DOMAIN = "fewbit";
const OP = "FakeQuantize";

/** Whether a node puts values on a grid. */
export const isFakeQuantize = ({ domain, op }: Node): boolean => domain === DOMAIN && op === OP;

/** A FakeQuantize; `inputs` are x, scale and, where there are such, a zero point and a share. */
export const fakeQuantizeNode = (
  inputs: readonly string[],
  output: string,
  { low, high, axis, group, odd = false, learn = true }: FakeGrid,
): Node =>
  makeNode(OP, inputs, [output], {
    name: `${output}/${OP}`,
    domain: DOMAIN,
    attributes: {
      ...{ low, high, learn: learn ? 1 : 0 },
      ...(axis !== undefined && { axis }),
      ...(group !== undefined && { group }),
      ...(odd && { odd: 1 }),
    },
  });

/** The grid a node asks for. */
export function fakeGridOf(node: Node): FakeGrid {
  const [axis, group] = [intAttribute(node, "axis", -1), intAttribute(node, "group", 0)];
  return {
    ...{ low: intAttribute(node, "low", 0), high: intAttribute(node, "high", 0) },
    ...(axis >= 0 && { axis }),
    ...(group > 0 && { group }),
    ...(intAttribute(node, "odd", 0) !== 0 && { odd: true }),
    learn: intAttribute(node, "learn", 1) !== 0,
  };
}

/** Values in a shape in which scales are broadcast over them. */
export interface Spread {
  /** A value of the shape of x in that shape. */
  readonly spread: (value: string) => string;
  /** A scale or zero point in a shape that is broadcast over it. */
  readonly over: (scale: string) => string;
  /** Axes that share a scale; all of them where undefined. */
  readonly shared: readonly number[] | undefined;
}

const unchanged = (value: string): string => value;

/** Groups get an axis of their own behind the one they are cut from. */
function spreadGroups(writer: Writer, x: string, axis: number, group: number): Spread {
  const shape = writer.shape(x) ?? writer.refuse("groups need a known shape; declare it");
  const length = shape[axis] ?? 0;
  if (length % group !== 0)
    writer.refuse(`groups of ${group} do not divide axis ${axis} of length ${length}; choose a divisor`);
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const cut = writer.ints([...before, length / group, group, ...after]);
  return {
    spread: (value) => reshapeTo(writer, value, cut),
    over: (scale) => writer.emit("Unsqueeze", [scale, writer.ints([axis + 1])]),
    shared: [axis + 1],
  };
}

/** How the scales of a node lie over its values. */
export function spreadOf(writer: Writer, node: Node): Spread {
  const { axis, group } = fakeGridOf(node);
  const x = node.inputs[0]!;
  if (axis === undefined) return { spread: unchanged, over: unchanged, shared: undefined };
  if (group !== undefined) return spreadGroups(writer, x, axis, group);
  const rank = writer.rank(x);
  const others = Array.from({ length: rank }, (_, at) => at).filter((at) => at !== axis);
  const behind = others.filter((at) => at > axis).map((at) => at - axis);
  return {
    spread: unchanged,
    over: (scale) => (behind.length === 0 ? scale : writer.emit("Unsqueeze", [scale, writer.ints(behind)])),
    shared: others,
  };
}

/** What a FakeQuantize reads, limited to what its grid covers; of the same shape. */
export function limitedToGrid(writer: Writer, node: Node): string {
  const { emit, scalar } = writer;
  const [x = "", scale = "", zero = ""] = node.inputs;
  const { low, high } = fakeGridOf(node);
  const { spread, over, shared } = spreadOf(writer, node);
  const rounded = zero === "" ? undefined : emit("Round", [zero]);
  const bound = (code: number) => {
    const steps = scalar(code, "float32");
    return emit("Mul", [scale, rounded === undefined ? steps : emit("Sub", [steps, rounded])]);
  };
  if (shared === undefined) return emit("Clip", [x, bound(low), bound(high)]);
  const limited = emit("Min", [emit("Max", [spread(x), over(bound(low))]), over(bound(high))]);
  return reshapeLike(writer, limited, x);
}

/** The way from what a FakeQuantize reads to the middle of its bin, none outside of the grid; of the same shape. */
export const toMiddle = (writer: Writer, node: Node): string =>
  writer.emit("Sub", [node.outputs[0]!, limitedToGrid(writer, node)]);

/** How codes are held in bytes: as which type, and moved up by how much. */
interface ByteCodes {
  readonly dtype: "int8" | "uint8";
  readonly moved: number;
}

/**
 * Undefined where one byte is too short. Codes of values are never int8: ONNX Runtime makes uint8 of them itself, and writes
 * graphs that it refuses where it moves a pair behind another op at the same time.
 */
function byteCodes({ low, high, axis, group, odd }: FakeGrid): ByteCodes | undefined {
  if (odd || group !== undefined) return undefined;
  if (axis === undefined && low < 0)
    return high - low <= DTYPES.uint8.max ? { dtype: "uint8", moved: -low } : undefined;
  const dtype = low < 0 ? "int8" : "uint8";
  return low >= DTYPES[dtype].min && high <= DTYPES[dtype].max ? { dtype, moved: 0 } : undefined;
}

/** Kernels of QuantizeLinear and DequantizeLinear: three times as fast as the four ops of the formula on large tensors. */
function byKernels(writer: Writer, node: Node, { low, high, axis }: FakeGrid, { dtype, moved }: ByteCodes): string {
  const { emit, scalar } = writer;
  const [x = "", scale = "", zero = ""] = node.inputs;
  const code = (value: number) => castTo(writer, scalar(value + moved, "float32"), dtype);
  const middle = zero === "" ? emit("Mul", [scale, scalar(0, "float32")]) : emit("Round", [zero]);
  const zeroCode = castTo(writer, moved === 0 ? middle : emit("Add", [middle, scalar(moved, "float32")]), dtype);
  const attributes = axis === undefined ? {} : { axis };
  const codes = emit("QuantizeLinear", [x, scale, zeroCode], attributes);
  const full = low + moved === DTYPES[dtype].min && high + moved === DTYPES[dtype].max;
  const limited = full ? codes : emit("Clip", [codes, code(low), code(high)]);
  return emit("DequantizeLinear", [limited, scale, zeroCode], attributes);
}

/** The formula itself: for groups, for odd codes, and for codes of more than eight bits. */
function byFormula(writer: Writer, node: Node, { low, high, odd }: FakeGrid): string {
  const { emit, scalar } = writer;
  const [x = "", scale = "", zero = ""] = node.inputs;
  const { spread, over } = spreadOf(writer, node);
  const width = over(scale);
  const quotient = emit("Div", [spread(x), width]);
  const steps = odd ? roundedToOdd(writer, quotient) : emit("Round", [quotient]);
  const bound = (code: number) =>
    zero === "" ? scalar(code, "float32") : over(emit("Sub", [scalar(code, "float32"), emit("Round", [zero])]));
  const codes = emit("Min", [emit("Max", [steps, bound(low)]), bound(high)]);
  const y = emit("Mul", [codes, width]);
  return spread === unchanged ? y : reshapeTo(writer, y, emit("Shape", [x]));
}

/** `rounded` as far as the share says. */
function inPart(writer: Writer, node: Node, rounded: string, share: string): string {
  const { emit } = writer;
  const limited = limitedToGrid(writer, node);
  return emit("Add", [limited, emit("Mul", [emit("Sub", [rounded, limited]), share])]);
}

/** FakeQuantize in plain ops. */
export const fakeQuantize: Expansion = (node, writer) => {
  const grid = fakeGridOf(node);
  const bytes = byteCodes(grid);
  const rounded = bytes === undefined ? byFormula(writer, node, grid) : byKernels(writer, node, grid, bytes);
  const share = node.inputs[3];
  return [share === undefined ? rounded : inPart(writer, node, rounded, share)];
};
