/** Rows of a weight matrix, read and decoded in pieces, so that memory follows the piece. */
import type { Matrix } from "../../containers/compressed-tensors/index.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { byteLength } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { countNonFinite } from "../../numeric/metrics.ts";

/** Values of a piece, 1 MB of float32, which stays in the cache while it is searched; a longer row is a piece of its own. */
const PIECE_VALUES = 1 << 18;

/** So many rows from one on. */
export interface RowRange {
  readonly row: number;
  readonly rows: number;
}

/** All rows of a matrix in pieces. */
export function* piecesOf({ rows, columns }: Pick<Matrix, "rows" | "columns">): Iterable<RowRange> {
  const most = Math.max(1, Math.floor(PIECE_VALUES / columns));
  for (let row = 0; row < rows; row += most) yield { row, rows: Math.min(most, rows - row) };
}

function checkFinite(values: Float32Array, first: number, name: string): void {
  const { nan, infinite } = countNonFinite(values);
  if (nan + infinite === 0) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  fail(
    "data",
    `tensor "${name}": value ${first + at} is ${values[at]}; repair the model, or leave the tensor out with --keep`,
  );
}

/** Values of some rows in float32. Fails with code "data" for what is not finite, by tensor and index. */
export async function readRows({ data }: StoredTensor, matrix: Matrix, { row, rows }: RowRange): Promise<Float32Array> {
  const { name, columns, dtype } = matrix;
  const count = rows * columns;
  const bytes = await data.read(byteLength(dtype, row * columns), byteLength(dtype, count));
  const values = decodeFloats(bytes, dtype, count);
  checkFinite(values, row * columns, name);
  return values;
}
