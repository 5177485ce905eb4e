/** GGUF files to a `TensorFile`. Tensors stay in the file. */
import { type ByteSource, sliceSource } from "../../ir/source.ts";
import type { MetadataValue, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { rememberSource } from "../origin.ts";
import { type Header, readHeader } from "./header-read.ts";
import { type Shard, shardOf, withoutSplit } from "./split.ts";

export interface ReadGgufOptions {
  /** Opens another file of the same model: `no` counts from 0 and is below `count`. */
  readonly shard?: (no: number, count: number) => Promise<ByteSource>;
}

interface Part {
  readonly source: ByteSource;
  readonly header: Header;
}

function addTensors(tensors: Map<string, StoredTensor>, { source, header }: Part): void {
  for (const { name, type, shape, offset, bytes } of header.infos) {
    if (tensors.has(name)) fail("format", `gguf: tensor "${name}" is in two of the model's files; they do not fit`);
    tensors.set(name, { name, type, shape, data: sliceSource(source, header.dataStart + offset, bytes) });
  }
}

/** The first file's values win; what only later files have is kept too. */
function merged(parts: readonly Part[]): ReadonlyMap<string, MetadataValue> {
  const all = new Map<string, MetadataValue>();
  for (const { header } of parts)
    for (const [key, value] of withoutSplit(header.metadata)) if (!all.has(key)) all.set(key, value);
  return all;
}

async function openShard(first: Shard, no: number, open: ReadGgufOptions["shard"]): Promise<Part> {
  if (open === undefined)
    return fail("usage", `gguf: this is 1 of ${first.count} files; give the others too, or open the model by its path`);
  const source = await open(no, first.count);
  const header = await readHeader(source);
  const own = shardOf(header.metadata);
  if (own?.no !== no || own.count !== first.count)
    fail(
      "format",
      `gguf: file ${no + 1} of ${first.count} says it is ${own ? `${own.no + 1} of ${own.count}` : "a whole model"}; it belongs to another model`,
    );
  return { source, header };
}

async function allParts(head: Part, options: ReadGgufOptions): Promise<readonly Part[]> {
  const first = shardOf(head.header.metadata);
  if (first === undefined || first.count <= 1) return [head];
  if (first.no !== 0)
    fail("usage", `gguf: this is file ${first.no + 1} of ${first.count}; open the one that ends in -00001-of-...`);
  const parts = [head];
  for (let no = 1; no < first.count; no++) parts.push(await openShard(first, no, options.shard));
  const found = parts.reduce((sum, { header }) => sum + header.infos.length, 0);
  if (first.tensors !== undefined && found !== first.tensors)
    fail("format", `gguf: the ${first.count} files hold ${found} tensors, but the first speaks of ${first.tensors}`);
  return parts;
}

/**
 * Reads a GGUF model, version 2 or 3, little-endian; one of several files needs `options.shard`. Only headers are
 * loaded. Fails with code "format" on damage, "limit" on absurd sizes, "unsupported" for big-endian files and types
 * ggml does not have, "usage" when another file is needed.
 */
export async function readGguf(source: ByteSource, options: ReadGgufOptions = {}): Promise<TensorFile> {
  const parts = await allParts({ source, header: await readHeader(source) }, options);
  const tensors = new Map<string, StoredTensor>();
  for (const part of parts) addTensors(tensors, part);
  const { version } = parts[0]!.header;
  const file: TensorFile = { container: "gguf", formatVersion: version, tensors, metadata: merged(parts) };
  if (parts.length === 1) rememberSource(file, source);
  return file;
}
