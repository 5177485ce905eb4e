/** Protobuf's wire format, read side: https://protobuf.dev/programming-guides/encoding/ */
import { fail } from "../../numeric/errors.ts";
import { MAX_DEPTH } from "./limits.ts";

/** Wire types. A group (3, ended by 4) is old, still legal, and skipped as a whole. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const GROUP = 3;
export const GROUP_END = 4;
export const FIXED32 = 5;
/** Not protobuf's: several small fields in one stretch of bytes, as the scan keeps them. */
export const RUN = 6;

/** Largest tag and length together: two varints of ten bytes. */
export const MAX_HEADER = 20;

/** A reading position; `lo` and `hi` hold the last varint's 64 bits as two unsigned halves. */
export interface Cursor {
  /** Begins every message. */
  readonly where: string;
  readonly bytes: Uint8Array;
  readonly end: number;
  /** File offset of bytes[0], for messages. */
  readonly base: number;
  pos: number;
  lo: number;
  hi: number;
}

export const cursor = (bytes: Uint8Array, start: number, end: number, base: number, where = "onnx"): Cursor => ({
  where,
  bytes,
  end,
  base,
  pos: start,
  lo: 0,
  hi: 0,
});

const truncated = (at: Cursor): never =>
  fail("format", `${at.where}: the data breaks off at byte ${at.base + at.end}; the file is truncated or damaged`);

/** Reads a varint of at most ten bytes into `lo` and `hi`; returns `lo`. */
export function varint(at: Cursor): number {
  let lo = 0;
  let hi = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (at.pos >= at.end) truncated(at);
    const byte = at.bytes[at.pos++]!;
    const bits = byte & 0x7f;
    if (shift < 28) lo |= bits << shift;
    else if (shift === 28) {
      lo |= bits << 28;
      hi = bits >>> 4;
    } else if (shift < 63) hi |= bits << (shift - 32);
    else hi |= bits << 31;
    if (byte < 0x80) {
      at.lo = lo >>> 0;
      at.hi = hi >>> 0;
      return at.lo;
    }
  }
  return fail(
    "format",
    `${at.where}: a number at byte ${at.base + at.pos} is longer than ten bytes; the file is damaged`,
  );
}

const fixed32 = (at: Cursor): number => {
  if (at.pos + 4 > at.end) truncated(at);
  const { bytes, pos } = at;
  at.pos += 4;
  return (bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24)) >>> 0;
};

/** Two unsigned halves as a signed 64-bit integer: a number where exact, else a bigint. */
export const int64 = (lo: number, hi: number): number | bigint => {
  const high = hi | 0;
  if (high >= -0x200000 && high < 0x200000) return high * 0x1_0000_0000 + lo;
  return (BigInt(high) << 32n) | BigInt(lo);
};

/** One field of a message, by its place in the file: [start, end) with the tag, [offset, end) without. */
export interface Field {
  readonly id: number;
  readonly wire: number;
  readonly start: number;
  readonly offset: number;
  readonly end: number;
  /** The value of a number, as two unsigned halves. */
  readonly lo: number;
  readonly hi: number;
  /** Buffer that holds the field, from `at` on; null where the bytes were left in the file. */
  readonly bytes: Uint8Array | null;
  readonly at: number;
  /** Fields of a large message, found without loading it. */
  readonly fields: readonly Field[] | null;
}

/** Tag of the field at the cursor: number * 8 + wire type. Fails on numbers and types protobuf doesn't have. */
export function tag(at: Cursor): number {
  const start = at.base + at.pos;
  varint(at);
  const id = at.lo >>> 3;
  const wire = at.lo & 7;
  if (at.hi !== 0 || id === 0 || wire > FIXED32 || wire === GROUP_END)
    fail("format", `${at.where}: byte ${start} starts no protobuf field; the file is damaged or something else`);
  return at.lo;
}

/** Length of the bytes field at the cursor, checked against the end of the message around it. */
export function payloadLength(at: Cursor, limit: number): number {
  varint(at);
  const length = at.hi === 0 ? at.lo : Number.POSITIVE_INFINITY;
  if (at.base + at.pos + length > limit)
    fail(
      "format",
      `${at.where}: the field before byte ${at.base + at.pos} claims ${at.hi * 2 ** 32 + at.lo} bytes, but only ${limit - at.base - at.pos} are left; the file is truncated or damaged`,
    );
  return length;
}

/** Moves past a group, whose tag was read, up to and with its end. */
export function skipGroup(at: Cursor, id: number, depth = 0): void {
  if (depth > MAX_DEPTH) fail("limit", `${at.where}: groups nest deeper than ${MAX_DEPTH} at byte ${at.base + at.pos}`);
  for (;;) {
    varint(at);
    const wire = at.lo & 7;
    const inner = at.lo >>> 3;
    if (wire === GROUP_END) {
      if (inner === id) return;
      fail("format", `${at.where}: the group ended at byte ${at.base + at.pos} was never begun; the file is damaged`);
    }
    skipValue(at, wire, inner, depth);
  }
}

function skipValue(at: Cursor, wire: number, id: number, depth: number): void {
  if (wire === VARINT) varint(at);
  else if (wire === FIXED64) at.pos += 8;
  else if (wire === FIXED32) at.pos += 4;
  else if (wire === BYTES) at.pos += payloadLength(at, at.base + at.end);
  else if (wire === GROUP) skipGroup(at, id, depth + 1);
  else fail("format", `${at.where}: wire type ${wire} at byte ${at.base + at.pos} does not exist; the file is damaged`);
  if (at.pos > at.end) truncated(at);
}

/** Reads the field at the cursor; it must lie in the buffer as a whole. */
export function field(at: Cursor): Field {
  const start = at.pos;
  const key = tag(at);
  const id = key >>> 3;
  const wire = key & 7;
  let offset = at.pos;
  at.lo = 0;
  at.hi = 0;
  if (wire === VARINT) varint(at);
  else if (wire === FIXED32) at.lo = fixed32(at);
  else if (wire === FIXED64) {
    const lo = fixed32(at);
    at.hi = fixed32(at);
    at.lo = lo;
  } else if (wire === BYTES) {
    const length = payloadLength(at, at.base + at.end);
    offset = at.pos;
    at.pos += length;
  } else skipGroup(at, id);
  const { base, bytes, lo, hi, pos } = at;
  return {
    id,
    wire,
    start: base + start,
    offset: base + offset,
    end: base + pos,
    lo,
    hi,
    bytes,
    at: start,
    fields: null,
  };
}

/** Hands each field of a message, whose bytes are in memory or whose fields were scanned, to `visit`. */
export function eachField(message: Field, visit: (found: Field) => void): void {
  const { bytes, fields, at, start, offset, end } = message;
  if (fields !== null)
    for (const found of fields)
      if (found.wire === RUN) eachField(found, visit);
      else visit(found);
  else if (bytes === null) fail("format", `onnx: a field at byte ${start} was expected to be a message`);
  else {
    const where = cursor(bytes, at + offset - start, at + end - start, start - at);
    while (where.pos < where.end) visit(field(where));
  }
}

/** True where a field of the message satisfies `test`. */
export function someField(message: Field, test: (found: Field) => boolean): boolean {
  let found = false;
  eachField(message, (inner) => {
    found ||= test(inner);
  });
  return found;
}

/** Payload of a field whose bytes are in memory. */
export const payload = ({ bytes, at, start, offset, end }: Field): Uint8Array =>
  bytes === null
    ? fail("limit", `onnx: the field at byte ${start} has ${end - offset} bytes, more than fits its purpose`)
    : bytes.subarray(at + offset - start, at + end - start);
