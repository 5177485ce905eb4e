/** Do the offsets in constants of strings lie inside them? Their layout is count, offsets of all and of the end, bytes. */
import type { Graph, ValueInfo } from "../../ir/model.ts";
import { type ByteSource, readAll } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { tensorExtra } from "./extra.ts";
import { MAX_STRING_BYTES } from "./limits.ts";

function complaint(bytes: Uint8Array): string | undefined {
  if (bytes.length < 8) return `${bytes.length} bytes, too few for a count and an end`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getInt32(0, true);
  const start = 4 * (count + 2);
  if (count < 0 || start > bytes.length) return `a count of ${count} in ${bytes.length} bytes`;
  let before = start;
  for (let i = 0; i <= count; i++) {
    const offset = view.getInt32(4 + 4 * i, true);
    if (offset < before || offset > bytes.length) return `string ${i} at byte ${offset} of ${bytes.length}`;
    before = offset;
  }
  return undefined;
}

async function checkOne(name: string, data: ByteSource, where: string): Promise<void> {
  if (data.size > MAX_STRING_BYTES)
    fail(
      "limit",
      `tflite: the strings of "${name}" of ${where} have ${data.size} bytes; at most ${MAX_STRING_BYTES} are allowed`,
    );
  const found = complaint(await readAll(data));
  if (found !== undefined)
    fail("format", `tflite: the strings of "${name}" of ${where} have ${found}; the file is damaged`);
}

/** Fails with code "format" where strings lie outside their buffer. */
export async function checkStrings(graphs: readonly Graph[]): Promise<void> {
  const seen = new Set<ByteSource>();
  for (const [index, { inputs, outputs, values }] of graphs.entries())
    for (const info of [...inputs, ...outputs, ...values.values()] as readonly ValueInfo[]) {
      const { data } = tensorExtra(info);
      if (info.dtype !== "string" || data === undefined || seen.has(data)) continue;
      seen.add(data);
      await checkOne(info.name, data, `subgraph ${index}`);
    }
}
