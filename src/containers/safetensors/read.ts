/** safetensors files to a `TensorFile`, one or several with an index. Tensors stay in the files. */
import { type ByteSource, sliceSource } from "../../ir/source.ts";
import type { MetadataValue, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { rememberSource } from "../origin.ts";
import { readHeader } from "./header.ts";
import { readIndex } from "./index-file.ts";

const tensorFile = (
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, MetadataValue>,
): TensorFile => ({ container: "safetensors", formatVersion: 1, tensors, metadata });

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Reads one safetensors file, tensors in the order of their names as Hugging Face's library lists them. Only the header is loaded. Fails with code "format" on damage, "limit" on absurd sizes,
 * "unsupported" for element types the format does not have.
 */
export async function readSafetensors(source: ByteSource): Promise<TensorFile> {
  const { metadata, infos, dataStart } = await readHeader(source);
  const sorted = [...infos].sort((a, b) => byText(a.name, b.name));
  const tensors = sorted.map(({ name, type, shape, begin, end }): [string, StoredTensor] => [
    name,
    { name, type, shape, data: sliceSource(source, dataStart + begin, end - begin) },
  ]);
  const texts = [...metadata].map(([key, value]): [string, MetadataValue] => [key, { type: "string", value }]);
  const file = tensorFile(new Map(tensors), new Map(texts));
  rememberSource(file, source);
  return file;
}

/**
 * Reads the files that an index ("model.safetensors.index.json") names, as one. `open` gets file names that were checked
 * to lie below the index's own folder. The index decides which tensors belong to the model and where they are; they come
 * file by file in the order of the files' names.
 */
export async function readSafetensorsIndex(
  index: ByteSource,
  open: (location: string) => Promise<ByteSource>,
): Promise<TensorFile> {
  const { files, places } = await readIndex(index);
  const opened = new Map<string, TensorFile>();
  for (const location of [...files].sort(byText)) opened.set(location, await readSafetensors(await open(location)));
  const order = new Map([...opened.keys()].map((location, index) => [location, index]));
  const sorted = [...places].sort(([a, at], [b, bt]) => order.get(at)! - order.get(bt)! || byText(a, b));
  const tensors = sorted.map(([name, location]): [string, StoredTensor] => [
    name,
    opened.get(location)?.tensors.get(name) ??
      fail("format", `safetensors: the index puts tensor "${name}" into "${location}", which does not hold it`),
  ]);
  const metadata = new Map<string, MetadataValue>();
  for (const file of opened.values())
    for (const [key, value] of file.metadata) if (!metadata.has(key)) metadata.set(key, value);
  return tensorFile(new Map(tensors), metadata);
}
