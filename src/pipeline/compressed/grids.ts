/** Scales and zero points of a whole matrix: found once, piece by piece, and kept until all that needs them is written. */
import { type CompressedForm, type Matrix, type PartKind, spanOf } from "../../containers/compressed-tensors/index.ts";
import { clippedGrids, coveringGrids, type ScaleType, type SpanParams, type SpanType } from "../../kernels/spans.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { byteLength } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import type { RowRange } from "./rows.ts";

/** How grids are chosen. */
export type CompressedAlgorithm = "rtn" | "mse";

const FIND = { rtn: coveringGrids, mse: clippedGrids } as const satisfies Record<CompressedAlgorithm, unknown>;

/** Scales and zero points as they are stored: scales in the bytes of their type, zero points one byte each. */
export interface StoredGrids {
  readonly scales: Uint8Array;
  readonly zeroPoints: Int8Array;
}

/** Grids of a matrix, as far as they are known. */
export interface MatrixGrids {
  /** Those of some rows; `values` are the rows'. Ranges come in order. */
  of(values: Float32Array, range: RowRange): SpanParams;
  /** Those of all rows; undefined until each was asked for. Symmetric ones have no zero points. */
  complete(): StoredGrids | undefined;
  /** One of the tensors is written; after the last of them nothing is kept. */
  written(kind: PartKind): void;
}

interface Kept extends StoredGrids {
  rows: number;
}

/** Grids of one matrix; `kinds` are the tensors that are made of them. */
export function matrixGrids(
  matrix: Matrix,
  form: CompressedForm,
  algorithm: CompressedAlgorithm,
  kinds: readonly PartKind[],
): MatrixGrids {
  const { name, rows, columns } = matrix;
  const { dtype, symmetric } = form.weights;
  const scaleType = matrix.dtype as ScaleType;
  const span = spanOf(form, columns);
  const groups = columns / span;
  const left = new Set(kinds);
  let kept: Kept | undefined;

  function find(values: Float32Array, { row, rows: count }: RowRange): SpanParams {
    const found = FIND[algorithm](values, span, { dtype: dtype as SpanType, symmetric }, scaleType);
    if (found.scales.every(Number.isFinite)) return found;
    return fail("data", `tensor "${name}": rows ${row} to ${row + count - 1} hold values too large for a scale`);
  }

  const begin = (): Kept => ({
    rows: 0,
    scales: new Uint8Array(byteLength(scaleType, rows * groups)),
    zeroPoints: new Int8Array(symmetric ? 0 : rows * groups),
  });

  function keep({ scales, zeroPoints }: SpanParams, to: Kept, { row, rows: count }: RowRange): void {
    to.scales.set(encodeFloats(scales, scaleType), byteLength(scaleType, row * groups));
    if (!symmetric) to.zeroPoints.set(zeroPoints, row * groups);
    to.rows = row + count;
  }

  function recall({ scales, zeroPoints }: Kept, { row, rows: count }: RowRange): SpanParams {
    const [from, to] = [row * groups, (row + count) * groups];
    return {
      scales: decodeFloats(scales.subarray(byteLength(scaleType, from), byteLength(scaleType, to)), scaleType),
      zeroPoints: symmetric ? new Int8Array(to - from) : zeroPoints.subarray(from, to),
    };
  }

  return {
    of(values, range) {
      kept ??= begin();
      if (kept.rows >= range.row + range.rows) return recall(kept, range);
      const found = find(values, range);
      keep(found, kept, range);
      return found;
    },
    complete: () => (kept?.rows === rows ? kept : undefined),
    written(kind) {
      left.delete(kind);
      if (left.size === 0) kept = undefined;
    },
  };
}
