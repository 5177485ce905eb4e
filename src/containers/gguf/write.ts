/** A `TensorFile` to GGUF files. Sizes are known before a tensor is read; data is streamed in order. */
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { sourceOf } from "../origin.ts";
import { type OutputFile, type Piece, pieceFile } from "../stream.ts";
import { aligned, alignmentOf } from "./header-read.ts";
import { encodeHeader, infoBytes } from "./header-write.ts";
import { MAX_RANK, MAX_SHARDS } from "./limits.ts";
import { shardName, splitKeys, withoutSplit } from "./split.ts";
import { ALIGNMENT_KEY, VERSION, VERSIONS } from "./types.ts";

export interface EncodeGgufOptions {
  /** Name of the file; "model.gguf" by default. */
  readonly name?: string;
  /** Most bytes of one file. A tensor that is larger gets a file of its own. */
  readonly maxBytes?: number;
}

function checkTensor({ name, type, shape, data }: StoredTensor): void {
  const where = `gguf: tensor "${name}"`;
  if (shape.length > MAX_RANK)
    fail("unsupported", `${where} has ${shape.length} dimensions; ggml has at most ${MAX_RANK}`);
  const needed = storedBytes(type, shape, where);
  if (data.size !== needed)
    fail("format", `${where}: its data has ${data.size} bytes, but ${type} of shape [${shape}] takes ${needed}`);
}

/** Zeros up to the next multiple of the alignment. */
const padding = (size: number, alignment: number): Uint8Array => new Uint8Array(aligned(size, alignment) - size);

/** One of the files that a model is written to. */
interface Part {
  readonly name: string;
  readonly file: TensorFile;
}

/** Where everything lies in one file. */
export interface GgufLayout {
  readonly name: string;
  /** The header and the padding behind it. */
  readonly head: Uint8Array;
  /** Byte of the file at which the data of each tensor begins, in their order. */
  readonly offsets: readonly number[];
  /** Bytes of the file. */
  readonly size: number;
}

function layoutOf({ name, file }: Part, alignment: number): GgufLayout {
  let end = 0;
  const tensors = [...file.tensors.values()].map((tensor) => {
    const placed = { tensor, offset: end };
    end += aligned(tensor.data.size, alignment);
    return placed;
  });
  const header = encodeHeader({ version: versionOf(file), metadata: file.metadata, tensors });
  const head = new Uint8Array(aligned(header.length, alignment));
  head.set(header);
  return { name, head, offsets: tensors.map(({ offset }) => head.length + offset), size: head.length + end };
}

function encodeOne(part: Part, alignment: number): OutputFile {
  const { name, head, size } = layoutOf(part, alignment);
  const pieces: Piece[] = [head];
  for (const { data } of part.file.tensors.values()) pieces.push(data, padding(data.size, alignment));
  return pieceFile(name, size, pieces);
}

/** Files of other containers become version 3. */
const versionOf = ({ container, formatVersion }: TensorFile): number =>
  container === "gguf" && VERSIONS.some((known) => known === formatVersion) ? formatVersion : VERSION;

/** Which tensors go together so that no file passes `maxBytes`; the first file holds the metadata. */
function groups(file: TensorFile, alignment: number, maxBytes: number): readonly (readonly StoredTensor[])[] {
  const parts: StoredTensor[][] = [[]];
  let size = fixedBytes(file, alignment, true);
  for (const tensor of file.tensors.values()) {
    const more = infoBytes(tensor) + aligned(tensor.data.size, alignment);
    if (size + more > maxBytes && parts.at(-1)!.length > 0) {
      parts.push([]);
      size = fixedBytes(file, alignment, false);
    }
    parts.at(-1)!.push(tensor);
    size += more;
  }
  return parts;
}

/** Bytes of a file beside its tensors and their entries, the padding of the header included. */
const fixedBytes = (file: TensorFile, alignment: number, first: boolean): number => {
  const metadata = first ? [...file.metadata, ...splitKeys(0, 1, 1)] : laterMetadata(file, 0, 1);
  return encodeHeader({ version: VERSION, metadata, tensors: [] }).length + alignment;
};

/** Metadata of all files but the first: their place, and the alignment where it is not GGUF's own. */
function laterMetadata(file: TensorFile, no: number, count: number): TensorFile["metadata"] {
  const alignment = file.metadata.get(ALIGNMENT_KEY);
  return new Map([
    ...(alignment ? [[ALIGNMENT_KEY, alignment] as const] : []),
    ...splitKeys(no, count, file.tensors.size),
  ]);
}

function shards(name: string, file: TensorFile, alignment: number, maxBytes: number): readonly Part[] {
  // a header may hold a whole vocabulary: it is measured only where files are to be of some size
  const parts = maxBytes === Number.POSITIVE_INFINITY ? [] : groups(file, alignment, maxBytes);
  if (parts.length <= 1) return [{ name, file }];
  if (parts.length > MAX_SHARDS)
    fail(
      "usage",
      `gguf: files of ${maxBytes} bytes would be ${parts.length}; allow more, at most ${MAX_SHARDS} are written`,
    );
  return parts.map((part, no) => {
    const metadata =
      no === 0
        ? new Map([...file.metadata, ...splitKeys(0, parts.length, file.tensors.size)])
        : laterMetadata(file, no, parts.length);
    const tensors = new Map(part.map((tensor) => [tensor.name, tensor]));
    return { name: shardName(name, no, parts.length), file: { ...file, tensors, metadata } };
  });
}

function partsOf(file: TensorFile, { name = "model.gguf", maxBytes = Number.POSITIVE_INFINITY }: EncodeGgufOptions) {
  for (const tensor of file.tensors.values()) checkTensor(tensor);
  const clean: TensorFile = { ...file, metadata: withoutSplit(file.metadata) };
  const alignment = alignmentOf(clean.metadata);
  return { parts: shards(name, clean, alignment, maxBytes), alignment };
}

function checkBytes({ maxBytes = Number.POSITIVE_INFINITY }: EncodeGgufOptions): number {
  if (maxBytes > 0) return maxBytes;
  return fail("usage", `gguf: files of at most ${maxBytes} bytes can't hold anything; give a size above 0`);
}

/**
 * Where the bytes of `encodeGguf`'s files lie, for those who write tensors by themselves: a layout for each file, their
 * tensors in order. Fails like it.
 */
export function layoutGguf(file: TensorFile, options: EncodeGgufOptions = {}): readonly GgufLayout[] {
  checkBytes(options);
  const { parts, alignment } = partsOf(file, options);
  return parts.map((part) => layoutOf(part, alignment));
}

/**
 * The files of a model: one, or several where `maxBytes` is given and passed, named like "model-00001-of-00003.gguf".
 * A model that was read from one GGUF file and not changed is copied byte for byte. Tensors are laid out in the order of
 * the map. Fails with code "unsupported" for elements ggml does not have, "format" for data that does not fit its shape.
 */
export function encodeGguf(file: TensorFile, options: EncodeGgufOptions = {}): readonly OutputFile[] {
  const maxBytes = checkBytes(options);
  const source = file.container === "gguf" ? sourceOf(file) : undefined;
  if (source !== undefined && source.size <= maxBytes)
    return [pieceFile(options.name ?? "model.gguf", source.size, [source])];
  const { parts, alignment } = partsOf(file, options);
  return parts.map((part) => encodeOne(part, alignment));
}
