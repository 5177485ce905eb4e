/**
 * Random numbers inside a graph that follow from a counter alone: a run that is resumed draws what the unbroken one would
 * have drawn, which the RandomUniformLike of engines can't promise.
 */
import { castTo } from "./forms.ts";
import type { Writer } from "./writer.ts";

/** Odd, without a pattern in their bits: the multipliers of murmur3 and splitmix32 (Austin Appleby; Steele et al.). */
const FACTORS = { step: 0x9e3779b9, salt: 0x85ebca6b, row: 0xc2b2ae35, column: 0x27d4eb2f };

const int32 = (writer: Writer, value: number): string => castTo(writer, writer.ints(value | 0), "int32");

/** u * (2u + 1) modulo 2^32, the bijection of RC6 (Rivest et al. 1998): high bits depend on all lower ones. */
function stirred(writer: Writer, u: string): string {
  const { emit } = writer;
  return emit("Mul", [u, emit("Add", [emit("Add", [u, u]), int32(writer, 1)])]);
}

/** factor * (0, 1, 2, ...), as many as the int64 scalar `count` says, as int32. */
function spaced(writer: Writer, count: string, factor: number): string {
  const { emit, ints } = writer;
  const range = castTo(writer, emit("Range", [ints(0), count, ints(1)]), "int32");
  return emit("Mul", [range, int32(writer, factor)]);
}

/**
 * Uniform int32 numbers over the whole range, as a matrix whose rows are the vectors along the last axis of `like`. `counter` is a
 * float32 scalar that grows by 1 with every step; nodes of different `salt` get different numbers.
 */
export function noise(writer: Writer, like: string, counter: string, salt: number): string {
  const { emit, ints } = writer;
  const step = emit("Mul", [castTo(writer, counter, "int32"), int32(writer, FACTORS.step)]);
  const key = emit("Add", [step, int32(writer, Math.imul(salt + 1, FACTORS.salt))]);
  const width = emit("Gather", [emit("Shape", [like]), ints(-1)]);
  const rows = emit("Div", [emit("Size", [like]), width]);
  const starts = stirred(writer, stirred(writer, emit("Add", [spaced(writer, rows, FACTORS.row), key])));
  const places = emit("Unsqueeze", [starts, ints([1])]);
  return stirred(writer, stirred(writer, emit("Add", [places, spaced(writer, width, FACTORS.column)])));
}

/** True with a probability: `noise` above the share of its range that is left out. */
export function chance(writer: Writer, uniform: string, probability: number): string {
  const bound = Math.min(2 ** 31 - 1, Math.round((1 - probability) * 2 ** 32) - 2 ** 31);
  return writer.emit("GreaterOrEqual", [uniform, int32(writer, bound)]);
}
