/** Signatures, metadata and the other things beside the graphs of a TFLite file. */
import type { Graph } from "../../ir/model.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { type BufferNote, graphExtra, type MetadataEntry, type Signature, type SignatureValue } from "./extra.ts";
import { MAX_TEXT_METADATA } from "./limits.ts";
import { inList, type Reading } from "./reading.ts";
import type { Table } from "./schema.ts";

function valuesOf(
  maps: readonly Table<"TensorMap">[],
  order: readonly string[],
  where: string,
): readonly SignatureValue[] {
  return maps.map(({ name, tensor_index: at = 0 }) => {
    const value = order[inList(at, order.length, `a tensor of ${where}`, "tensors")]!;
    return name === undefined ? { value } : { name, value };
  });
}

/** A signature, its tensors by name. */
export function readSignature(raw: Table<"SignatureDef">, graphs: readonly Graph[]): Signature {
  const { inputs, outputs, signature_key: key, subgraph_index: subgraph = 0 } = raw;
  const where = `signature "${key ?? ""}"`;
  inList(subgraph, graphs.length, `the subgraph of ${where}`, "subgraphs");
  const order = graphExtra(graphs[subgraph]!).order ?? [];
  return {
    subgraph,
    asRead: raw,
    ...(key !== undefined && { key }),
    ...(inputs && { inputs: valuesOf(inputs, order, where) }),
    ...(outputs && { outputs: valuesOf(outputs, order, where) }),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what texts do not hold
const NO_TEXT = /[\0-\x08\x0e-\x1f\x7f]/;

/** The text that bytes are; versions are padded with zero bytes. undefined for anything else. */
export function textOf(bytes: Uint8Array): string | undefined {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  try {
    const text = utf8.decode(bytes.subarray(0, end));
    return text === "" || NO_TEXT.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** An entry of metadata; short texts are recognized. */
export async function readEntry(reading: Reading, raw: Table<"Metadata">): Promise<MetadataEntry> {
  const { name, buffer = 0 } = raw;
  const { buffers, used } = reading;
  used.add(inList(buffer, buffers.length, `the buffer of metadata "${name ?? ""}"`, "buffers"));
  const data = buffers[buffer] ?? bytesSource(new Uint8Array());
  const text = name !== undefined && data.size <= MAX_TEXT_METADATA ? textOf(await readAll(data)) : undefined;
  return { data, asRead: raw, ...(name !== undefined && { name }), ...(text !== undefined && { text }) };
}

/** What has to be known of buffers besides what tensors and metadata hold, to write them again. */
export function bufferNotes({ root, buffers, used }: Reading): readonly BufferNote[] {
  const notes: BufferNote[] = [];
  (root.buffers ?? []).forEach(({ data }, buffer) => {
    const content = buffers[buffer];
    const isUnused = !used.has(buffer) || (buffer === 0 && content !== undefined);
    const isVector = data !== undefined && data.size === 0;
    if (isUnused || isVector)
      notes.push({
        buffer,
        ...(isUnused && { unused: true }),
        ...(isUnused && content && { data: content }),
        ...(isVector && { emptyVector: true }),
      });
  });
  return notes;
}
