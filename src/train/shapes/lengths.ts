/**
 * Arithmetic with lengths that may be open. An open length is a symbol; products of symbols are symbols too, written as
 * their factors ("4×batch×time"), so that a Reshape that merges axes and one that splits them again cancel out.
 */
import type { Dim } from "../../ir/model.ts";

/** Lengths of the axes of a value; null = nothing is known of this one. */
export type Dims = readonly Dim[];

/** Between the factors of an open length. */
export const TIMES = "×";

interface Monomial {
  readonly factor: number;
  readonly symbols: readonly string[];
}

function parse(dim: string | number): Monomial {
  if (typeof dim === "number") return { factor: dim, symbols: [] };
  const parts = dim.split(TIMES);
  const factor = Number(parts[0]);
  return parts.length > 1 && Number.isInteger(factor)
    ? { factor, symbols: parts.slice(1) }
    : { factor: 1, symbols: parts };
}

const format = ({ factor, symbols }: Monomial): string | number => {
  if (factor === 0 || symbols.length === 0) return factor;
  const sorted = [...symbols].sort();
  return factor === 1 ? sorted.join(TIMES) : [factor, ...sorted].join(TIMES);
};

/** How many elements there are along all these axes. */
export function product(dims: Dims): Dim {
  let [factor, symbols]: [number, readonly string[]] = [1, []];
  for (const dim of dims) {
    if (dim === null) return null;
    const other = parse(dim);
    [factor, symbols] = [factor * other.factor, [...symbols, ...other.symbols]];
  }
  return format({ factor, symbols });
}

/** `whole / part` where that is a whole length for all values of the symbols; null where it can't be told. */
export function quotient(whole: Dim, part: Dim): Dim {
  if (whole === null || part === null || part === 0) return null;
  const [top, bottom] = [parse(whole), parse(part)];
  const symbols = [...top.symbols];
  for (const symbol of bottom.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return null;
    symbols.splice(at, 1);
  }
  const factor = top.factor / bottom.factor;
  return Number.isInteger(factor) ? format({ factor, symbols }) : null;
}

/** Length of an axis that two values share by broadcasting (ONNX Broadcasting.md). */
export function broadcastLength(a: Dim, b: Dim): Dim {
  if (a === b || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === "number") return a;
  return typeof b === "number" ? b : null;
}

/** Shape of several values broadcast together. */
export function broadcastDims(shapes: readonly Dims[]): Dims {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes
      .map((shape) => (axis < rank - shape.length ? 1 : shape[axis - rank + shape.length]!))
      .reduce<Dim>(broadcastLength, 1),
  );
}

/** The lengths as numbers, where all of them are. */
export const fixedShape = (dims: Dims | undefined): readonly number[] | undefined =>
  dims?.every((dim) => typeof dim === "number") ? (dims as readonly number[]) : undefined;

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
