/** Writes any table by its rows. Bytes to be fetched later come behind the structure, each aligned to 16. */
import { Builder } from "flatbuffers";
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { Piece } from "../stream.ts";
import { firstEqual } from "./equal-bytes.ts";
import { BUFFER_ALIGNMENT, MAX_FLATBUFFER_BYTES } from "./limits.ts";
import {
  type AnyTable,
  type Kind,
  ROWS,
  type Row,
  slotsOf,
  type Table,
  type TableName,
  UNIONS,
  type UnionValue,
} from "./schema.ts";
import { SCALARS, type Scalar } from "./schema-types.ts";
import { IDENTIFIER } from "./table-read.ts";

/** A flatbuffer whose size is known before any weight is read. */
export interface Encoded {
  readonly size: number;
  readonly pieces: readonly Piece[];
}

/** A place in the structure, counted from its end, that will lead to `data`. */
interface Later {
  readonly fromEnd: number;
  readonly data: ByteSource;
}

interface Writing {
  readonly to: Builder;
  readonly later: Later[];
}

type Scribe = (to: Builder, value: unknown) => void;

const int64: Scribe = (to, value) => to.addInt64(BigInt.asIntN(64, BigInt(value as number | bigint)));

const WRITE: { readonly [S in Scalar]: Scribe } = {
  bool: (to, value) => to.addInt8(value ? 1 : 0),
  byte: (to, value) => to.addInt8(value as number),
  ubyte: (to, value) => to.addInt8(value as number),
  ushort: (to, value) => to.addInt16(value as number),
  int: (to, value) => to.addInt32(value as number),
  uint: (to, value) => to.addInt32(value as number),
  long: int64,
  ulong: int64,
  float: (to, value) => to.addFloat32(value as number),
};

function vector(to: Builder, values: readonly unknown[], each: number, write: Scribe): number {
  to.startVector(each, values.length, each);
  for (let i = values.length - 1; i >= 0; i--) write(to, values[i]);
  return to.endVector();
}

function bytes(to: Builder, value: Uint8Array): number {
  to.prep(BUFFER_ALIGNMENT, value.length);
  return to.createByteVector(value);
}

function tables({ to, later }: Writing, name: TableName, values: readonly AnyTable[]): number {
  const offsets = values.map((value) => putTable({ to, later }, name, value));
  return vector(to, offsets, 4, (_, offset) => to.addOffset(offset as number));
}

/** Writes what a field refers to and gives where it is; undefined for what lies in the table itself. */
function refer(writing: Writing, kind: Kind, value: unknown): number | undefined {
  const { to } = writing;
  if (kind.is === "string") return to.createString(value as string);
  if (kind.is === "bytes" && value instanceof Uint8Array) return bytes(to, value);
  if (kind.is === "scalars") return vector(to, value as readonly unknown[], SCALARS[kind.of], WRITE[kind.of]);
  if (kind.is === "tables") return tables(writing, kind.of, value as readonly AnyTable[]);
  if (kind.is === "table") return putTable(writing, kind.of, value as AnyTable);
  if (kind.is !== "union") return undefined;
  const { type, value: table } = value as UnionValue;
  return type === "NONE" ? undefined : putTable(writing, type, table ?? {});
}

const widthOf = (kind: Kind): number => (kind.is === "scalar" ? SCALARS[kind.of] : 4);

/** Puts a field into the table that is being written. */
function putField({ to, later }: Writing, { slot, kind }: Row, value: unknown, reference: number | undefined): void {
  if (kind.is === "union") {
    const { type } = value as UnionValue;
    const member = type === "NONE" ? 0 : (UNIONS[kind.of] as readonly string[]).indexOf(type) + 1;
    if (reference !== undefined) {
      to.addOffset(reference);
      to.slot(slot + 1);
    }
    to.addInt8(member);
  } else if (kind.is === "scalar") WRITE[kind.of](to, value);
  else if (reference !== undefined) to.addOffset(reference);
  else {
    to.addInt32(0);
    later.push({ fromEnd: to.offset(), data: value as ByteSource });
  }
  to.slot(slot);
}

function putTable(writing: Writing, name: TableName, table: AnyTable): number {
  const present = ROWS[name].filter(({ key }) => table[key] !== undefined);
  const references = present.map(({ key, kind }) => refer(writing, kind, table[key]));
  const { to } = writing;
  to.startObject(slotsOf(name));
  const order = present.map((row, index) => ({ row, reference: references[index] }));
  order.sort((a, b) => widthOf(b.row.kind) - widthOf(a.row.kind));
  for (const { row, reference } of order) putField(writing, row, table[row.key], reference);
  return to.endObject();
}

function tooLarge(size: number): never {
  return fail(
    "limit",
    `tflite: the file would have ${size} bytes or more, and a flatbuffer can have ${MAX_FLATBUFFER_BYTES}; quantize more of the weights, or to fewer bits`,
  );
}

const padding = (at: number): number => -at & (BUFFER_ALIGNMENT - 1);

const length = (bytes: number): Uint8Array => {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, bytes, true);
  return head;
};

/** Appends the bytes of later fields, equal ones once, and makes the fields lead there. */
function append(structure: Uint8Array, later: readonly Later[]): Encoded {
  const view = new DataView(structure.buffer, structure.byteOffset, structure.byteLength);
  const pieces: Piece[] = [structure];
  const places = new Map<ByteSource, number>();
  const first = firstEqual();
  let size = structure.length;
  for (const { fromEnd, data: given } of later) {
    const field = structure.length - fromEnd;
    const data = first(given);
    if (!places.has(data)) {
      const gap = padding(size + 4);
      places.set(data, size + gap);
      pieces.push(new Uint8Array(gap), length(data.size), data);
      size += gap + 4 + data.size;
    }
    if (size > MAX_FLATBUFFER_BYTES) tooLarge(size);
    view.setUint32(field, places.get(data)! - field, true);
  }
  return { size, pieces };
}

/** A TFLite file of a model's table; weights are noted, not read. */
export function writeRoot(model: Table<"Model">): Encoded {
  const writing: Writing = { to: new Builder(1024), later: [] };
  const root = putTable(writing, "Model", model);
  writing.to.finish(root, IDENTIFIER);
  return append(writing.to.asUint8Array(), writing.later);
}
