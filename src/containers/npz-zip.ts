/** The part of ZIP that .npz files use (PKWARE APPNOTE 6.3.10): the central directory, stored and deflated entries, ZIP64. */
import { type ByteSource, sliceSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import { inflatedSource } from "./npz-inflate.ts";

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const END64_BYTES = 56;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT_BYTES = 65_535;
/** Model inputs are few; a directory beyond these is an attack or not a .npz. */
const MAX_ENTRIES = 4096;
const MAX_DIRECTORY_BYTES = 2 ** 22;
/** Deflate can't shrink further (258 bytes from 2 bits). */
const MAX_DEFLATE_RATIO = 1032;
/** What one array may unpack to; it is streamed, so this bounds time and not memory. */
const MAX_UNPACKED_BYTES = 2 ** 36;
const FULL32 = 0xffffffff;
const ZIP64_FIELD = 1;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

async function part(source: ByteSource, offset: number, length: number, where: string): Promise<DataView> {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > source.size)
    fail("format", `${where}: its directory points outside the file; it is cut short or damaged`);
  return viewOf(await source.read(offset, length));
}

interface Directory {
  readonly entries: number;
  readonly bytes: number;
  readonly offset: number;
}

async function directory64(source: ByteSource, end: number, where: string): Promise<Directory | undefined> {
  if (end < LOCATOR_BYTES) return undefined;
  const locator = await part(source, end - LOCATOR_BYTES, LOCATOR_BYTES, where);
  if (locator.getUint32(0, true) !== LOCATOR64) return undefined;
  const view = await part(source, Number(locator.getBigUint64(8, true)), END64_BYTES, where);
  if (view.getUint32(0, true) !== END64) fail("format", `${where}: its ZIP64 directory is damaged`);
  const long = (at: number): number => Number(view.getBigUint64(at, true));
  return { entries: long(32), bytes: long(40), offset: long(48) };
}

/** Finds the end record, which a comment may follow. */
async function findDirectory(source: ByteSource, where: string): Promise<Directory> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT_BYTES);
  const start = source.size - length;
  const view = viewOf(await source.read(start, length));
  for (let at = length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END) continue;
    const plain = {
      entries: view.getUint16(at + 10, true),
      bytes: view.getUint32(at + 12, true),
      offset: view.getUint32(at + 16, true),
    };
    const full = plain.entries === 0xffff || plain.bytes === FULL32 || plain.offset === FULL32;
    return (full ? await directory64(source, start + at, where) : undefined) ?? plain;
  }
  return fail("format", `${where}: not a .npz file, or cut short: it has no ZIP directory at its end`);
}

/** The 64-bit fields that stand in for those of a central entry that are full, in order. */
function longFields(view: DataView, from: number, to: number, count: number, where: string): number[] {
  let at = from;
  while (at + 4 <= to) {
    const size = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === ZIP64_FIELD && size >= 8 * count && at + 4 + size <= to)
      return Array.from({ length: count }, (_, i) => Number(view.getBigUint64(at + 4 + 8 * i, true)));
    at += 4 + size;
  }
  return fail("format", `${where}: a ZIP64 entry without its sizes`);
}

function readEntry(view: DataView, at: number, where: string): { entry: Entry; next: number } {
  const broken = (): never => fail("format", `${where}: its ZIP directory is damaged`);
  if (at + CENTRAL_BYTES > view.byteLength || view.getUint32(at, true) !== CENTRAL) return broken();
  const names = at + CENTRAL_BYTES;
  const extra = names + view.getUint16(at + 28, true);
  const comment = extra + view.getUint16(at + 30, true);
  const next = comment + view.getUint16(at + 32, true);
  if (next > view.byteLength) return broken();
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + names, extra - names));
  if (view.getUint16(at + 8, true) & 1) fail("unsupported", `${where}: "${name}" is encrypted`);
  const short = [24, 20, 42].map((field) => view.getUint32(at + field, true));
  const full = short.filter((value) => value === FULL32).length;
  const long = full === 0 ? [] : longFields(view, extra, comment, full, where);
  const [size, packed, offset] = short.map((value) => (value === FULL32 ? long.shift()! : value));
  return {
    entry: { name, method: view.getUint16(at + 10, true), packed: packed!, size: size!, offset: offset! },
    next,
  };
}

async function entrySource(source: ByteSource, entry: Entry, file: string): Promise<ByteSource> {
  const where = `${file}: "${entry.name}"`;
  const local = await part(source, entry.offset, LOCAL_BYTES, where);
  if (local.getUint32(0, true) !== LOCAL) fail("format", `${where}: its ZIP entry is damaged`);
  const start = entry.offset + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  if (start + entry.packed > source.size) fail("format", `${where}: cut short`);
  const packed = sliceSource(source, start, entry.packed);
  if (entry.method === 0) return entry.packed === entry.size ? packed : fail("format", `${where}: stored sizes differ`);
  if (entry.method !== 8)
    return fail("unsupported", `${where}: ZIP method ${entry.method}; numpy.savez and savez_compressed write 0 and 8`);
  if (entry.size > MAX_UNPACKED_BYTES)
    fail("limit", `${where}: unpacks to ${entry.size} bytes; at most ${MAX_UNPACKED_BYTES} are read`);
  if (entry.size > (entry.packed + 1) * MAX_DEFLATE_RATIO)
    fail("format", `${where}: ${entry.packed} bytes can't unpack to ${entry.size}`);
  return inflatedSource(packed, entry.size, where);
}

/** Files inside a ZIP, by name, unpacked while they are read. */
export async function openZip(source: ByteSource, where: string): Promise<ReadonlyMap<string, ByteSource>> {
  const { entries, bytes, offset } = await findDirectory(source, where);
  if (entries > MAX_ENTRIES) fail("limit", `${where}: ${entries} entries; at most ${MAX_ENTRIES} are read`);
  if (bytes > MAX_DIRECTORY_BYTES)
    fail("limit", `${where}: a directory of ${bytes} bytes; at most ${MAX_DIRECTORY_BYTES} are read`);
  const view = await part(source, offset, bytes, where);
  const found = new Map<string, ByteSource>();
  for (let i = 0, at = 0; i < entries; i++) {
    const { entry, next } = readEntry(view, at, where);
    if (found.has(entry.name)) fail("format", `${where}: holds "${entry.name}" twice`);
    found.set(entry.name, await entrySource(source, entry, where));
    at = next;
  }
  return found;
}
