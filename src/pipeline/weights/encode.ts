/** One tensor as blocks: rows are read, decoded, encoded and handed on in pieces, so memory follows the piece. */
import type { ByteSource } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { decodeGgml, encodeGgml, type GgmlFormatName, ggmlBytes } from "../../kernels/ggml/index.ts";
import { typedView } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { addErrors, type ErrorSums, noErrors } from "../../numeric/metrics.ts";

/** Values of a piece, 4 MB of float32; a longer row is a piece of its own. */
const PIECE_VALUES = 1 << 20;
/** Values of a tensor that the error is measured on, spread over its pieces: the decibels of more differ in the second digit behind the point. */
const MEASURED_VALUES = 1 << 18;

/** What is encoded into what. */
export interface Encoding {
  readonly tensor: StoredTensor;
  readonly from: GgmlFormatName;
  readonly to: GgmlFormatName;
  /** One weight per column for each matrix, where known. */
  readonly importance?: Float32Array;
  readonly allowsNoImportance: boolean;
}

/** Told of each piece: bytes of the source that are done, and errors of the rows that were measured. */
export type OnPiece = (bytes: number, errors: ErrorSums) => void;

/** Rows that one call may encode: not beyond a matrix, since each has its importance. */
interface Piece {
  readonly row: number;
  readonly rows: number;
  readonly matrix: number;
}

function* piecesOf(columns: number, rowsOfMatrix: number, matrices: number): Iterable<Piece> {
  const most = Math.max(1, Math.floor(PIECE_VALUES / columns));
  for (let matrix = 0; matrix < matrices; matrix++)
    for (let row = 0; row < rowsOfMatrix; row += most)
      yield { row: matrix * rowsOfMatrix + row, rows: Math.min(most, rowsOfMatrix - row), matrix };
}

function decode(bytes: Uint8Array, from: GgmlFormatName, count: number, name: string): Float32Array {
  if (from === "f32") return typedView(bytes, "float32") as Float32Array;
  const out = new Float32Array(count);
  decodeGgml(from, bytes, out, name);
  return out;
}

/** Columns, rows of one matrix, and matrices of a shape. */
function lengthsOf(shape: readonly number[]): readonly [number, number, number] {
  const product = (lengths: readonly number[]) => lengths.reduce((so, length) => so * length, 1);
  return [shape.at(-1) ?? 1, shape.at(-2) ?? 1, product(shape.slice(0, -2))];
}

function measure(to: GgmlFormatName, values: Float32Array, blocks: Uint8Array, count: number, name: string): ErrorSums {
  const back = new Float32Array(count);
  decodeGgml(to, blocks.subarray(0, ggmlBytes(to, count)), back, name);
  return addErrors(noErrors, values.subarray(0, count), back);
}

async function encodePiece(encoding: Encoding, columns: number, { row, rows, matrix }: Piece, share: number) {
  const { tensor, from, to, importance, allowsNoImportance } = encoding;
  const { name, data } = tensor;
  const [first, count] = [row * columns, rows * columns];
  const source = await data.read(ggmlBytes(from, first), ggmlBytes(from, count));
  const values = decode(source, from, count, name);
  const blocks = new Uint8Array(ggmlBytes(to, count));
  const own = importance?.subarray(matrix * columns, (matrix + 1) * columns);
  encodeGgml(to, values, blocks, { name, rows, columns, first, allowsNoImportance, ...(own && { importance: own }) });
  const measured = Math.ceil(rows * share) * columns;
  return { blocks, read: source.length, errors: measure(to, values, blocks, measured, name) };
}

async function* encodeAll(encoding: Encoding, onPiece: OnPiece): AsyncIterable<Uint8Array> {
  const [columns, rows, matrices] = lengthsOf(encoding.tensor.shape);
  const share = Math.min(1, MEASURED_VALUES / Math.max(1, columns * rows * matrices));
  for (const piece of piecesOf(columns, rows, matrices)) {
    const { blocks, read, errors } = await encodePiece(encoding, columns, piece, share);
    onPiece(read, errors);
    yield blocks;
  }
}

/** A tensor's blocks, made when the file is written; errors of the data name the tensor and the index. */
export function encodedSource(size: number, encoding: Encoding, onPiece: OnPiece): ByteSource {
  return {
    size,
    chunks: () => encodeAll(encoding, onPiece),
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > size)
        fail("format", `bytes ${offset} to ${offset + length} lie outside a tensor of ${size} bytes`);
      const all = new Uint8Array(size);
      let at = 0;
      for await (const piece of encodeAll(encoding, () => {})) {
        all.set(piece, at);
        at += piece.length;
      }
      return all.subarray(offset, offset + length);
    },
  };
}
