/** Rows of a weight matrix, read and decoded in pieces, so that memory follows the piece. */
import type { Matrix } from "../../containers/compressed-tensors/index.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { byteLength } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { countNonFinite } from "../../numeric/metrics.ts";
import type { Cut } from "../weights/cut.ts";

/** Values of a piece, 1 MB of float32, which stays in the cache while it is searched; longer rows make a larger one. */
const PIECE_VALUES = 1 << 18;
/** Rows of a piece come in eights, since zero points of so many rows share a word. */
const ROWS = 8;

/** So many rows from one on. */
export interface RowRange {
  readonly row: number;
  readonly rows: number;
}

const mostRows = (columns: number): number => ROWS * Math.max(1, Math.floor(PIECE_VALUES / columns / ROWS));

/** All rows of a matrix in pieces. */
export function* piecesOf({ rows, columns }: Pick<Matrix, "rows" | "columns">): Iterable<RowRange> {
  const most = mostRows(columns);
  for (let row = 0; row < rows; row += most) yield { row, rows: Math.min(most, rows - row) };
}

/** The same as work for threads: a unit is a row, and what it becomes is told elsewhere. */
export const cutMatrix = ({ rows, columns, dtype }: Matrix): Cut => ({
  ...{ matrices: 1, units: rows, most: mostRows(columns), before: byteLength(dtype, columns), after: 0 },
});

function checkFinite(values: Float32Array, first: number, name: string): void {
  const { nan, infinite } = countNonFinite(values);
  if (nan + infinite === 0) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  fail(
    "data",
    `tensor "${name}": value ${first + at} is ${values[at]}; repair the model, or leave the tensor out with --keep`,
  );
}

/** Values of rows in float32. Fails with code "data" for what is not finite, by tensor and index. */
export function decodeRows(bytes: Uint8Array, { name, columns, dtype }: Matrix, { row, rows }: RowRange): Float32Array {
  const values = decodeFloats(bytes, dtype, rows * columns);
  checkFinite(values, row * columns, name);
  return values;
}

/** The same, read from a tensor. */
export async function readRows({ data }: StoredTensor, matrix: Matrix, range: RowRange): Promise<Float32Array> {
  const at = (rows: number): number => byteLength(matrix.dtype, rows * matrix.columns);
  return decodeRows(await data.read(at(range.row), at(range.rows)), matrix, range);
}
