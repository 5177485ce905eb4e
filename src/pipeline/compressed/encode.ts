/** One weight matrix as the tensors that stand for it: rows are read, encoded and handed on in pieces. */
import {
  type CompressedForm,
  type Matrix,
  type Part,
  type PartKind,
  packedBits,
  packRows,
  packZeroPoints,
  spanOf,
} from "../../containers/compressed-tensors/index.ts";
import { type ByteSource, bytesSource, pieceSource } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { encodeSpans, type SpanType } from "../../kernels/spans.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { type CompressedAlgorithm, type MatrixGrids, matrixGrids, type StoredGrids } from "./grids.ts";
import { piecesOf, readRows } from "./rows.ts";

/** What is encoded, and how. */
export interface MatrixEncoding {
  readonly tensor: StoredTensor;
  readonly matrix: Matrix;
  readonly parts: readonly Part[];
  readonly form: CompressedForm;
  readonly algorithm: CompressedAlgorithm;
  /** So many bytes of the source were read. */
  readonly onBytes: (bytes: number) => void;
}

/** The rows piece by piece, each with its grids. */
async function* eachPiece({ tensor, matrix, onBytes }: MatrixEncoding, grids: MatrixGrids) {
  for (const range of piecesOf(matrix)) {
    const values = await readRows(tensor, matrix, range);
    onBytes((tensor.data.size / matrix.rows) * range.rows);
    yield { values, params: grids.of(values, range) };
  }
}

async function allGrids(encoding: MatrixEncoding, grids: MatrixGrids): Promise<StoredGrids> {
  const known = grids.complete();
  if (known !== undefined) return known;
  for await (const { params } of eachPiece(encoding, grids)) void params;
  return grids.complete()!;
}

async function* codes(encoding: MatrixEncoding, grids: MatrixGrids) {
  const { matrix, form } = encoding;
  const bits = packedBits(form);
  for await (const { values, params } of eachPiece(encoding, grids)) {
    const encoded = encodeSpans(values, spanOf(form, matrix.columns), form.weights.dtype as SpanType, params);
    yield bits === undefined ? encoded : packRows(encoded, bits);
  }
  grids.written("codes");
}

async function* scales(encoding: MatrixEncoding, grids: MatrixGrids) {
  const found = await allGrids(encoding, grids);
  grids.written("scales");
  yield found.scales;
}

async function* zeroPoints(encoding: MatrixEncoding, grids: MatrixGrids) {
  const { matrix, form } = encoding;
  const found = packZeroPoints((await allGrids(encoding, grids)).zeroPoints, matrix.rows, packedBits(form)!);
  grids.written("zeroPoints");
  yield found;
}

type Chunks = (encoding: MatrixEncoding, grids: MatrixGrids) => AsyncIterable<Uint8Array>;

/** What is made of the grids. */
const CHUNKS: Readonly<Record<Exclude<PartKind, "shape">, Chunks>> = { codes, scales, zeroPoints };

const shapeOf = ({ rows, columns }: Matrix): ByteSource =>
  bytesSource(bytesOf(BigInt64Array.of(BigInt(rows), BigInt(columns))));

/**
 * The tensors of a matrix, made when they are read, in any order: files want codes first or scales first. Scales and
 * zero points are kept in memory until all of them are written: 2 to 5 bytes for each span.
 */
export function encodedTensors(encoding: MatrixEncoding, sizeOf: (part: Part) => number): readonly StoredTensor[] {
  const { matrix, parts, form, algorithm } = encoding;
  const kinds = parts.map(({ kind }) => kind).filter((kind) => kind !== "shape");
  const grids = matrixGrids(matrix, form, algorithm, kinds);
  const sourceOf = (part: Part): ByteSource => {
    const { kind } = part;
    return kind === "shape" ? shapeOf(matrix) : pieceSource(sizeOf(part), () => CHUNKS[kind](encoding, grids));
  };
  return parts.map((part) => ({ name: part.name, type: part.type, shape: part.shape, data: sourceOf(part) }));
}
