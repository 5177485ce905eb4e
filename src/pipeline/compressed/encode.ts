/** Rows of a matrix as the bytes of the tensors that stand for it. */
import {
  type CompressedForm,
  type Matrix,
  type PartKind,
  packedBits,
  packRows,
  packZeroPoints,
  spanOf,
} from "../../containers/compressed-tensors/index.ts";
import { clippedGrids, coveringGrids, encodeSpans, type ScaleType, type SpanType } from "../../kernels/spans.ts";
import { bytesOf, encodeFloats } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { decodeRows, type RowRange } from "./rows.ts";

/** How grids are chosen. */
export type CompressedAlgorithm = "rtn" | "mse";

const FIND = { rtn: coveringGrids, mse: clippedGrids } as const satisfies Record<CompressedAlgorithm, unknown>;

/** Into what a model is encoded. Plain data: it is sent to threads. */
export interface CompressedEncoding {
  readonly form: CompressedForm;
  readonly algorithm: CompressedAlgorithm;
}

/** Bytes of each tensor that stands for a matrix; "shape" is there with the last rows alone. */
export type EncodedRows = Readonly<Partial<Record<PartKind, Uint8Array>>>;

const shapeOf = ({ rows, columns }: Matrix): Uint8Array => bytesOf(BigInt64Array.of(BigInt(rows), BigInt(columns)));

/**
 * What rows become, given their bytes in the source. Pieces start at a multiple of eight rows. Fails with code "data" for
 * values that are not finite, or too large for a scale.
 */
export function encodeRows(
  bytes: Uint8Array,
  matrix: Matrix,
  range: RowRange,
  { form, algorithm }: CompressedEncoding,
): EncodedRows {
  const { name, columns } = matrix;
  const { row, rows } = range;
  const values = decodeRows(bytes, matrix, range);
  const [dtype, scaleType] = [form.weights.dtype as SpanType, matrix.dtype as ScaleType];
  const { symmetric } = form.weights;
  const span = spanOf(form, columns);
  const params = FIND[algorithm](values, span, { dtype, symmetric }, scaleType);
  if (!params.scales.every(Number.isFinite))
    fail("data", `tensor "${name}": rows ${row} to ${row + rows - 1} hold values too large for a scale`);
  const codes = encodeSpans(values, span, dtype, params);
  const bits = packedBits(form);
  const scales = encodeFloats(params.scales, scaleType);
  if (bits === undefined) return { codes, scales };
  return {
    ...{ codes: packRows(codes, bits), scales },
    ...(!symmetric && { zeroPoints: packZeroPoints(params.zeroPoints, rows, bits) }),
    ...(row + rows === matrix.rows && { shape: shapeOf(matrix) }),
  };
}
