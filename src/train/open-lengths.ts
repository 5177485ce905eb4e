/** Where the batch lies in a value, and reshapes that leave its length open. */
import { elementCount } from "../numeric/dtypes.ts";
import { type Dims, product, TIMES } from "./shapes/lengths.ts";

/** What the open length is called. */
export const BATCH = "batch";

/** A value with the samples on one of its axes, alone or times others. */
export interface OpenAxis {
  readonly dims: Dims;
  readonly axis: number;
  /** How many rows of samples come one after the other: the product of all lengths outside of the batch. */
  readonly before: number;
}

/** Ops that leave elements in their order. */
export const ROW_MAJOR: ReadonlySet<string> = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

const isNumber = (dim: unknown): dim is number => typeof dim === "number";

/** Product of the lengths in front of an axis. */
const outside = (dims: readonly number[], axis: number): number => elementCount(dims.slice(0, axis));

const hasBatch = (dim: Dims[number]): boolean => typeof dim === "string" && dim.split(TIMES).includes(BATCH);

/** The axis that says so; else the only one whose length is open. */
function batchAxis(dims: Dims): number {
  const named = dims.findIndex(hasBatch);
  if (named >= 0) return named;
  const open = dims.flatMap((dim, axis) => (isNumber(dim) ? [] : [axis]));
  return open.length === 1 ? open[0]! : -1;
}

/** Where the batch is in a value made of another; undefined where that can't be told. */
export function withOpenAxis(dims: Dims, source: OpenAxis, inOrder: boolean): OpenAxis | undefined {
  const axis = batchAxis(dims);
  if (axis < 0 || !dims.slice(0, axis).every(isNumber)) return undefined;
  if (inOrder) return { dims, axis, before: source.before };
  const within = source.before / outside(source.dims as readonly number[], source.axis);
  return { dims, axis, before: outside(dims as readonly number[], axis) * within };
}

/** Elements of a value when it holds `batch` samples; undefined where the open length is another than theirs. */
function elementsOf(dims: Dims, batch: number): number | undefined {
  const [factor = "", symbol, ...more] = String(product(dims)).split(TIMES);
  if (factor === BATCH && symbol === undefined) return batch;
  return symbol === BATCH && more.length === 0 ? Number(factor) * batch : undefined;
}

/** The lengths as numbers, as they are for `batch` samples; undefined where that can't be told, or the batch is copied. */
function fixedLengths(lengths: readonly number[], { dims }: OpenAxis, literal: boolean, batch: number) {
  const copied = lengths.map((length, at) => (length === 0 && !literal ? dims[at] : length));
  if (!copied.every(isNumber)) return undefined;
  const rest = elementCount(copied.filter((length) => length !== -1));
  const left = (elementsOf(dims, batch) ?? Number.NaN) / rest;
  const fixed = copied.map((length) => (length === -1 ? left : length));
  return fixed.every((length) => Number.isInteger(length)) ? fixed : undefined;
}

/**
 * The axis that takes the batch: one of its length at its place; else the one that begins there, where an axis was split and
 * samples go beside its first part, as heads do; but where no axis was split they went into the one in front; else the one that
 * their place is in.
 */
function axisFor(fixed: readonly number[], { dims, axis, before }: OpenAxis, batch: number): number {
  const alone = fixed.findIndex((length, at) => outside(fixed, at) === before && length === batch);
  if (alone >= 0) return alone;
  const next = fixed.findLastIndex((_, at) => outside(fixed, at) === before);
  const inner = dims[axis + 1];
  if (next > 0 && isNumber(inner) && fixed[next]! >= inner) return next - 1;
  return next >= 0 ? next : fixed.findLastIndex((_, at) => outside(fixed, at) <= before);
}

/** Lengths of a Reshape of a value with the batch in it, -1 in the batch's place; undefined where they may stay. */
export function openLengths(
  lengths: readonly number[],
  source: OpenAxis,
  literal: boolean,
  batch: number,
): readonly number[] | undefined {
  const fixed = fixedLengths(lengths, source, literal, batch);
  if (fixed === undefined || fixed.length === 0) return undefined;
  const place = axisFor(fixed, source, batch);
  return lengths[place] === -1 ? undefined : fixed.map((length, at) => (at === place ? -1 : length));
}
