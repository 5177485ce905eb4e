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

/**
 * Reads one safetensors file. Only the header is loaded. Fails with code "format" on damage, "limit" on absurd sizes,
 * "unsupported" for element types the format does not have.
 */
export async function readSafetensors(source: ByteSource): Promise<TensorFile> {
  const { metadata, infos, dataStart } = await readHeader(source);
  const tensors = infos.map(({ name, type, shape, begin, end }): [string, StoredTensor] => [
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
 * to lie below the index's own folder. The index decides which tensors belong to the model and where they are.
 */
export async function readSafetensorsIndex(
  index: ByteSource,
  open: (location: string) => Promise<ByteSource>,
): Promise<TensorFile> {
  const { files, places } = await readIndex(index);
  const opened = new Map<string, TensorFile>();
  for (const location of files) opened.set(location, await readSafetensors(await open(location)));
  const tensors = [...places].map(([name, location]): [string, StoredTensor] => [
    name,
    opened.get(location)?.tensors.get(name) ??
      fail("format", `safetensors: the index puts tensor "${name}" into "${location}", which does not hold it`),
  ]);
  const metadata = new Map<string, MetadataValue>();
  for (const file of opened.values())
    for (const [key, value] of file.metadata) if (!metadata.has(key)) metadata.set(key, value);
  return tensorFile(new Map(tensors), metadata);
}
