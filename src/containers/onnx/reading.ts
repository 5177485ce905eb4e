/** What one reading of a file carries along, and where the things it made came from. */
import type { ByteSource } from "../../ir/source.ts";
import { bytesSource, sliceSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { Piece } from "../stream.ts";
import { MAX_DEPTH, type Tally } from "./limits.ts";
import type { RawField } from "./message-write.ts";
import { BY_ID, type MessageName, messageOf } from "./schema.ts";
import { BYTES, type Field, payload, someField, VARINT } from "./wire.ts";

/** A file with external data: who needs how much of it, and its bytes once it is open. */
export interface ExternalFile {
  readonly location: string;
  readonly uses: { readonly tensor: string; readonly end: number }[];
  source?: ByteSource;
}

export interface Reading {
  readonly source: ByteSource;
  readonly tally: Tally;
  readonly external: Map<string, ExternalFile>;
  /** Checks that need bytes; done after the structure is known. */
  readonly checks: (() => Promise<void>)[];
  /** Of initializers with one name the last one counts, instead of being an error. */
  readonly repeats: boolean;
  /** Depth of the graph being read. */
  depth: number;
  /** Initializers, and references to external files, seen so far: their growth tells what a message holds. */
  tensors: number;
  outside: number;
}

/** Fields of the container without a noun, as `extra` of every object holds them. */
export interface OnnxExtra {
  readonly fields: readonly RawField[];
  /** Some of it refers to an external data file, so it can't be moved to another model. */
  readonly outside?: true;
  /** A value's type as written, where element type and shape don't say all of it. */
  readonly type?: Uint8Array;
}

/** An attribute without a noun: its whole message. */
export interface OpaqueAttribute {
  readonly onnx: Piece;
  readonly outside: boolean;
}

/** Where an object was read from. While the object is the same, its bytes are copied. */
export interface Origin {
  readonly source: ByteSource;
  readonly field: Field;
  readonly tensors: number;
  readonly outside: number;
  /** Only for models: their external files. */
  readonly files?: readonly ExternalFile[];
}

const origins = new WeakMap<object, Origin>();

/** Where an unchanged object came from; undefined for objects made or edited since. */
export const originOf = (made: object): Origin | undefined => origins.get(made);

/** Reads a message with `make` and remembers where the result came from. */
export function remember<T extends object>(reading: Reading, field: Field, make: () => T): T {
  const { tensors, outside, source } = reading;
  const made = make();
  const place = field.fields === null ? field : { ...field, fields: null };
  origins.set(made, { source, field: place, tensors: reading.tensors - tensors, outside: reading.outside - outside });
  return made;
}

/** Adds the external files to a model's origin. */
export function rememberFiles(model: object, files: readonly ExternalFile[]): void {
  const origin = origins.get(model);
  if (origin) origins.set(model, { ...origin, files });
}

/** Payload of a field, in memory or in the file. */
export const payloadSource = (source: ByteSource, found: Field): ByteSource =>
  found.bytes === null ? sliceSource(source, found.offset, found.end - found.offset) : bytesSource(payload(found));

/** Payload of a field as a piece to write. */
export const payloadPiece = (source: ByteSource, found: Field): Piece =>
  found.bytes === null ? payloadSource(source, found) : payload(found);

const raw = (source: ByteSource, { id, bytes, at, start, end }: Field): RawField => ({
  id,
  data: bytes === null ? sliceSource(source, start, end - start) : bytes.subarray(at, at + end - start),
});

/** TensorProto.data_location: the field's number, and the value for "in another file". */
const DATA_LOCATION = 14;
export const EXTERNAL = 1;

/** True where a message that is only carried along holds a tensor with external data. */
export function refersOutside(name: MessageName, message: Field, depth = 0): boolean {
  if (message.wire !== BYTES) return false;
  if (depth > MAX_DEPTH) fail("limit", `onnx: messages nest deeper than ${MAX_DEPTH} at byte ${message.start}`);
  if (name === "TensorProto")
    return someField(message, ({ id, wire, lo }) => id === DATA_LOCATION && wire === VARINT && lo === EXTERNAL);
  return someField(message, (inner) => {
    const kind = BY_ID[name].get(inner.id)?.kind;
    const next = kind && messageOf(kind);
    return next !== undefined && refersOutside(next, inner, depth + 1);
  });
}

/** `extra` for what was read without a noun; undefined when there is nothing. */
export function extraOf(
  reading: Reading,
  name: MessageName,
  rest: readonly Field[],
  type?: Uint8Array,
): { extra?: OnnxExtra } {
  if (rest.length === 0 && type === undefined) return {};
  const outside = rest.some((found) => {
    const kind = BY_ID[name].get(found.id)?.kind;
    const message = kind && messageOf(kind);
    return message !== undefined && refersOutside(message, found);
  });
  if (outside) reading.outside++;
  const fields = rest.map((found) => raw(reading.source, found));
  return { extra: { fields, ...(outside && { outside }), ...(type && { type }) } };
}
