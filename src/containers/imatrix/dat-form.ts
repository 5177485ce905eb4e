/**
 * The older form of llama-imatrix, mostly called imatrix.dat: a count of entries; for each the name, the number of calls,
 * the number of values and the values (means times calls, float32); then perhaps the chunks and the name of the text. All
 * numbers are little-endian int32, texts have their length before them.
 */
import { type ByteSource, readAll, sliceSource } from "../../ir/source.ts";
import { typedView } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { utf8Text } from "../json.ts";
import type { ImportanceEntry, ImportanceMatrix } from "./importance.ts";

/** A tensor's name, or a path. */
const MAX_TEXT_BYTES = 65_536;
/** Large language models have some 1,000 matrices. */
const MAX_ENTRIES = 250_000;
const FLOAT_BYTES = 4;

interface Cursor {
  readonly source: ByteSource;
  pos: number;
}

async function int32(at: Cursor, what: string): Promise<number> {
  if (at.pos + 4 > at.source.size)
    fail(
      "format",
      `imatrix: it breaks off at byte ${at.source.size}, before ${what}; truncated or no importance matrix`,
    );
  const { buffer, byteOffset } = await at.source.read(at.pos, 4);
  at.pos += 4;
  return new DataView(buffer, byteOffset, 4).getInt32(0, true);
}

async function text(at: Cursor, what: string): Promise<string> {
  const length = await int32(at, `the length of ${what}`);
  if (length < 0 || length > Math.min(MAX_TEXT_BYTES, at.source.size - at.pos))
    fail("format", `imatrix: ${what} claims ${length} bytes at byte ${at.pos}; damaged or no importance matrix`);
  const bytes = await at.source.read(at.pos, length);
  at.pos += length;
  return utf8Text(bytes, `imatrix: ${what}`);
}

const entryOf = (source: ByteSource, calls: number): ImportanceEntry => ({
  length: source.size / FLOAT_BYTES,
  matrices: 1,
  async read() {
    const stored = typedView(await readAll(source), "float32") as Float32Array;
    return calls > 0 ? stored.map((value) => value / calls) : stored.slice();
  },
});

async function readEntry(at: Cursor, index: number): Promise<readonly [string, ImportanceEntry]> {
  const name = await text(at, `the name of entry ${index}`);
  const calls = await int32(at, `the calls of "${name}"`);
  const count = await int32(at, `the number of values of "${name}"`);
  if (count < 1 || count * FLOAT_BYTES > at.source.size - at.pos)
    fail(
      "format",
      `imatrix: "${name}" claims ${count} values at byte ${at.pos}; truncated, damaged or no importance matrix`,
    );
  const values = sliceSource(at.source, at.pos, count * FLOAT_BYTES);
  at.pos += values.size;
  return [name, entryOf(values, calls)];
}

/** Files of early versions end with the last entry. */
async function readTail(at: Cursor): Promise<Pick<ImportanceMatrix, "datasets" | "chunks">> {
  if (at.pos === at.source.size) return { datasets: [] };
  const chunks = await int32(at, "the number of chunks");
  const dataset = at.pos === at.source.size ? "" : await text(at, "the name of the text");
  return { datasets: dataset === "" ? [] : [dataset], chunks };
}

/** Reads the older form; values stay in the file. */
export async function readDat(source: ByteSource): Promise<ImportanceMatrix> {
  const at: Cursor = { source, pos: 0 };
  const count = await int32(at, "the number of entries");
  if (count < 1 || count > MAX_ENTRIES)
    fail("format", `imatrix: it claims ${count} entries, expected 1 to ${MAX_ENTRIES}; it is no importance matrix`);
  const entries = new Map<string, ImportanceEntry>();
  for (let i = 0; i < count; i++) {
    const [name, entry] = await readEntry(at, i);
    if (entries.has(name)) fail("format", `imatrix: tensor "${name}" occurs twice; the file is damaged`);
    entries.set(name, entry);
  }
  return { ...(await readTail(at)), entries };
}
