/** Files to be written, as streams of bounded chunks. */
import { type ByteSource, readAll } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";

/** Bytes in memory, or bytes that are fetched when they are written. */
export type Piece = Uint8Array | ByteSource;

/** Whether a piece is in memory. */
export const isBytes = (piece: Piece): piece is Uint8Array => piece instanceof Uint8Array;

/** Pieces in which a large tensor is copied from file to file. */
export const COPY_BYTES = 8 * 1024 * 1024;

/** A file whose size is known before any weight is read. */
export interface OutputFile {
  readonly name: string;
  readonly size: number;
  /** The content in order. Holds one chunk at a time: 8 MiB of a file, or one computed tensor or piece of one. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** Pieces below this are gathered, so that a file is not written in thousands of tiny parts. */
const BATCH_BYTES = 256 * 1024;

async function* partsOf(source: ByteSource): AsyncIterable<Uint8Array> {
  if (source.chunks !== undefined) {
    yield* source.chunks();
    return;
  }
  if (!source.seekable) {
    yield await readAll(source);
    return;
  }
  for (let offset = 0; offset < source.size; offset += COPY_BYTES)
    yield await source.read(offset, Math.min(COPY_BYTES, source.size - offset));
}

async function* unbatched(pieces: Iterable<Piece>): AsyncIterable<Uint8Array> {
  for (const piece of pieces) {
    if (isBytes(piece)) yield piece;
    else yield* partsOf(piece);
  }
}

async function* batched(parts: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let batch = new Uint8Array(BATCH_BYTES);
  let used = 0;
  for await (const part of parts) {
    if (used > 0 && used + part.length > BATCH_BYTES) {
      yield batch.subarray(0, used);
      batch = new Uint8Array(BATCH_BYTES);
      used = 0;
    }
    if (part.length >= BATCH_BYTES) yield part;
    else {
      batch.set(part, used);
      used += part.length;
    }
  }
  if (used > 0) yield batch.subarray(0, used);
}

async function* checked(name: string, size: number, parts: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let written = 0;
  for await (const part of parts) {
    written += part.length;
    if (written > size) break;
    yield part;
  }
  if (written !== size)
    fail("format", `"${name}": the weights gave ${written} bytes or more where ${size} were promised`);
}

/** A file made of pieces. */
export const pieceFile = (name: string, size: number, pieces: Iterable<Piece>): OutputFile => ({
  name,
  size,
  chunks: () => checked(name, size, batched(unbatched(pieces))),
});
