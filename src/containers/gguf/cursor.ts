/** A reading position in the beginning of a GGUF file. */
import type { Text } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { MAX_HEADER_BYTES, MAX_RAW_TEXTS } from "./limits.ts";

/** `bytes` is the beginning of a file of `size` bytes; `short` says that reading stopped for want of more of it. */
export interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly size: number;
  pos: number;
  short: boolean;
  rawTexts: number;
}

export const cursor = ({ buffer, byteOffset, byteLength }: Uint8Array, size: number): Cursor => ({
  // no Buffer of Node: its slices are no copies
  bytes: new Uint8Array(buffer, byteOffset, byteLength),
  view: new DataView(buffer, byteOffset, byteLength),
  size,
  pos: 0,
  short: false,
  rawTexts: 0,
});

/** Moves past `length` bytes and answers where they begin; `what` they are stands in the error. */
export function take(at: Cursor, length: number, what: string): number {
  const start = at.pos;
  if (start + length > at.size)
    fail(
      "format",
      `gguf: ${what} at byte ${start} needs ${length} bytes, but only ${at.size - start} are left; the file is truncated or damaged`,
    );
  if (start + length > MAX_HEADER_BYTES)
    fail("limit", `gguf: the header is longer than ${MAX_HEADER_BYTES} bytes at ${what}; real ones stay below 16 MiB`);
  if (start + length > at.bytes.length) {
    at.short = true;
    fail("format", `gguf: the header breaks off at byte ${at.bytes.length}`);
  }
  at.pos = start + length;
  return start;
}

export const uint32 = (at: Cursor, what: string): number => at.view.getUint32(take(at, 4, what), true);

/** An unsigned 64-bit length, count or offset; beyond 2^53 it is rounded, and larger than any limit. */
export const length64 = (at: Cursor, what: string): number => Number(at.view.getBigUint64(take(at, 8, what), true));

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function decoded(at: Cursor, start: number, end: number): Text {
  try {
    return utf8.decode(at.bytes.subarray(start, end));
  } catch {
    if (++at.rawTexts > MAX_RAW_TEXTS)
      fail("limit", `gguf: more than ${MAX_RAW_TEXTS} texts are not UTF-8; the file is damaged or hostile`);
    return at.bytes.slice(start, end);
  }
}

/** A text of at most `limit` bytes. */
export function text(at: Cursor, limit: number, what: string): Text {
  const length = length64(at, `the length of ${what}`);
  if (length > limit)
    fail("limit", `gguf: ${what} at byte ${at.pos} claims ${length} bytes; at most ${limit} are read`);
  const start = take(at, length, what);
  return decoded(at, start, start + length);
}

/** A name: a text that must be UTF-8. */
export function name(at: Cursor, limit: number, what: string): string {
  const found = text(at, limit, what);
  return typeof found === "string"
    ? found
    : fail("format", `gguf: ${what} before byte ${at.pos} is not UTF-8; the file is damaged`);
}
