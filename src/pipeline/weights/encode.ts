/** Pieces of tensors as blocks; memory follows the piece. */
import type { ByteSource } from "../../ir/source.ts";
import {
  decodeGgml,
  encodeGgml,
  ggmlBuffers,
  ggmlDifference,
  MOST_COMPARED,
  type Noise,
} from "../../kernels/ggml/index.ts";
import { fail } from "../../numeric/errors.ts";
import { columnsOf, type Encoding, type Piece, piecesOf, type TensorWork } from "./cut.ts";

/** The longest block of any type. */
const LONGEST_BLOCK = 256;

/** Nothing was measured. */
export const silence: Noise = { signal: 0, noise: 0 };

/** Both together. */
export const addNoise = (a: Noise, b: Noise): Noise => ({ signal: a.signal + b.signal, noise: a.noise + b.noise });

/** A tensor whose rows are encoded. */
export interface EncodedWork extends TensorWork {
  readonly encoding: Encoding;
}

/** What a piece became; the bytes hold until the next piece is encoded. */
export interface EncodedPiece {
  readonly bytes: Uint8Array;
  readonly noise: Noise;
}

/** Encodes pieces one after the other, in memory of its own. */
export interface PieceEncoder {
  /** Where the bytes that the piece has in the source are to be put. */
  source(work: EncodedWork, piece: Piece): Uint8Array;
  /** Encodes what was put there; errors of the data name the tensor and the index. */
  encode(work: EncodedWork, piece: Piece, importance: Float32Array | undefined): EncodedPiece;
}

const valuesOf = (work: EncodedWork, piece: Piece): number => piece.units * columnsOf(work);

const bytesOfFloats = ({ buffer, byteOffset }: Float32Array, length: number): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length);

/** The bytes of a float32 source are its values; others are decoded. */
function sourceRoom(work: EncodedWork, piece: Piece): Uint8Array {
  const { input, values } = ggmlBuffers(valuesOf(work, piece));
  const length = piece.units * work.cut.before;
  return work.encoding.from === "f32" ? bytesOfFloats(values, length) : input.subarray(0, length);
}

/** What the error is measured on, of a piece with so many values: whole blocks from its beginning; of all more change the decibels by some hundredths. */
function measuredCount({ cut, shape }: TensorWork, count: number): number {
  const all = cut.matrices * cut.units * columnsOf({ shape });
  const share = Math.min(1, MOST_COMPARED / Math.max(1, all));
  return Math.min(count, MOST_COMPARED, Math.ceil((count * share) / LONGEST_BLOCK) * LONGEST_BLOCK);
}

/** An encoder whose pieces lie where the kernels work. */
export function pieceEncoder(): PieceEncoder {
  return {
    source: sourceRoom,
    encode(work, piece, importance) {
      const { name, encoding, cut } = work;
      const { from, to, allowsNoImportance } = encoding;
      const [columns, count] = [columnsOf(work), valuesOf(work, piece)];
      const buffers = ggmlBuffers(count);
      const values = buffers.values.subarray(0, count);
      if (from !== "f32") decodeGgml(from, sourceRoom(work, piece), values, name);
      const bytes = buffers.output.subarray(0, piece.units * cut.after);
      const own = importance?.subarray(piece.matrix * columns, (piece.matrix + 1) * columns);
      const rows = { name, rows: piece.units, columns, first: piece.first * columns, allowsNoImportance };
      encodeGgml(to, values, bytes, { ...rows, ...(own && { importance: own }) });
      return { bytes, noise: ggmlDifference(to, values, bytes, measuredCount(work, count)) };
    },
  };
}

/** Told of each piece: bytes of the source that are done, and the noise of what was measured. */
export type OnPiece = (bytes: number, noise: Noise) => void;

async function* encodeAll(
  work: EncodedWork,
  data: ByteSource,
  importance: Float32Array | undefined,
  onPiece: OnPiece,
): AsyncIterable<Uint8Array> {
  const { before } = work.cut;
  const encoder = pieceEncoder();
  for (const piece of piecesOf(work.cut)) {
    const source = await data.read(piece.first * before, piece.units * before);
    encoder.source(work, piece).set(source);
    const { bytes, noise } = encoder.encode(work, piece, importance);
    onPiece(source.length, noise);
    yield bytes.slice();
  }
}

/** A tensor's blocks, made when the file is written. */
export function encodedSource(
  work: EncodedWork,
  data: ByteSource,
  importance: Float32Array | undefined,
  onPiece: OnPiece,
): ByteSource {
  const { matrices, units, after } = work.cut;
  const size = matrices * units * after;
  return {
    size,
    chunks: () => encodeAll(work, data, importance, onPiece),
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > size)
        fail("format", `bytes ${offset} to ${offset + length} lie outside a tensor of ${size} bytes`);
      const all = new Uint8Array(size);
      let at = 0;
      for await (const piece of encodeAll(work, data, importance, () => {})) {
        all.set(piece, at);
        at += piece.length;
      }
      return all.subarray(offset, offset + length);
    },
  };
}
