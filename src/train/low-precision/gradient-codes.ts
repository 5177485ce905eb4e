/** Codes of gradients: rounded to the nearest, or up and down at random so that sums of many are right on average. */
import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo, reshapeLike } from "../forms.ts";
import type { Writer } from "../writer.ts";
import { asSigned, type Codes, unsignedCodes } from "./codes.ts";

/** Numbers of the noise input. */
export const NOISE_LENGTH = 4096;

/** Steps between the smallest and the largest value: one at each end is left to the noise and the rounding of the zero point. */
const STEPS = 253;
const TINY = 1e-30;

/** Where random numbers come from. */
export interface Draw {
  /** A vector of uniform numbers; none for rounding to the nearest. */
  readonly noise: string;
  /** Tells users of one noise apart. */
  readonly salt: number;
  /** A value of the same elements: codes of one like another with the same salt share their noise, which engines compute once. */
  readonly like: string;
}

/** Random numbers in [0, 1) for places 0 to `count` - 1, a vector. */
function drawn(writer: Writer, noise: string, count: string, salt: number): string {
  const { emit, ints } = writer;
  const place = emit("Range", [ints(0), count, ints(1)]);
  const length = ints(NOISE_LENGTH);
  const pick = (index: string) => emit("Gather", [noise, emit("Mod", [index, length])]);
  const near = pick(emit("Add", [place, ints(salt)]));
  const far = pick(emit("Add", [emit("Div", [place, length]), ints(salt + NOISE_LENGTH / 2)]));
  return emit("Add", [near, far]);
}

/** Scale and zero point that leave room for a step of noise at both ends. */
function roomy(writer: Writer, value: string): Omit<Required<Codes>, "codes"> {
  const { emit, scalar } = writer;
  const [none, one] = [scalar(0, "float32"), scalar(1, "float32")];
  const low = emit("Min", [emit("ReduceMin", [value], { keepdims: 0 }), none]);
  const high = emit("Max", [emit("ReduceMax", [value], { keepdims: 0 }), none]);
  const step = emit("Div", [emit("Sub", [high, low]), scalar(STEPS, "float32")]);
  const scale = emit("Max", [step, scalar(TINY, "float32")]);
  const zero = emit("Round", [emit("Sub", [one, emit("Div", [low, scale])])]);
  return { scale, zero: castTo(writer, zero, "uint8") };
}

/**
 * Rows with noise of half a step to either side, such that rounding to the nearest is right on average. A number for the row
 * plus a number for the place in it, less whole ones, is uniform for each element and independent between any two, so the
 * errors of sums along rows and columns average out.
 */
function dithered(writer: Writer, rows: string, scale: string, { noise, salt, like }: Draw): string {
  const { emit, ints } = writer;
  const shape = emit("Shape", [asRows(writer, like)]);
  const numbers = (axis: number) => drawn(writer, noise, emit("Gather", [shape, ints(axis)]), salt + 997 * axis);
  const sums = emit("Add", [emit("Unsqueeze", [numbers(0), ints([1])]), numbers(1)]);
  const uniform = emit("Sub", [sums, emit("Round", [sums])]);
  return emit("Add", [rows, emit("Mul", [uniform, scale])]);
}

/** A value as a matrix with a row for each index of its first axis: rows as long as can be, which engines add fastest. */
const asRows = ({ emit, ints }: Writer, value: string): string => emit("Reshape", [value, ints([0, -1])]);

/** Where gradients get their codes from. */
export interface GradientCodes {
  readonly unsigned: () => Required<Codes>;
  readonly signed: () => Required<Codes>;
}

/** Codes of `value`, of its shape; rounded at random where there is noise. */
export function gradientCodes(writer: Writer, value: string, draw: Draw): GradientCodes {
  if (draw.noise === "") {
    let found: Required<Codes> | undefined;
    const unsigned = () => (found ??= unsignedCodes(writer, value));
    return { unsigned, signed: () => asSigned(writer, value, unsigned()) };
  }
  const { scale, zero } = roomy(writer, value);
  const noisy = reshapeLike(writer, dithered(writer, asRows(writer, value), scale, draw), value);
  const unsigned = () => ({ codes: writer.emit("QuantizeLinear", [noisy, scale, zero]), scale, zero });
  return { unsigned, signed: () => asSigned(writer, noisy, { codes: "", scale, zero }) };
}

/** How the gradients of an integer product with the output gradient `d` are rounded. */
export const drawOf = (node: Node, d: string): Draw => ({
  noise: node.inputs[2] ?? "",
  salt: intAttribute(node, "salt", 0),
  like: d,
});
