/**
 * Finds the structure of a file without loading its weights: descends into large messages only, copies what is small,
 * and leaves tensor data where it is, as fields without bytes.
 */
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import {
  MAX_ATTRIBUTE_BYTES,
  MAX_DEPTH,
  MAX_NAME_BYTES,
  MAX_PROTO_BYTES,
  MAX_TEXT_BYTES,
  SMALL_MESSAGE,
  type Tally,
  WINDOW_BYTES,
} from "./limits.ts";
import { BY_ID, type Kind, type MessageName, messageOf } from "./schema.ts";
import {
  BYTES,
  type Cursor,
  cursor,
  FIXED32,
  FIXED64,
  type Field,
  field,
  GROUP,
  MAX_HEADER,
  payloadLength,
  RUN,
  tag,
  VARINT,
  varint,
} from "./wire.ts";

/** The part of the file in memory, the buffer small fields are copied to, and what was counted. */
interface Scan {
  readonly source: ByteSource;
  readonly tally: Tally;
  window: Uint8Array;
  base: number;
  arena: Uint8Array;
  used: number;
}

/** Most bytes of a large field that is needed in memory; kinds without a row stay in the file. */
const IN_MEMORY: Partial<Record<Kind, number>> = {
  string: MAX_NAME_BYTES,
  text: MAX_TEXT_BYTES,
  bytes: MAX_ATTRIBUTE_BYTES,
  floats: MAX_ATTRIBUTE_BYTES,
  int64: MAX_ATTRIBUTE_BYTES,
};

const holds = ({ base, window }: Scan, pos: number, length: number): boolean =>
  pos >= base && pos + length <= base + window.length;

async function load(scan: Scan, pos: number, length: number): Promise<void> {
  if (holds(scan, pos, length)) return;
  const size = Math.min(Math.max(WINDOW_BYTES, length), scan.source.size - pos);
  scan.window = await scan.source.read(pos, size);
  scan.base = pos;
}

const cursorAt = ({ window, base }: Scan, pos: number, end: number): Cursor =>
  cursor(window, pos - base, Math.min(window.length, end - base), base);

/** A copy of a field that does not hold on to the window. */
function keep(scan: Scan, found: Field): Field {
  const size = found.end - found.start;
  const from = found.start - scan.base;
  if (scan.used + size > scan.arena.length) {
    scan.arena = new Uint8Array(Math.max(size, Math.min(WINDOW_BYTES, scan.source.size)));
    scan.used = 0;
  }
  const at = scan.used;
  scan.arena.set(scan.window.subarray(from, from + size), at);
  scan.used += size;
  return { ...found, bytes: scan.arena, at };
}

/** Moves past a field that is small and in the window as a whole; false where it is not. */
function passSmall(at: Cursor, limit: number): boolean {
  const wire = tag(at) & 7;
  if (wire === GROUP) return false;
  if (wire === VARINT) varint(at);
  else if (wire === FIXED32) at.pos += 4;
  else if (wire === FIXED64) at.pos += 8;
  else {
    const length = payloadLength(at, limit);
    if (length > SMALL_MESSAGE) return false;
    at.pos += length;
  }
  return at.pos <= at.end;
}

/** The small fields from `start` on that the window holds, as one field; most of a file is read in such stretches. */
function smallRun(scan: Scan, start: number, limit: number): Field | undefined {
  if (!holds(scan, start, Math.min(MAX_HEADER, limit - start))) return undefined;
  const at = cursorAt(scan, start, limit);
  const last = at.base + at.end === limit ? at.end : at.end - MAX_HEADER;
  let passed = at.pos;
  while (passed < last && passSmall(at, limit)) passed = at.pos;
  const end = at.base + passed;
  if (end === start) return undefined;
  return keep(scan, { id: 0, wire: RUN, start, offset: start, end, lo: 0, hi: 0, bytes: null, at: 0, fields: null });
}

async function whole(scan: Scan, start: number, end: number, limit: number): Promise<Field> {
  await load(scan, start, end - start);
  return keep(scan, field(cursorAt(scan, start, limit)));
}

async function scanField(scan: Scan, name: MessageName, start: number, limit: number, depth: number): Promise<Field> {
  await load(scan, start, Math.min(MAX_HEADER, limit - start));
  const at = cursorAt(scan, start, limit);
  const key = tag(at);
  const id = key >>> 3;
  const wire = key & 7;
  if (wire === GROUP) return whole(scan, start, Math.min(limit, start + WINDOW_BYTES), limit);
  if (wire !== BYTES) return whole(scan, start, Math.min(limit, start + MAX_HEADER), limit);
  const length = payloadLength(at, limit);
  const offset = at.base + at.pos;
  const end = offset + length;
  if (length <= SMALL_MESSAGE) return whole(scan, start, end, limit);
  const kind = BY_ID[name].get(id)?.kind;
  const message = kind && messageOf(kind);
  const most = kind && IN_MEMORY[kind];
  if (most !== undefined && length > most)
    fail("limit", `onnx: field ${id} of ${name} at byte ${start} has ${length} bytes; at most ${most} are accepted`);
  if (most !== undefined) return whole(scan, start, end, limit);
  const fields = message ? await scanMessage(scan, message, offset, end, depth + 1) : null;
  return { id, wire, start, offset, end, lo: 0, hi: 0, bytes: null, at: 0, fields };
}

async function scanMessage(
  scan: Scan,
  name: MessageName,
  start: number,
  end: number,
  depth: number,
): Promise<readonly Field[]> {
  if (depth > MAX_DEPTH) fail("limit", `onnx: messages nest deeper than ${MAX_DEPTH} at byte ${start}`);
  const found: Field[] = [];
  for (let pos = start; pos < end; ) {
    scan.tally.count("fields", 1);
    const next = smallRun(scan, pos, end) ?? (await scanField(scan, name, pos, end, depth));
    found.push(next);
    pos = next.end;
  }
  return found;
}

/** The whole file as one ModelProto field; tensor payloads of more than 4 KiB have no bytes. */
export async function scanModel(source: ByteSource, tally: Tally): Promise<Field> {
  const end = source.size;
  if (end > MAX_PROTO_BYTES)
    fail(
      "limit",
      `onnx: the file has ${end} bytes, more than the ${MAX_PROTO_BYTES} a protobuf message may have; keep its weights in an external data file`,
    );
  const empty = new Uint8Array(0);
  const scan: Scan = { source, tally, window: empty, base: 0, arena: empty, used: 0 };
  const fields = await scanMessage(scan, "ModelProto", 0, end, 0);
  return { id: 0, wire: BYTES, start: 0, offset: 0, end, lo: 0, hi: 0, bytes: null, at: 0, fields };
}
