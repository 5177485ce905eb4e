/** Codes of gradients: rounded to the nearest, or up and down at random so that sums of many are right on average. */
import { castTo, reshapeLike } from "../forms.ts";
import type { Writer } from "../writer.ts";
import { asSigned, type Codes, unsignedCodes } from "./codes.ts";

/** Numbers of the noise input. */
export const NOISE_LENGTH = 4096;

/** Steps between the smallest and the largest value: one at each end is left to the noise. */
const STEPS = 253;
const TINY = 1e-30;

/** Random numbers in [-1/2, 1/2) for places 0 to `count` - 1, a vector; `salt` tells users of one noise apart. */
function drawn(writer: Writer, noise: string, count: string, salt: number): string {
  const { emit, ints, scalar } = writer;
  const place = emit("Range", [ints(0), count, ints(1)]);
  const length = ints(NOISE_LENGTH);
  const pick = (index: string) => emit("Gather", [noise, emit("Mod", [index, length])]);
  const near = pick(emit("Add", [place, ints(salt)]));
  const far = pick(emit("Add", [emit("Div", [place, length]), ints(salt + NOISE_LENGTH / 2)]));
  const sum = emit("Add", [near, far]);
  return emit("Sub", [emit("Sub", [sum, emit("Floor", [sum])]), scalar(0.5, "float32")]);
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
 * Values with noise of a triangular distribution, a number for the row plus a number for the place in it: rounding to the nearest
 * behind it is right on average, and the errors of any two places are uncorrelated (Wannamaker et al., "A theory of
 * nonsubtractive dither", 2000). A matrix.
 */
function dithered(writer: Writer, rows: string, scale: string, noise: string, salt: number): string {
  const { emit, ints } = writer;
  const shape = emit("Shape", [rows]);
  const length = (axis: number) => emit("Gather", [shape, ints(axis)]);
  const scaled = (axis: number) => emit("Mul", [drawn(writer, noise, length(axis), salt + 997 * axis), scale]);
  const tall = emit("Unsqueeze", [scaled(0), ints([1])]);
  return emit("Add", [emit("Add", [rows, tall]), scaled(1)]);
}

/** A value as a matrix whose rows are the vectors along its last axis. */
function asRows(writer: Writer, value: string): string {
  const { emit, ints } = writer;
  const width = writer.dims(value)?.at(-1);
  if (typeof width === "number" && width > 0) return emit("Reshape", [value, ints([-1, width])]);
  const last = emit("Slice", [emit("Shape", [value]), ints([-1]), ints([Number.MAX_SAFE_INTEGER])]);
  return emit("Reshape", [value, emit("Concat", [ints([-1]), last], { axis: 0 })]);
}

/** Where gradients get their codes from. */
export interface GradientCodes {
  readonly unsigned: () => Required<Codes>;
  readonly signed: () => Required<Codes>;
}

/** Codes of `value`, of its shape; rounded at random where there is `noise`. */
export function gradientCodes(writer: Writer, value: string, noise: string, salt: number): GradientCodes {
  if (noise === "") {
    let found: Required<Codes> | undefined;
    const unsigned = () => (found ??= unsignedCodes(writer, value));
    return { unsigned, signed: () => asSigned(writer, value, unsigned()) };
  }
  const { scale, zero } = roomy(writer, value);
  const noisy = reshapeLike(writer, dithered(writer, asRows(writer, value), scale, noise, salt), value);
  const unsigned = () => ({ codes: writer.emit("QuantizeLinear", [noisy, scale, zero]), scale, zero });
  return { unsigned, signed: () => asSigned(writer, noisy, { codes: "", scale, zero }) };
}
