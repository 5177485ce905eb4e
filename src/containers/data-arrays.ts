/** Arrays that are read by rows: on disk, in memory, or several one behind the other. */
import type { NDArray } from "../ir/model.ts";
import { emptyArray } from "../numeric/convert.ts";
import { type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";

/** An array on disk (or made on demand) with samples on its first axis. */
export interface ArraySource {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Name for errors. */
  readonly where: string;
  /** Rows at which the shape of samples changes, ascending; `shape` is that of the first sample. */
  readonly breaks?: readonly number[];
  rows(first: number, count: number): Promise<NDArray>;
}

/** An array already in memory. */
export const memoryArray = ({ dtype, shape, data }: NDArray, where: string): ArraySource => {
  const row = elementCount(shape.slice(1));
  return {
    dtype,
    shape,
    where,
    rows: async (first, count) => ({
      dtype,
      shape: [count, ...shape.slice(1)],
      data: data.subarray(first * row, (first + count) * row),
    }),
  };
};

/** Arrays of one type and sample shape in one. */
export function concatenate(parts: readonly NDArray[]): NDArray {
  if (parts.length === 1) return parts[0]!;
  const { dtype, shape } = parts[0]!;
  const count = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const data = emptyArray(dtype, count * elementCount(shape.slice(1)));
  let at = 0;
  for (const part of parts) {
    (data as Uint8Array).set(part.data as Uint8Array, at);
    at += part.data.length;
  }
  return { dtype, shape: [count, ...shape.slice(1)], data };
}

/** Arrays one behind the other; their samples may differ in shape but not in type or rank. */
export function joinedArrays(parts: readonly ArraySource[], where: string): ArraySource {
  const [head] = parts;
  if (head === undefined) return fail("data", `${where}: holds no samples`);
  const starts: number[] = [];
  const breaks: number[] = [];
  let total = 0;
  for (const [i, part] of parts.entries()) {
    if (part.dtype !== head.dtype)
      fail("data", `${part.where}: holds ${part.dtype}, but ${head.where} holds ${head.dtype}; all files must agree`);
    if (i > 0 && String(part.shape.slice(1)) !== String(parts[i - 1]!.shape.slice(1))) breaks.push(total);
    starts.push(total);
    total += part.shape[0]!;
  }
  return {
    dtype: head.dtype,
    shape: [total, ...head.shape.slice(1)],
    where,
    breaks,
    async rows(first, count) {
      const found: NDArray[] = [];
      let part = partOf(starts, first);
      for (let at = first; at < first + count; part++) {
        const here = Math.min(first + count, starts[part]! + parts[part]!.shape[0]!) - at;
        found.push(await parts[part]!.rows(at - starts[part]!, here));
        at += here;
      }
      return concatenate(found);
    },
  };
}

/** Index of the last start at or before `row`; `starts` ascends. */
export function partOf(starts: readonly number[], row: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}
