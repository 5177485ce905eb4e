/** All of a GGUF file but the tensors' data, as bytes. */
import type { MetadataArray, MetadataValue, NumberType, StoredTensor, Text } from "../../ir/tensor-file.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { GGML_TYPES, ggmlNameOf, isBlockType } from "../../numeric/ggml-types.ts";
import { MAX_HEADER_BYTES } from "./limits.ts";
import { MAGIC, NUMBERS, VALUE_IDS } from "./types.ts";

interface Sink {
  bytes: Uint8Array;
  view: DataView;
  used: number;
}

function room(to: Sink, more: number): number {
  const start = to.used;
  to.used += more;
  if (to.used > MAX_HEADER_BYTES)
    fail("limit", `gguf: metadata and tensor names take more than ${MAX_HEADER_BYTES} bytes; leave some out`);
  if (to.used > to.bytes.length) {
    const grown = new Uint8Array(Math.max(to.bytes.length * 2, to.used));
    grown.set(to.bytes.subarray(0, start));
    to.bytes = grown;
    to.view = new DataView(grown.buffer);
  }
  return start;
}

const sink = (): Sink => {
  const bytes = new Uint8Array(4096);
  return { bytes, view: new DataView(bytes.buffer), used: 0 };
};

// `room` may replace the buffer, so it goes first
function putUint32(to: Sink, value: number): void {
  const start = room(to, 4);
  to.view.setUint32(start, value, true);
}

function putUint64(to: Sink, value: number): void {
  const start = room(to, 8);
  to.view.setBigUint64(start, BigInt(value), true);
}

function putBytes(to: Sink, bytes: Uint8Array): void {
  const start = room(to, bytes.length);
  to.bytes.set(bytes, start);
}

const utf8 = new TextEncoder();
/** Bytes of one UTF-16 unit in UTF-8, at most. */
const MAX_CHAR_BYTES = 3;

function putText(to: Sink, text: Text): void {
  if (typeof text !== "string") {
    putUint64(to, text.length);
    putBytes(to, text);
    return;
  }
  // room for the most bytes there may be, what is not needed is given back
  const start = room(to, 8 + MAX_CHAR_BYTES * text.length);
  const { written } = utf8.encodeInto(text, to.bytes.subarray(start + 8, to.used));
  to.view.setBigUint64(start, BigInt(written), true);
  to.used = start + 8 + written;
}

function putArray(to: Sink, array: MetadataArray): void {
  putUint32(to, VALUE_IDS[array.of]);
  putUint64(to, array.value.length);
  if (array.of === "string") for (const text of array.value) putText(to, text);
  else if (array.of === "array") for (const inner of array.value) putArray(to, inner);
  else putBytes(to, bytesOf(array.value));
}

/** Whole numbers must fit their type; floats are rounded to theirs. */
function checkNumber(key: string, type: NumberType, value: number | bigint): void {
  const { kind, bits } = DTYPES[type];
  if (kind === "float") return;
  const whole = typeof value === "bigint" || Number.isInteger(value) ? BigInt(value) : undefined;
  const kept = whole !== undefined && (kind === "int" ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole));
  if (kept !== whole)
    fail("usage", `gguf: key "${key}": ${value} is no ${type}; give a number that fits or another type`);
}

function putNumber(to: Sink, key: string, type: NumberType, value: number | bigint): void {
  checkNumber(key, type, value);
  const { bytes, set } = NUMBERS[type];
  const start = room(to, bytes);
  set(to.view, start, value);
}

function putValue(to: Sink, key: string, entry: MetadataValue): void {
  putUint32(to, VALUE_IDS[entry.type]);
  if (entry.type === "array") putArray(to, entry);
  else if (entry.type === "string") putText(to, entry.value);
  else if (entry.type === "bool") putBytes(to, Uint8Array.of(Number(entry.value)));
  else putNumber(to, key, entry.type, entry.value);
}

/** ggml's number of a tensor's type; fails for elements that ggml does not have. */
function typeId({ name, type }: StoredTensor): number {
  const known = isBlockType(type) ? type : ggmlNameOf(type as DType);
  if (known === undefined)
    return fail("unsupported", `gguf: tensor "${name}" is ${type}, which ggml has no type for; convert it to float32`);
  return GGML_TYPES[known].id;
}

function putInfo(to: Sink, tensor: StoredTensor, offset: number): void {
  putText(to, tensor.name);
  putUint32(to, tensor.shape.length);
  // ggml lists the length of a row first
  for (const length of [...tensor.shape].reverse()) putUint64(to, length);
  putUint32(to, typeId(tensor));
  putUint64(to, offset);
}

/** What a header holds; `offset` of a tensor counts from the beginning of the data. */
export interface HeaderParts {
  readonly version: number;
  readonly metadata: Iterable<readonly [string, MetadataValue]>;
  readonly tensors: readonly { readonly tensor: StoredTensor; readonly offset: number }[];
}

/** The header, without the padding behind it. */
export function encodeHeader({ version, metadata, tensors }: HeaderParts): Uint8Array {
  const entries = [...metadata];
  const to = sink();
  putUint32(to, MAGIC);
  putUint32(to, version);
  putUint64(to, tensors.length);
  putUint64(to, entries.length);
  for (const [key, value] of entries) {
    putText(to, key);
    putValue(to, key, value);
  }
  for (const { tensor, offset } of tensors) putInfo(to, tensor, offset);
  return to.bytes.subarray(0, to.used);
}

/** Bytes that a tensor adds to the header. */
export const infoBytes = ({ name, shape }: StoredTensor): number =>
  8 + utf8.encode(name).length + 4 + 8 * shape.length + 4 + 8;
