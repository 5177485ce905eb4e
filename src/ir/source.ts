/** Where in a file on disk bytes begin. */
export interface FilePlace {
  readonly path: string;
  readonly offset: number;
}

/** Bytes that are fetched when asked for: a file, a part of one, a buffer, or something computed on demand. */
export interface ByteSource {
  readonly size: number;
  /** True where reading in parts costs no more than reading the whole: a file, a buffer, a slice of one. */
  readonly seekable?: true;
  /** The whole, where it is in memory anyway; must not be written to. */
  readonly bytes?: Uint8Array;
  /** Where they lie on disk, for threads that read them by themselves. */
  readonly place?: FilePlace;
  /** The whole in order, for what is computed piece by piece; writers prefer it to `read`. */
  chunks?(): AsyncIterable<Uint8Array>;
  /** Bytes [offset, offset + length); a range outside [0, size] is an error. The result must not be written to. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

import { fail } from "../numeric/errors.ts";

const inRange = (source: { size: number }, offset: number, length: number): void => {
  if (offset < 0 || length < 0 || offset + length > source.size)
    fail("format", `bytes ${offset} to ${offset + length} lie outside a source of ${source.size} bytes`);
};

/** A buffer already in memory. */
export const bytesSource = (bytes: Uint8Array): ByteSource => ({
  size: bytes.byteLength,
  seekable: true,
  bytes,
  async read(offset, length) {
    inRange(this, offset, length);
    return bytes.subarray(offset, offset + length);
  },
});

/** The part [offset, offset + size) of another source. */
export const sliceSource = (parent: ByteSource, offset: number, size: number): ByteSource => {
  inRange(parent, offset, size);
  return {
    size,
    ...(parent.seekable && { seekable: true }),
    ...(parent.bytes && { bytes: parent.bytes.subarray(offset, offset + size) }),
    ...(parent.place && { place: { path: parent.place.path, offset: parent.place.offset + offset } }),
    read(start, length) {
      inRange(this, start, length);
      return parent.read(offset + start, length);
    },
  };
};

/** Several sources behind each other. */
export function joinedSource(parts: readonly ByteSource[]): ByteSource {
  const ends: number[] = [];
  for (const { size } of parts) ends.push((ends.at(-1) ?? 0) + size);
  return {
    size: ends.at(-1) ?? 0,
    ...(parts.every(({ seekable }) => seekable) && { seekable: true }),
    async read(offset, length) {
      inRange(this, offset, length);
      const end = offset + length;
      const touched = parts.flatMap((part, i) => {
        const start = ends[i]! - part.size;
        const [from, to] = [Math.max(offset, start), Math.min(end, ends[i]!)];
        return from < to ? [{ part, at: from - start, size: to - from }] : [];
      });
      const [only, ...more] = touched;
      if (only !== undefined && more.length === 0) return only.part.read(only.at, only.size);
      const bytes = new Uint8Array(length);
      let at = 0;
      for (const { part, at: from, size } of touched) {
        bytes.set(await part.read(from, size), at);
        at += size;
      }
      return bytes;
    },
  };
}

/** Bytes computed whenever they are read; nothing is kept, so peak memory is one result. */
export const computedSource = (size: number, compute: () => Promise<Uint8Array> | Uint8Array): ByteSource => ({
  size,
  async read(offset, length) {
    inRange(this, offset, length);
    const bytes = await compute();
    if (bytes.byteLength !== size) fail("format", `computed ${bytes.byteLength} bytes where ${size} were promised`);
    return bytes.subarray(offset, offset + length);
  },
});

/** Bytes that are computed in pieces, in order; reading a part computes all of them, so writers use `chunks`. */
export const pieceSource = (size: number, chunks: () => AsyncIterable<Uint8Array>): ByteSource => ({
  size,
  chunks,
  async read(offset, length) {
    inRange(this, offset, length);
    return (await collect({ size, chunks })).subarray(offset, offset + length);
  },
});

/** All bytes of a source. */
export const readAll = (source: ByteSource): Promise<Uint8Array> => source.read(0, source.size);

/** A file that is written piece by piece. */
export interface Chunked {
  readonly size: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** All bytes of a file that is written piece by piece, in one buffer. */
export async function collect(file: Chunked): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.size);
  let at = 0;
  for await (const chunk of file.chunks()) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
