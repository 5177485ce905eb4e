/** From float32 values to 8-bit codes and back, as nodes that engines fuse with the integer product behind them. */

import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo } from "../forms.ts";
import type { Writer } from "../writer.ts";
import { MIN_CHANNEL_SCALE, WEIGHT_FORMATS, type WeightFormat, type WeightFormatName } from "./formats.ts";

/** Names of codes, of their scale, and of their zero point where they have one. */
export interface Codes {
  readonly codes: string;
  readonly scale: string;
  readonly zero?: string;
}

/** uint8 over the range of all values, as the dynamic form of quantized models does it. */
export function unsignedCodes({ emitMany }: Writer, value: string): Required<Codes> {
  const [codes, scale, zero] = emitMany("DynamicQuantizeLinear", [value], 3) as [string, string, string];
  return { codes, scale, zero };
}

/** The same codes less 128, as int8: what engines multiply fastest on the right-hand side. */
export function asSigned(writer: Writer, value: string, { scale, zero }: Required<Codes>): Required<Codes> {
  const { emit, ints } = writer;
  const middle = castTo(writer, ints(128), "int32");
  const shifted = castTo(writer, emit("Sub", [castTo(writer, zero, "int32"), middle]), "int8");
  return { codes: emit("QuantizeLinear", [value, scale, shifted]), scale, zero: shifted };
}

/** A vector of scales along `axis` of values of this rank. */
const along = ({ emit, ints }: Writer, scale: string, axis: number, rank: number): string =>
  axis === rank - 1 ? scale : emit("Reshape", [scale, ints([-1, ...Array(rank - 1 - axis).fill(1)])]);

/** One scale for each index of `axis`. */
export function channelScale(writer: Writer, weight: string, format: WeightFormat, axis: number): string {
  const { emit, ints, scalar } = writer;
  const shape = writer.shape(weight) ?? writer.refuse(`the shape of its weight "${weight}" is not known; declare it`);
  const axes = ints(shape.map((_, at) => at).filter((at) => at !== axis));
  const reduced = (op: string, value: string) => emit(op, [value, axes], { keepdims: 0 });
  const magnitude =
    format.statistic === "max"
      ? emit("Max", [reduced("ReduceMax", weight), emit("Neg", [reduced("ReduceMin", weight)])])
      : reduced("ReduceMean", emit("Abs", [weight]));
  return emit("Max", [
    emit("Mul", [magnitude, scalar(format.factor, "float32")]),
    scalar(MIN_CHANNEL_SCALE, "float32"),
  ]);
}

/** int8 codes of a weight, of its shape, and their scales along `axis`: codes = clip(round(weight / scale)). */
export function weightCodes(writer: Writer, weight: string, format: WeightFormat, axis: number): Codes {
  const { emit, scalar } = writer;
  const scale = channelScale(writer, weight, format, axis);
  const steps = emit("Div", [weight, along(writer, scale, axis, writer.rank(weight))]);
  const code = (value: number) => castTo(writer, scalar(value, "float32"), "int8");
  // One scale for the whole tensor: the engine's kernel for scales along an axis is a hundred times slower.
  const rounded = emit("QuantizeLinear", [steps, scalar(1, "float32"), code(0)]);
  const [low, high] = format.codes;
  const full = high === 127;
  return { codes: full ? rounded : emit("Clip", [rounded, code(low), code(high)]), scale };
}

/** codes * scale as float32. */
export function dequantized(writer: Writer, { codes, scale }: Codes, shape: readonly number[], axis: number): string {
  const { emit } = writer;
  return emit("Mul", [castTo(writer, codes, "float32"), along(writer, scale, axis, shape.length)]);
}

/** Product of codes as float32; `left` are unsigned rows. A scale may be a vector of the columns. */
export function integerProduct(writer: Writer, left: Required<Codes>, right: Codes): string {
  const { emit } = writer;
  const zeros = right.zero === undefined ? [left.zero] : [left.zero, right.zero];
  const product = emit("MatMulInteger", [left.codes, right.codes, ...zeros]);
  return emit("Mul", [castTo(writer, product, "float32"), emit("Mul", [left.scale, right.scale])]);
}

/** The format that a node names. */
export const formatOf = (node: Node): WeightFormat =>
  WEIGHT_FORMATS[stringAttribute(node, "format", "int8") as WeightFormatName];

/** Whether a node's gradients are integer products too. */
export const integerBackward = (node: Node): boolean => intAttribute(node, "backward", 1) !== 0;
