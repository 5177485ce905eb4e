/** Protobuf's wire format, write side: what is written collects in one buffer; weights are only noted, with their size. */
import type { ByteSource } from "../../ir/source.ts";
import { isBytes, type Piece } from "../stream.ts";
import { BYTES, FIXED32, VARINT } from "./wire.ts";

/** Content of a message, without tag and length: writes itself when asked. */
export type Part = (to: Sink) => void;

/** A message whose size is known before any weight is read. */
export interface Encoded {
  readonly size: number;
  readonly pieces: readonly Piece[];
}

/** Bytes so far, and the sources that belong between them, each before the byte at `at`. */
export interface Sink {
  buffer: Uint8Array;
  used: number;
  readonly sources: { at: number; readonly source: ByteSource }[];
  /** Bytes of all sources. */
  sourced: number;
}

export const sink = (): Sink => ({ buffer: new Uint8Array(256), used: 0, sources: [], sourced: 0 });

/** A message of bytes that exist already. */
export const part =
  (piece: Piece): Part =>
  (to) =>
    put(to, piece);

function room(to: Sink, bytes: number): void {
  if (to.used + bytes <= to.buffer.length) return;
  const grown = new Uint8Array(Math.max(to.buffer.length * 2, to.used + bytes));
  grown.set(to.buffer.subarray(0, to.used));
  to.buffer = grown;
}

/** Appends bytes or a source. */
export function put(to: Sink, piece: Piece): void {
  if (isBytes(piece)) {
    room(to, piece.length);
    to.buffer.set(piece, to.used);
    to.used += piece.length;
  } else {
    to.sources.push({ at: to.used, source: piece });
    to.sourced += piece.size;
  }
}

/** A varint of a whole number from 0 to 2^53. */
export function putUnsigned(to: Sink, value: number): void {
  room(to, 8);
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) to.buffer[to.used++] = (left % 0x80) | 0x80;
  to.buffer[to.used++] = left;
}

/** Two's complement, ten bytes when negative. */
function putBigInt(to: Sink, value: bigint): void {
  room(to, 10);
  let left = BigInt.asUintN(64, value);
  for (; left >= 0x80n; left >>= 7n) to.buffer[to.used++] = Number(left & 0x7fn) | 0x80;
  to.buffer[to.used++] = Number(left);
}

/** A varint of a signed 64-bit integer. */
export function putInt64(to: Sink, value: number | bigint): void {
  if (typeof value === "number" && value >= 0) putUnsigned(to, value);
  else putBigInt(to, BigInt(value));
}

/** Tag and value of a whole-number field. */
export function putIntField(to: Sink, id: number, value: number | bigint): void {
  putUnsigned(to, id * 8 + VARINT);
  putInt64(to, value);
}

const scratch = new Uint8Array(4);
const view = new DataView(scratch.buffer);

/** Tag and value of a float field. */
export function putFloatField(to: Sink, id: number, value: number): void {
  putUnsigned(to, id * 8 + FIXED32);
  view.setFloat32(0, value, true);
  put(to, scratch);
}

/** Tag, length and content of a bytes field. */
export function putBytesField(to: Sink, id: number, piece: Piece): void {
  putUnsigned(to, id * 8 + BYTES);
  putUnsigned(to, isBytes(piece) ? piece.length : piece.size);
  put(to, piece);
}

function varintLength(value: number): number {
  let length = 1;
  for (let left = value; left >= 0x80; left = Math.floor(left / 0x80)) length++;
  return length;
}

/** Tag, length and content of a message field: the content is written first, then moved to make room for its length. */
export function putMessageField(to: Sink, id: number, content: Part): void {
  putUnsigned(to, id * 8 + BYTES);
  const start = to.used;
  const sourcedBefore = to.sourced;
  const sourcesBefore = to.sources.length;
  content(to);
  const size = to.used - start + to.sourced - sourcedBefore;
  const shift = varintLength(size);
  const end = to.used + shift;
  room(to, shift);
  to.buffer.copyWithin(start + shift, start, to.used);
  for (let i = sourcesBefore; i < to.sources.length; i++) to.sources[i]!.at += shift;
  to.used = start;
  putUnsigned(to, size);
  to.used = end;
}

/** What a message is made of, in order. */
export function finish(content: Part): Encoded {
  const to = sink();
  content(to);
  const pieces: Piece[] = [];
  let from = 0;
  for (const { at, source } of to.sources) {
    if (at > from) pieces.push(to.buffer.subarray(from, at));
    pieces.push(source);
    from = at;
  }
  if (to.used > from) pieces.push(to.buffer.subarray(from, to.used));
  return { size: to.used + to.sourced, pieces };
}
