/** All of a GGUF file but the tensors' data. */

import type { ByteSource } from "../../ir/source.ts";
import type { MetadataValue, StorageType } from "../../ir/tensor-file.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { GGML_TYPES, type GgmlTypeRow, ggmlTypeOf } from "../../numeric/ggml-types.ts";
import { type Cursor, cursor, length64, name, take, uint32 } from "./cursor.ts";
import { MAX_ALIGNMENT, MAX_HEADER_BYTES, MAX_KEYS, MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS } from "./limits.ts";
import { MIN_ENTRY_BYTES, readMetadata } from "./metadata-read.ts";
import { ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSIONS } from "./types.ts";

/** A tensor as the header tells of it; `offset` counts from the beginning of the data. */
export interface TensorInfo {
  readonly name: string;
  readonly type: StorageType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly infos: readonly TensorInfo[];
  readonly alignment: number;
  /** Where the tensors' data begins in the file. */
  readonly dataStart: number;
}

/** How much of a file is fetched first while looking for the end of its header; each further try takes more. */
const FIRST_BYTES = 1024 * 1024;
const GROWTH = 4;
/** Least bytes of a tensor's entry: length of the name, rank, type, offset. */
const MIN_INFO_BYTES = 8 + 4 + 4 + 8;

function readVersion(at: Cursor): number {
  const start = take(at, 8, "magic and version");
  if (at.view.getUint32(start, true) !== MAGIC) fail("format", `gguf: not a GGUF file, it does not begin with "GGUF"`);
  const version = at.view.getUint32(start + 4, true);
  if (version > 0 && (version & 0xffff) === 0)
    fail(
      "unsupported",
      `gguf: the file is big-endian (version ${at.view.getUint32(start + 4, false)}); fewbit reads little-endian ones, convert it with gguf_convert_endian.py of llama.cpp`,
    );
  if (!VERSIONS.some((known) => known === version))
    fail("unsupported", `gguf: version ${version} can't be read; expected 2 or 3, convert the model anew`);
  return version;
}

function count(at: Cursor, what: string, limit: number, least: number): number {
  const found = length64(at, `the number of ${what}`);
  if (found > limit) fail("limit", `gguf: the header claims ${found} ${what}; at most ${limit} are read`);
  if (found * least > at.size - at.pos)
    fail("format", `gguf: the header claims ${found} ${what}, more than its ${at.size} bytes can hold; it is damaged`);
  return found;
}

function typeOf(at: Cursor, where: string): StorageType {
  const id = uint32(at, `the type of ${where}`);
  const type = ggmlTypeOf(id);
  if (type === undefined)
    return fail(
      "unsupported",
      `gguf: ${where} has type ${id}, which ggml 0.25.1 does not have or no longer has; convert the model anew`,
    );
  const row: GgmlTypeRow = GGML_TYPES[type];
  return row.dtype ?? (type as StorageType);
}

function shapeOf(at: Cursor, where: string): readonly number[] {
  const rank = uint32(at, `the rank of ${where}`);
  if (rank > MAX_RANK) fail("limit", `gguf: ${where} has ${rank} dimensions; ggml has at most ${MAX_RANK}`);
  const lengths = Array.from({ length: rank }, () => length64(at, `the shape of ${where}`));
  if (!lengths.every(Number.isSafeInteger))
    fail("limit", `gguf: ${where} has a length beyond 2^53; the file is damaged or hostile`);
  // ggml lists the length of a row first
  return lengths.reverse();
}

function readInfo(at: Cursor, index: number): TensorInfo {
  const own = name(at, MAX_NAME_BYTES, `the name of tensor ${index}`);
  const where = `tensor "${own}"`;
  const shape = shapeOf(at, where);
  const type = typeOf(at, where);
  const offset = length64(at, `the offset of ${where}`);
  return { name: own, type, shape, offset, bytes: storedBytes(type, shape, `gguf: ${where}`) };
}

/** Tensors start at multiples of this many bytes. */
export function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>): number {
  const found = metadata.get(ALIGNMENT_KEY);
  if (found === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = found;
  if (type !== "uint32" || typeof value !== "number")
    return fail("format", `gguf: "${ALIGNMENT_KEY}" is of type ${type}, expected uint32`);
  if (value === 0 || (value & (value - 1)) !== 0)
    fail("format", `gguf: "${ALIGNMENT_KEY}" is ${value}, expected a power of two; the file is damaged`);
  if (value > MAX_ALIGNMENT) fail("limit", `gguf: "${ALIGNMENT_KEY}" is ${value}; at most ${MAX_ALIGNMENT} is read`);
  return value;
}

export const aligned = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

/** Each tensor lies inside the data, on the alignment, and on no other's bytes. */
function checkPlaces(infos: readonly TensorInfo[], alignment: number, room: number): void {
  for (const { name: own, offset, bytes } of infos) {
    if (offset % alignment !== 0)
      fail("format", `gguf: tensor "${own}" starts at byte ${offset} of the data, no multiple of ${alignment}`);
    if (offset + bytes > room)
      fail(
        "format",
        `gguf: tensor "${own}" needs bytes ${offset} to ${offset + bytes} of the data, which has ${room}; the file is truncated or damaged`,
      );
  }
  const placed = infos.filter(({ bytes }) => bytes > 0).sort((a, b) => a.offset - b.offset);
  for (const [i, { name: own, offset }] of placed.entries()) {
    const before = placed[i - 1];
    if (before !== undefined && before.offset + before.bytes > offset)
      fail(
        "format",
        `gguf: tensors "${before.name}" and "${own}" overlap at byte ${offset} of the data; it is damaged`,
      );
  }
}

function parse(at: Cursor): Header {
  const version = readVersion(at);
  const tensors = count(at, "tensors", MAX_TENSORS, MIN_INFO_BYTES);
  const keys = count(at, "keys", MAX_KEYS, MIN_ENTRY_BYTES);
  const metadata = readMetadata(at, keys);
  const alignment = alignmentOf(metadata);
  const infos = Array.from({ length: tensors }, (_, index) => readInfo(at, index));
  const names = new Set<string>();
  for (const { name: own } of infos) {
    if (names.has(own)) fail("format", `gguf: two tensors are named "${own}"; the file is damaged`);
    names.add(own);
  }
  const dataStart = Math.min(aligned(at.pos, alignment), at.size);
  checkPlaces(infos, alignment, at.size - dataStart);
  return { version, metadata, infos, alignment, dataStart };
}

/** Reads the header; the end of it is found by reading, so ever more of the file is tried. */
export async function readHeader(source: ByteSource): Promise<Header> {
  const most = Math.min(source.size, MAX_HEADER_BYTES);
  for (let length = Math.min(most, source.bytes ? most : FIRST_BYTES); ; length = Math.min(most, length * GROWTH)) {
    const at = cursor(await source.read(0, length), source.size);
    try {
      return parse(at);
    } catch (error) {
      if (!at.short || length === most) throw error;
    }
  }
}
