/** softmax(q k' * scale + masks) v: what all attention ops come down to (Vaswani et al., arXiv:1706.03762). */
import { castTo } from "../forms.ts";
import type { Writer } from "../writer.ts";
import { lastLength, lengthOf, single } from "./forms.ts";

/** Added to scores that must not count: its exponential is 0 beside any other. */
const MASKED = -1e30;

/** Queries [batch, heads, length, size], keys and values [batch, heads or a part of them, seen, size]. */
export interface Heads {
  readonly q: string;
  readonly k: string;
  readonly v: string;
}

/** How scores become weights. */
export interface Scoring {
  /** 1 / sqrt(size) unless told. */
  readonly scale?: number | undefined;
  /** Added to the scores [batch, heads, length, seen], or broadcast to them. */
  readonly masks: readonly string[];
  /** Scores are kept below by a hyperbolic tangent; 0 = they are not. */
  readonly softcap?: number;
}

/** Additive mask: 0 where the condition holds. */
export const maskOf = (writer: Writer, condition: string, like: string, masked = MASKED): string => {
  const dtype = writer.dtype(like);
  return writer.emit("Where", [condition, writer.scalar(0, dtype), single(writer, masked, dtype)]);
};

/** Every query sees the keys up to its own place, no more than `window` of them where that is given: booleans [length, seen]. */
export function causalOrder(writer: Writer, { q, k }: Heads, window?: number): string {
  const { emit, ints } = writer;
  const places = (value: string, axis: number) =>
    emit("Unsqueeze", [emit("Range", [ints(0), lengthOf(writer, value, 2), ints(1)]), ints([axis])]);
  const age = emit("Sub", [places(q, 1), places(k, 0)]);
  const past = emit("GreaterOrEqual", [age, ints(0)]);
  return window === undefined ? past : emit("And", [past, emit("Less", [age, ints(window)])]);
}

/** The same as an additive mask. */
export const causalMask = (writer: Writer, heads: Heads, window?: number): string =>
  maskOf(writer, causalOrder(writer, heads, window), heads.q);

/** Zeros in the place of values of queries that see no key at all, where `seen` are booleans [.., length, seen]. */
export function withoutBlind(writer: Writer, values: string, seen: string): string {
  const { emit, ints } = writer;
  const some = emit("ReduceMax", [castTo(writer, seen, writer.dtype(values)), ints([-1])], { keepdims: 1 });
  return emit("Mul", [values, some]);
}

/** Keys and values that several heads share, repeated for each of them. */
export function repeatHeads(writer: Writer, value: string, times: number, heads: number): string {
  if (times === 1) return value;
  const { emit, ints } = writer;
  const size = lastLength(writer, value, "the size of its heads");
  const one = emit("Unsqueeze", [value, ints([2])]);
  return emit("Reshape", [emit("Expand", [one, ints([1, 1, times, 1, 1])]), ints([0, heads, -1, size])]);
}

function capped(writer: Writer, scores: string, softcap: number): string {
  if (softcap === 0) return scores;
  const cap = single(writer, softcap, writer.dtype(scores));
  return writer.emit("Mul", [writer.emit("Tanh", [writer.emit("Div", [scores, cap])]), cap]);
}

/** Values weighted by how well their keys fit, [batch, heads, length, size]. */
export function attend(writer: Writer, { q, k, v }: Heads, scoring: Scoring): string {
  const { emit } = writer;
  const { masks, softcap = 0 } = scoring;
  const scale = scoring.scale ?? 1 / Math.sqrt(lastLength(writer, q, "the size of its heads"));
  const scaled = emit("Mul", [q, single(writer, scale, writer.dtype(q))]);
  const scores = emit("MatMul", [scaled, emit("Transpose", [k], { perm: [0, 1, 3, 2] })]);
  const final = masks.reduce((sum, mask) => emit("Add", [sum, mask]), capped(writer, scores, softcap));
  return emit("MatMul", [emit("Softmax", [final], { axis: -1 }), v]);
}
