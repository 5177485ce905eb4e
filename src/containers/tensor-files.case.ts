/** Shared by the tests of GGUF and safetensors: tensors, bytes of files, contents to compare, damage. */
import { type ByteSource, bytesSource, readAll } from "../ir/source.ts";
import {
  type MetadataValue,
  type StorageType,
  type StoredTensor,
  storedBytes,
  type TensorFile,
} from "../ir/tensor-file.ts";
import { rng } from "../numeric/rng.ts";
import type { OutputFile } from "./stream.ts";

/** A tensor of bytes that follow from its name. */
export function tensor(name: string, type: StorageType, shape: readonly number[]): StoredTensor {
  const random = rng(name.length + shape.length).uniform;
  const bytes = Uint8Array.from({ length: storedBytes(type, shape, name) }, () => Math.floor(random() * 256));
  return { name, type, shape, data: bytesSource(bytes) };
}

export const tensorMap = (...tensors: readonly StoredTensor[]): ReadonlyMap<string, StoredTensor> =>
  new Map(tensors.map((one) => [one.name, one]));

export const bytesOfFile = async (file: OutputFile): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of file.chunks()) parts.push(chunk.slice());
  return Buffer.concat(parts);
};

export const onlyFile = (files: readonly OutputFile[]): Promise<Uint8Array> => {
  if (files.length !== 1) throw new Error(`${files.length} files where one was expected`);
  return bytesOfFile(files[0]!);
};

export const filesByName = async (files: readonly OutputFile[]): Promise<ReadonlyMap<string, Uint8Array>> =>
  new Map(await Promise.all(files.map(async (file) => [file.name, await bytesOfFile(file)] as const)));

/** A source that is not in memory: its `bytes` can't be seen, only read. */
export const fileLike = (
  bytes: Uint8Array,
  onRead: (offset: number, length: number) => void = () => {},
): ByteSource => ({
  size: bytes.length,
  seekable: true,
  async read(offset, length) {
    onRead(offset, length);
    return Buffer.from(bytes.subarray(offset, offset + length));
  },
});

/** All that a file holds, as plain values. */
export async function contentOf({ tensors, metadata }: TensorFile): Promise<unknown> {
  const read = await Promise.all(
    [...tensors].map(async ([name, { type, shape, data }]) => ({
      name,
      type,
      shape,
      data: Buffer.from(await readAll(data)).toString("hex"),
    })),
  );
  return { tensors: read, metadata: [...metadata] satisfies (readonly [string, MetadataValue])[] };
}

/** The same content without the memory of the file it came from: it is encoded anew. */
export const changed = (file: TensorFile): TensorFile => ({ ...file });

const EVIL = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x39] as const;

/** A file with bytes of its beginning changed, removed or added. */
export function damaged(bytes: Uint8Array, header: number, random: () => number): Uint8Array {
  const below = (limit: number): number => Math.floor(random() * limit);
  const out = Uint8Array.from(bytes);
  for (let edits = 1 + below(4); edits > 0; edits--) {
    const at = below(8) === 0 ? below(bytes.length) : below(header);
    out[at] = below(2) ? EVIL[below(EVIL.length)]! : below(256);
    if (below(6) === 0) out.fill(EVIL[below(EVIL.length)]!, at, at + 8);
  }
  const from = below(header);
  const kind = below(8);
  if (kind === 0) return Buffer.concat([out.subarray(0, from), out.subarray(from + 1 + below(9))]);
  if (kind === 1) return Buffer.concat([out.subarray(0, from), out.subarray(below(header))]);
  return kind === 2 ? out.subarray(0, below(out.length)) : out;
}
