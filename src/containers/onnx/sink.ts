/** Protobuf's wire format, write side: a growing list of pieces whose total size is known before any weight is read. */
import type { ByteSource } from "../../ir/source.ts";
import { BYTES, FIXED32, VARINT } from "./wire.ts";

/** Bytes in memory, or bytes that are fetched when they are written. */
export type Piece = Uint8Array | ByteSource;

/** A message, ready to be written, without tag and length. */
export interface Encoded {
  readonly size: number;
  readonly pieces: readonly Piece[];
}

export const isBytes = (piece: Piece): piece is Uint8Array => piece instanceof Uint8Array;
const sizeOf = (piece: Piece): number => (isBytes(piece) ? piece.length : piece.size);

/** One piece as a message. */
export const encoded = (piece: Piece): Encoded => ({ size: sizeOf(piece), pieces: [piece] });

/** Collects what is written: small bytes in one growing buffer, sources between. */
export interface Sink {
  buffer: Uint8Array;
  used: number;
  size: number;
  readonly pieces: Piece[];
}

export const sink = (): Sink => ({ buffer: new Uint8Array(64), used: 0, size: 0, pieces: [] });

function room(to: Sink, bytes: number): void {
  if (to.used + bytes <= to.buffer.length) return;
  const grown = new Uint8Array(Math.max(to.buffer.length * 2, to.used + bytes));
  grown.set(to.buffer.subarray(0, to.used));
  to.buffer = grown;
}

function byte(to: Sink, value: number): void {
  room(to, 1);
  to.buffer[to.used++] = value;
  to.size++;
}

/** Bytes above this are kept as a piece of their own rather than copied again. */
const COPY_LIMIT = 16 * 1024;

/** Appends bytes or a source. */
export function put(to: Sink, piece: Piece): void {
  const size = sizeOf(piece);
  if (isBytes(piece) && size <= COPY_LIMIT) {
    room(to, size);
    to.buffer.set(piece, to.used);
    to.used += size;
  } else {
    flush(to);
    to.pieces.push(piece);
  }
  to.size += size;
}

function flush(to: Sink): void {
  if (to.used === 0) return;
  to.pieces.push(to.buffer.slice(0, to.used));
  to.used = 0;
}

/** What was collected. */
export function finish(to: Sink): Encoded {
  flush(to);
  return { size: to.size, pieces: to.pieces };
}

/** A varint of a whole number from 0 to 2^53. */
export function putUnsigned(to: Sink, value: number): void {
  let left = value;
  while (left >= 0x80) {
    byte(to, (left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  byte(to, left);
}

/** Two's complement, ten bytes when negative. */
function putBigInt(to: Sink, value: bigint): void {
  let left = BigInt.asUintN(64, value);
  while (left >= 0x80n) {
    byte(to, Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  byte(to, Number(left));
}

/** A varint of a signed 64-bit integer. */
export function putInt64(to: Sink, value: number | bigint): void {
  if (typeof value === "number" && value >= 0) putUnsigned(to, value);
  else putBigInt(to, BigInt(value));
}

const scratch = new Uint8Array(4);
const view = new DataView(scratch.buffer);

/** Tag and value of a whole-number field. */
export function putIntField(to: Sink, id: number, value: number | bigint): void {
  putUnsigned(to, id * 8 + VARINT);
  putInt64(to, value);
}

/** Tag and value of a float field. */
export function putFloatField(to: Sink, id: number, value: number): void {
  putUnsigned(to, id * 8 + FIXED32);
  view.setFloat32(0, value, true);
  put(to, scratch);
}

/** Tag, length and pieces of a bytes or message field. */
export function putField(to: Sink, id: number, { size, pieces }: Encoded): void {
  putUnsigned(to, id * 8 + BYTES);
  putUnsigned(to, size);
  for (const piece of pieces) put(to, piece);
}
