/** Do the index vectors of a sparse tensor fit it? (schema.fbs, SparsityParameters) */
import { byteLength } from "../../numeric/dtypes.ts";
import { tensorExtra } from "./extra.ts";
import type { Typed } from "./graph-types.ts";
import type { Table, UnionValue } from "./schema.ts";

const SPARSE = 1;

const lengthOf = (vector: UnionValue | undefined): number | undefined =>
  (vector?.value as Table<"Int32Vector"> | undefined)?.values?.length;

const lastOf = (vector: UnionValue | undefined): number | undefined =>
  (vector?.value as Table<"Int32Vector"> | undefined)?.values?.at(-1);

/** Number of stored elements that the levels lead to; undefined where they contradict each other. */
function storedElements(levels: readonly Table<"DimensionMetadata">[]): number | undefined {
  let count = 1;
  for (const { format, dense_size: size = 0, array_segments: segments, array_indices: indices } of levels) {
    if (format === SPARSE) {
      if (lengthOf(segments) !== count + 1 || lastOf(segments) !== lengthOf(indices)) return undefined;
      count = lengthOf(indices)!;
    } else count *= size;
  }
  return count;
}

/** What is wrong with the sparsity of a constant. */
export function* checkSparsity(typed: Typed, where: string): Generator<string> {
  const { asRead, data } = tensorExtra(typed);
  const { sparsity } = asRead ?? {};
  if (sparsity === undefined || "data" in typed) return;
  const { traversal_order: order = [], block_map: map = [], dim_metadata: levels = [] } = sparsity;
  const rank = typed.shape?.length ?? 0;
  if (order.length !== rank + map.length || levels.length !== order.length) {
    yield `${where} is sparse in ${levels.length} levels in an order of ${order.length}; expected ${rank} dimensions and ${map.length} blocks`;
    return;
  }
  const count = storedElements(levels);
  if (count === undefined) yield `${where} is sparse, and its segments do not fit its indices`;
  else if (data && typed.dtype && typed.dtype !== "string" && byteLength(typed.dtype, count) !== data.size)
    yield `${where} is sparse with ${count} elements of ${typed.dtype}, but has ${data.size} bytes`;
}
