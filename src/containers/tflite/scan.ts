/** Finds where a file keeps its weights, so that the rest can be loaded and they need not be. */
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { Range } from "./image.ts";
import { MAX_PAGES, PAGE_BYTES, SMALL_BUFFER } from "./limits.ts";
import { ROWS, type TableName } from "./schema.ts";

/** Reads small numbers anywhere in a file, fetching a page at a time. */
interface Peek {
  readonly size: number;
  u16(at: number): Promise<number>;
  u32(at: number): Promise<number>;
}

/** Bytes of a page as a view and where it begins. */
interface Page {
  readonly view: DataView;
  readonly start: number;
}

function peek(source: ByteSource): Peek {
  const pages = new Map<number, Page>();
  const fetchPage = async (start: number): Promise<Page> => {
    const bytes = await source.read(start, Math.min(PAGE_BYTES, source.size - start));
    return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start };
  };
  const load = async (at: number, length: number): Promise<Page> => {
    if (!(at >= 0 && at + length <= source.size))
      fail("format", `tflite: an offset leads to byte ${at} of a file of ${source.size}; it is truncated or damaged`);
    const start = at - (at % PAGE_BYTES);
    if (at + length > start + PAGE_BYTES) return fetchPage(at);
    if (pages.size >= MAX_PAGES) pages.clear();
    const page = await fetchPage(start);
    pages.set(start, page);
    return page;
  };
  const find = (at: number, length: number): Page | undefined => {
    const page = pages.get(at - (at % PAGE_BYTES));
    return page && at >= page.start && at + length <= page.start + page.view.byteLength ? page : undefined;
  };
  return {
    size: source.size,
    async u16(at) {
      const { view, start } = find(at, 2) ?? (await load(at, 2));
      return view.getUint16(at - start, true);
    },
    async u32(at) {
      const { view, start } = find(at, 4) ?? (await load(at, 4));
      return view.getUint32(at - start, true);
    },
  };
}

const slotOf = (table: TableName, key: string): number => ROWS[table].find((row) => row.key === key)!.slot;

const BUFFERS = slotOf("Model", "buffers");
const DATA = slotOf("Buffer", "data");
const OFFSET = slotOf("Buffer", "offset");
const SIZE = slotOf("Buffer", "size");

/** Where a table keeps a field; undefined for an absent one. */
async function fieldAt(file: Peek, table: number, slot: number): Promise<number | undefined> {
  const vtable = table - ((await file.u32(table)) | 0);
  if (4 + slot * 2 >= (await file.u16(vtable))) return undefined;
  const offset = await file.u16(vtable + 4 + slot * 2);
  return offset === 0 ? undefined : table + offset;
}

const target = async (file: Peek, at: number): Promise<number> => at + (await file.u32(at));

async function u64(file: Peek, at: number | undefined): Promise<number> {
  return at === undefined ? 0 : (await file.u32(at)) + (await file.u32(at + 4)) * 2 ** 32;
}

/** Bytes of a buffer inside the flatbuffer, without their length. */
async function inside(file: Peek, buffer: number): Promise<Range | undefined> {
  const field = await fieldAt(file, buffer, DATA);
  if (field === undefined) return undefined;
  const vector = await target(file, field);
  const start = vector + 4;
  return { start, end: start + (await file.u32(vector)) };
}

/** Bytes of a buffer behind the flatbuffer; schema.fbs: only valid where the offset is more than 1. */
async function behind(file: Peek, buffer: number): Promise<Range | undefined> {
  const start = await u64(file, await fieldAt(file, buffer, OFFSET));
  return start > 1 ? { start, end: start + (await u64(file, await fieldAt(file, buffer, SIZE))) } : undefined;
}

async function bufferTables(file: Peek): Promise<readonly number[]> {
  const field = await fieldAt(file, await target(file, 0), BUFFERS);
  if (field === undefined) return [];
  const vector = await target(file, field);
  const count = await file.u32(vector);
  if (count * 4 > file.size)
    fail("format", `tflite: ${count} buffers do not fit a file of ${file.size} bytes; it is truncated or damaged`);
  const tables: number[] = [];
  for (let i = 0; i < count; i++) tables.push(await target(file, vector + 4 + i * 4));
  return tables;
}

/** Byte ranges of the buffers that are worth leaving in the file; those outside it are the reader's to complain about. */
export async function largeBuffers(source: ByteSource): Promise<readonly Range[]> {
  const file = peek(source);
  const ranges: Range[] = [];
  for (const table of await bufferTables(file))
    for (const range of [await inside(file, table), await behind(file, table)])
      if (range && range.end - range.start > SMALL_BUFFER && range.end <= file.size) ranges.push(range);
  return ranges;
}
