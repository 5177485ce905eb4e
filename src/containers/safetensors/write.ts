/** A `TensorFile` to safetensors files. Sizes are known before a tensor is read; data is streamed in order. */
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { sourceOf } from "../origin.ts";
import { type OutputFile, pieceFile } from "../stream.ts";
import { nameOf } from "./dtypes.ts";
import { LENGTH_BYTES, METADATA_KEY } from "./header.ts";
import { encodeIndex, indexName } from "./index-file.ts";
import { MAX_HEADER_BYTES, MAX_SHARDS } from "./limits.ts";

export interface EncodeSafetensorsOptions {
  /** Name of the file; "model.safetensors" by default. */
  readonly name?: string;
  /** Most bytes of one file. A tensor that is larger gets a file of its own. */
  readonly maxBytes?: number;
}

const NAME = "model.safetensors";
const utf8 = new TextEncoder();
/** Headers end on a multiple of this, filled up with spaces. */
const HEADER_ALIGN = 8;

function checkTensor({ name, type, shape, data }: StoredTensor): void {
  const where = `safetensors: tensor "${name}"`;
  if (name === METADATA_KEY) fail("unsupported", `${where}: this name is the format's own; rename the tensor`);
  if (nameOf(type) === undefined)
    fail("unsupported", `${where} is ${type}, which the format has no name for; convert it, or write GGUF or ONNX`);
  const needed = storedBytes(type, shape, where);
  if (data.size !== needed)
    fail("format", `${where}: its data has ${data.size} bytes, but ${type} of shape [${shape}] takes ${needed}`);
}

/** The header's entry of metadata, if there is any; the format keeps texts only. */
function metadataEntry({ metadata }: TensorFile): readonly string[] {
  const entries = [...metadata].map(([key, { type, value }]) =>
    type === "string" && typeof value === "string"
      ? `${JSON.stringify(key)}:${JSON.stringify(value)}`
      : fail("unsupported", `safetensors: metadata "${key}" is ${type}; only texts can be kept, leave it out`),
  );
  return entries.length === 0 ? [] : [`"${METADATA_KEY}":{${entries.join(",")}}`];
}

const rankOf = ({ type }: StoredTensor): number => nameOf(type)?.rank ?? 0;

/** The order of Hugging Face's writer: large elements first, so that all are aligned; then by name. */
const inOrder = (tensors: readonly StoredTensor[]): readonly StoredTensor[] =>
  [...tensors].sort((a, b) => rankOf(b) - rankOf(a) || compareUtf8(a.name, b.name));

/** Names compare by their UTF-8 bytes, which is the order of code points. */
function compareUtf8(a: string, b: string): number {
  const [left, right] = [utf8.encode(a), utf8.encode(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) if (left[i] !== right[i]) return left[i]! - right[i]!;
  return left.length - right.length;
}

const entry = (tensor: StoredTensor, begin: number): string =>
  `${JSON.stringify(tensor.name)}:${JSON.stringify({
    dtype: nameOf(tensor.type)?.name,
    shape: tensor.shape,
    data_offsets: [begin, begin + tensor.data.size],
  })}`;

/** Where everything lies in one file. */
export interface SafetensorsLayout {
  readonly name: string;
  readonly head: Uint8Array;
  /** Byte of the file at which the data of each tensor begins, by its name, in the order of the file. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Bytes of the file. */
  readonly size: number;
}

function encodeHeader(tensors: readonly StoredTensor[], metadata: readonly string[]): Uint8Array {
  let end = 0;
  const entries = tensors.map((tensor) => {
    const text = entry(tensor, end);
    end += tensor.data.size;
    return text;
  });
  const json = utf8.encode(`{${[...metadata, ...entries].join(",")}}`);
  const length = Math.ceil(json.length / HEADER_ALIGN) * HEADER_ALIGN;
  if (length > MAX_HEADER_BYTES)
    fail("limit", `safetensors: a header of ${length} bytes; at most ${MAX_HEADER_BYTES} can be read again`);
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}

function layoutOf({ name, tensors }: Part, metadata: readonly string[]): SafetensorsLayout {
  const ordered = inOrder(tensors);
  const head = encodeHeader(ordered, metadata);
  let end = head.length;
  const offsets = new Map<string, number>();
  for (const tensor of ordered) {
    offsets.set(tensor.name, end);
    end += tensor.data.size;
  }
  return { name, head, offsets, size: end };
}

function encodeOne(part: Part, metadata: readonly string[]): OutputFile {
  const { name, head, offsets, size } = layoutOf(part, metadata);
  const data = new Map(part.tensors.map((tensor) => [tensor.name, tensor.data]));
  return pieceFile(name, size, [head, ...[...offsets.keys()].map((tensor) => data.get(tensor)!)]);
}

/** Which tensors go together, in the order of the map, so that no file passes `maxBytes`. */
function groups(file: TensorFile, fixed: number, maxBytes: number): readonly (readonly StoredTensor[])[] {
  const parts: StoredTensor[][] = [[]];
  let size = fixed;
  for (const tensor of file.tensors.values()) {
    // an entry with the longest offsets there may be, and its comma
    const more = utf8.encode(entry(tensor, maxBytes)).length + 1 + tensor.data.size;
    if (size + more > maxBytes && parts.at(-1)!.length > 0) {
      parts.push([]);
      size = fixed;
    }
    parts.at(-1)!.push(tensor);
    size += more;
  }
  return parts;
}

const five = (number: number): string => String(number).padStart(5, "0");
const shardName = (name: string, no: number, count: number): string =>
  `${name.replace(/\.safetensors$/i, "")}-${five(no + 1)}-of-${five(count)}.safetensors`;

/** One of the files that a model is written to. */
interface Part {
  readonly name: string;
  readonly tensors: readonly StoredTensor[];
}

function partsOf(file: TensorFile, { name = NAME, maxBytes = Number.MAX_SAFE_INTEGER }: EncodeSafetensorsOptions) {
  for (const tensor of file.tensors.values()) checkTensor(tensor);
  const metadata = metadataEntry(file);
  const parts = groups(file, encodeHeader([], metadata).length + HEADER_ALIGN, maxBytes);
  if (parts.length > MAX_SHARDS)
    fail(
      "usage",
      `safetensors: files of ${maxBytes} bytes would be ${parts.length}; allow more, at most ${MAX_SHARDS} are written`,
    );
  const named = parts.map(
    (tensors, no): Part => ({
      name: parts.length === 1 ? name : shardName(name, no, parts.length),
      tensors,
    }),
  );
  return { parts: named, metadata, index: parts.length === 1 ? [] : [indexOf(name, named)] };
}

function indexOf(name: string, parts: readonly Part[]): OutputFile {
  const places = new Map(parts.flatMap((part) => part.tensors.map((tensor) => [tensor.name, part.name] as const)));
  const total = parts.flatMap(({ tensors }) => tensors).reduce((sum, { data }) => sum + data.size, 0);
  const index = encodeIndex(places, total);
  return pieceFile(indexName(name), index.length, [index]);
}

function checkBytes({ maxBytes = Number.MAX_SAFE_INTEGER }: EncodeSafetensorsOptions): number {
  if (maxBytes > 0) return maxBytes;
  return fail("usage", `safetensors: files of at most ${maxBytes} bytes can't hold anything; give a size above 0`);
}

/** Where the bytes of a model's files lie, for those who write tensors by themselves, and the index where there are several. */
export function layoutSafetensors(
  file: TensorFile,
  options: EncodeSafetensorsOptions = {},
): { readonly layouts: readonly SafetensorsLayout[]; readonly index: readonly OutputFile[] } {
  checkBytes(options);
  const { parts, metadata, index } = partsOf(file, options);
  return { layouts: parts.map((part) => layoutOf(part, metadata)), index };
}

/**
 * The files of a model: one, or several and an index where `maxBytes` is given and passed; the index comes last. A model
 * that was read from one safetensors file and not changed is copied byte for byte. Fails with code "unsupported" for
 * block types and metadata that is no text, "format" for data that does not fit its shape.
 */
export function encodeSafetensors(file: TensorFile, options: EncodeSafetensorsOptions = {}): readonly OutputFile[] {
  const maxBytes = checkBytes(options);
  const source = file.container === "safetensors" ? sourceOf(file) : undefined;
  if (source !== undefined && source.size <= maxBytes) return [pieceFile(options.name ?? NAME, source.size, [source])];
  const { parts, metadata, index } = partsOf(file, options);
  return [...parts.map((part) => encodeOne(part, metadata)), ...index];
}
