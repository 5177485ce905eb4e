/** How far products of codes may be from products of floats. */
import type { Feeds, NDArray } from "../../ir/model.ts";

/** Largest magnitude. */
export const extent = (values: ArrayLike<number>): number => Math.max(...Array.from(values, Math.abs));
/** Length of the range of values and zero. */
export const span = (values: ArrayLike<number>): number =>
  Math.max(0, ...Array.from(values)) - Math.min(0, ...Array.from(values));
export const largestError = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  extent(Array.from(a, (value, index) => value - b[index]!));

/**
 * Every factor is off by half a step at most: a step of (largest - smallest) / 255 on the left, of `rightStep` on the right; a
 * sum of `terms` products is off by the sum of their errors. Float32 rounding is a millionth of that.
 */
export function bound(terms: number, left: ArrayLike<number>, right: ArrayLike<number>, rightStep: number): number {
  const leftStep = span(left) / 255;
  return 1.001 * terms * ((leftStep / 2) * extent(right) + (rightStep / 2) * extent(left) + (leftStep * rightStep) / 4);
}

export const f32 = (shape: readonly number[], data: Float32Array): NDArray => ({ dtype: "float32", shape, data });
export const dataOf = (found: Feeds, name: string): Float32Array => found[name]!.data as Float32Array;
