/**
 * Reads any table by its rows. Everything is checked before it is used: the vtable, offsets, lengths, alignment, members
 * of unions, terminators of strings. Tables cannot nest without end: no table of the schema holds one of its own kind.
 */
import { type ByteSource, sliceSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { Image, Place } from "./image.ts";
import type { Spend } from "./limits.ts";
import {
  type AnyTable,
  ROWS,
  type Row,
  slotsOf,
  type Table,
  type TableName,
  UNIONS,
  type UnionValue,
} from "./schema.ts";
import { SCALARS, type Scalar } from "./schema-types.ts";

/** What one reading of a file carries along. */
export interface TableReading {
  readonly source: ByteSource;
  readonly image: Image;
  readonly spend: Spend;
  /** Fields of a newer schema, in words: they are seen but can't be read. */
  readonly newer: string[];
}

/** Integers of 64 bits are numbers where exact. */
const exact = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

type Reader = (view: DataView, at: number) => number | bigint | boolean;

const READ: { readonly [S in Scalar]: Reader } = {
  bool: (view, at) => view.getUint8(at) !== 0,
  byte: (view, at) => view.getInt8(at),
  ubyte: (view, at) => view.getUint8(at),
  ushort: (view, at) => view.getUint16(at, true),
  int: (view, at) => view.getInt32(at, true),
  uint: (view, at) => view.getUint32(at, true),
  long: (view, at) => exact(view.getBigInt64(at, true)),
  ulong: (view, at) => exact(view.getBigUint64(at, true)),
  float: (view, at) => view.getFloat32(at, true),
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function aligned(at: number, to: number, what: string): void {
  if (at % to !== 0) fail("format", `tflite: ${what} at byte ${at} is not aligned to ${to} bytes; the file is damaged`);
}

/** Where an offset stored at `at` leads. */
function follow(reading: TableReading, at: number, what: string): number {
  const { view, base } = reading.image.find(at, 4, what);
  const offset = view.getUint32(at - base, true);
  if (offset < 4)
    fail("format", `tflite: the offset of ${what} at byte ${at} is ${offset}, back into itself; the file is damaged`);
  aligned(at + offset, 4, what);
  return at + offset;
}

/** Number of elements of a vector, which then lie at `at + 4`. */
function lengthOf(reading: TableReading, at: number, each: number, what: string): number {
  const { view, base } = reading.image.find(at, 4, what);
  const count = view.getUint32(at - base, true);
  if (at + 4 + count * each > reading.image.size)
    fail(
      "format",
      `tflite: ${what} has ${count} elements at byte ${at}, more than a file of ${reading.image.size} bytes holds; it is truncated or damaged`,
    );
  if (count > 0) aligned(at + 4, each, what);
  return count;
}

function string(reading: TableReading, at: number, what: string): string {
  const length = lengthOf(reading, at, 1, what);
  reading.spend("text", length);
  const { bytes, base } = reading.image.find(at + 4, length + 1, what);
  const start = at + 4 - base;
  if (bytes[start + length] !== 0)
    fail("format", `tflite: ${what} at byte ${at} has no zero byte at its end; the file is damaged`);
  try {
    return utf8.decode(bytes.subarray(start, start + length));
  } catch (cause) {
    return fail("format", `tflite: ${what} at byte ${at} is not UTF-8 text; the file is damaged`, cause);
  }
}

function bytes(reading: TableReading, at: number, what: string): Uint8Array {
  const length = lengthOf(reading, at, 1, what);
  const place = reading.image.find(at + 4, length, what);
  return place.bytes.subarray(at + 4 - place.base, at + 4 - place.base + length);
}

function data(reading: TableReading, at: number, what: string): ByteSource {
  const length = lengthOf(reading, at, 1, what);
  return sliceSource(reading.source, at + 4, length);
}

function scalars(reading: TableReading, at: number, of: Scalar, what: string): readonly unknown[] {
  const each = SCALARS[of];
  const count = lengthOf(reading, at, each, what);
  reading.spend("elements", count);
  const { view, base } = reading.image.find(at + 4, count * each, what);
  const read = READ[of];
  return Array.from({ length: count }, (_, i) => read(view, at + 4 - base + i * each));
}

function tables(reading: TableReading, at: number, of: TableName, what: string): readonly AnyTable[] {
  const count = lengthOf(reading, at, 4, what);
  const list: AnyTable[] = [];
  for (let i = 0; i < count; i++) list.push(readTable(reading, of, follow(reading, at + 4 + i * 4, what)));
  return list;
}

/** A table's vtable: where its fields are, counted from the table, and how many bytes the table has. */
interface Layout {
  readonly place: Place;
  readonly vtable: number;
  readonly slots: number;
  readonly size: number;
}

function layoutOf(reading: TableReading, name: TableName, at: number): Layout {
  const { image } = reading;
  const what = `the layout of ${name}`;
  const table = image.find(at, 4, name);
  const vtable = at - table.view.getInt32(at - table.base, true);
  aligned(vtable, 2, what);
  const head = image.find(vtable, 4, what);
  const bytes = head.view.getUint16(vtable - head.base, true);
  const size = head.view.getUint16(vtable - head.base + 2, true);
  if (bytes < 4 || bytes % 2 !== 0 || size < 4)
    fail("format", `tflite: ${what} at byte ${vtable} has ${bytes} bytes for a table of ${size}; the file is damaged`);
  image.find(at, size, name);
  return { place: image.find(vtable, bytes, what), vtable, slots: (bytes - 4) / 2, size };
}

/** Where a field of `width` bytes lies; undefined when absent. */
function fieldAt(layout: Layout, at: number, slot: number, width: number, what: string): number | undefined {
  const { place, vtable, slots, size } = layout;
  const offset = slot < slots ? place.view.getUint16(vtable - place.base + 4 + slot * 2, true) : 0;
  if (offset === 0) return undefined;
  if (offset < 4 || offset + width > size)
    fail("format", `tflite: ${what} lies at byte ${offset} of a table of ${size}, at byte ${at}; the file is damaged`);
  aligned(at + offset, width, what);
  return at + offset;
}

function union(reading: TableReading, name: TableName, row: Row, layout: Layout, at: number): UnionValue | undefined {
  const what = `${row.key} of ${name}`;
  const members: readonly TableName[] = row.kind.is === "union" ? UNIONS[row.kind.of] : [];
  const typeAt = fieldAt(layout, at, row.slot, 1, what);
  const valueAt = fieldAt(layout, at, row.slot + 1, 4, what);
  if (typeAt === undefined && valueAt === undefined) return undefined;
  const { view, base } = typeAt === undefined ? { view: undefined, base: 0 } : reading.image.find(typeAt, 1, what);
  const number = view === undefined ? 0 : view.getUint8(typeAt! - base);
  if ((number === 0) !== (valueAt === undefined))
    fail(
      "format",
      `tflite: ${what} at byte ${at} has type ${number} ${valueAt ? "and a" : "but no"} table; the file is damaged`,
    );
  if (number === 0) return { type: "NONE" };
  const type = members[number - 1];
  if (type === undefined)
    return fail(
      "unsupported",
      `tflite: ${what} at byte ${at} is of type ${number}; this version of fewbit knows 1 to ${members.length}`,
    );
  return { type, value: readTable(reading, type, follow(reading, valueAt!, what)) };
}

function field(reading: TableReading, name: TableName, row: Row, layout: Layout, at: number): unknown {
  const { kind, key, slot } = row;
  const what = `${key} of ${name}`;
  if (kind.is === "union") return union(reading, name, row, layout, at);
  const found = fieldAt(layout, at, slot, kind.is === "scalar" ? SCALARS[kind.of] : 4, what);
  if (found === undefined) return undefined;
  if (kind.is === "scalar") {
    const { view, base } = reading.image.find(found, SCALARS[kind.of], what);
    return READ[kind.of](view, found - base);
  }
  const to = follow(reading, found, what);
  if (kind.is === "string") return string(reading, to, what);
  if (kind.is === "bytes") return bytes(reading, to, what);
  if (kind.is === "data") return data(reading, to, what);
  if (kind.is === "scalars") return scalars(reading, to, kind.of, what);
  if (kind.is === "tables") return tables(reading, to, kind.of, what);
  return kind.is === "table" ? readTable(reading, kind.of, to) : undefined;
}

function noteNewer(reading: TableReading, name: TableName, layout: Layout, at: number): void {
  for (let slot = slotsOf(name); slot < layout.slots; slot++)
    if (fieldAt(layout, at, slot, 1, `field ${slot} of ${name}`) !== undefined && reading.newer.length === 0)
      reading.newer.push(`field ${slot} of ${name}`);
}

/** The table at byte `at`; fields that are absent are absent in the result. */
export function readTable<N extends TableName>(reading: TableReading, name: N, at: number): Table<N> {
  reading.spend("tables", 1);
  const layout = layoutOf(reading, name, at);
  const made: Record<string, unknown> = {};
  for (const row of ROWS[name]) {
    const value = field(reading, name, row, layout, at);
    if (value !== undefined) made[row.key] = value;
  }
  noteNewer(reading, name, layout, at);
  return made as Table<N>;
}

/** The root table. Fails with code "format" for a file that is not TFLite. */
export function readRoot(reading: TableReading): Table<"Model"> {
  const { view, bytes, base } = reading.image.find(0, 8, "the header");
  const identifier = String.fromCharCode(...bytes.subarray(4 - base, 8 - base));
  if (identifier !== IDENTIFIER)
    fail(
      "format",
      `tflite: the file has the identifier ${JSON.stringify(identifier)} where "${IDENTIFIER}" was expected; it is not a TFLite model`,
    );
  const root = view.getUint32(0, true);
  if (root < 8)
    fail("format", `tflite: the root table would lie at byte ${root}, inside the header; the file is damaged`);
  aligned(root, 4, "the root table");
  return readTable(reading, "Model", root);
}

/** Bytes 4 to 8 of every TFLite file. */
export const IDENTIFIER = "TFL3";
