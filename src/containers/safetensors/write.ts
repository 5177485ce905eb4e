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

function encodeOne(name: string, tensors: readonly StoredTensor[], metadata: readonly string[]): OutputFile {
  const ordered = inOrder(tensors);
  const header = encodeHeader(ordered, metadata);
  const size = ordered.reduce((sum, { data }) => sum + data.size, header.length);
  return pieceFile(name, size, [header, ...ordered.map(({ data }) => data)]);
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

/**
 * The files of a model: one, or several and an index where `maxBytes` is given and passed; the index comes last. A model
 * that was read from one safetensors file and not changed is copied byte for byte. Fails with code "unsupported" for
 * block types and metadata that is no text, "format" for data that does not fit its shape.
 */
export function encodeSafetensors(file: TensorFile, options: EncodeSafetensorsOptions = {}): readonly OutputFile[] {
  const { name = "model.safetensors", maxBytes = Number.MAX_SAFE_INTEGER } = options;
  if (!(maxBytes > 0))
    fail("usage", `safetensors: files of at most ${maxBytes} bytes can't hold anything; give a size above 0`);
  const source = file.container === "safetensors" ? sourceOf(file) : undefined;
  if (source !== undefined && source.size <= maxBytes) return [pieceFile(name, source.size, [source])];
  for (const tensor of file.tensors.values()) checkTensor(tensor);
  const metadata = metadataEntry(file);
  const parts = groups(file, encodeHeader([], metadata).length + HEADER_ALIGN, maxBytes);
  if (parts.length === 1) return [encodeOne(name, parts[0]!, metadata)];
  if (parts.length > MAX_SHARDS)
    fail(
      "usage",
      `safetensors: files of ${maxBytes} bytes would be ${parts.length}; allow more, at most ${MAX_SHARDS} are written`,
    );
  return withIndex(name, parts, metadata);
}

function withIndex(
  name: string,
  parts: readonly (readonly StoredTensor[])[],
  metadata: readonly string[],
): readonly OutputFile[] {
  const places = new Map<string, string>();
  const files = parts.map((part, no) => {
    const own = shardName(name, no, parts.length);
    for (const tensor of part) places.set(tensor.name, own);
    return encodeOne(own, part, metadata);
  });
  const total = parts.flat().reduce((sum, { data }) => sum + data.size, 0);
  const index = encodeIndex(places, total);
  return [...files, pieceFile(indexName(name), index.length, [index])];
}
