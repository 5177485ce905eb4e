/** Walking over arrays by their shapes. */
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";

/** Elements between neighbours along each axis, row-major. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Offsets, in row-major order of `shape`, of the elements reached by `start` and a step per axis. */
export function offsetsOf(shape: readonly number[], steps: readonly number[], start = 0): Int32Array {
  const offsets = new Int32Array(elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, at = start; i < offsets.length; i++) {
    offsets[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += steps[axis]!;
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      at -= steps[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return offsets;
}

/** The shape that two shapes broadcast to, aligned at their last axes. */
export function broadcastShape(where: string, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1)
      fail("graph", `${where}: shapes [${a}] and [${b}] don't broadcast to one another`);
    return left === 1 ? right : left;
  });
}

/** Offsets into an array of `shape` for every element of the shape it is broadcast to. */
export function broadcastOffsets(shape: readonly number[], to: readonly number[]): Int32Array {
  const strides = stridesOf(shape);
  const missing = to.length - shape.length;
  const steps = to.map((_, axis) => (axis < missing || shape[axis - missing] === 1 ? 0 : strides[axis - missing]!));
  return offsetsOf(to, steps);
}

/** An axis that may be counted from the end. */
export function axisOf(where: string, axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(found) || found < 0 || found >= rank)
    fail("graph", `${where}: axis ${axis} lies outside ${rank} dimensions`);
  return found;
}
