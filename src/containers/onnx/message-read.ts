/** Reads any message by its table row; messages inside it stay fields, to be read when their turn comes. */
import { fail } from "../../numeric/errors.ts";
import type { Counted, Tally } from "./limits.ts";
import { BY_ID, type Kind, type MessageName, messageOf, perMessage, ROWS, type Row, type SCHEMA } from "./schema.ts";
import { BYTES, cursor, eachField, FIXED32, FIXED64, type Field, int64, payload, VARINT, varint } from "./wire.ts";

/** What reading gives for each kind of field; messages and tensor payloads stay fields. */
export interface Values {
  readonly int64: number | bigint;
  readonly int32: number;
  readonly float: number;
  readonly floats: number;
  readonly string: string;
  readonly text: string;
  readonly bytes: Uint8Array;
}

type ValueOf<K> = K extends keyof Values ? Values[K] : Field;
type Labelled<M extends MessageName, L extends Row["label"]> = {
  readonly [F in keyof (typeof SCHEMA)[M] as (typeof SCHEMA)[M][F] extends { readonly label: L }
    ? F
    : never]: (typeof SCHEMA)[M][F] extends { readonly kind: infer K } ? ValueOf<K> : never;
};
type One<M extends MessageName> = Labelled<M, "one">;
type Many<M extends MessageName> = Labelled<M, "many">;

/** A message as read: single fields undefined where absent, repeated ones as lists, all others in `rest`. */
export type Decoded<M extends MessageName> = { readonly [F in keyof One<M>]: One<M>[F] | undefined } & {
  readonly [F in keyof Many<M>]: readonly Many<M>[F][];
} & { readonly rest: readonly Field[] };

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const forgiving = new TextDecoder("utf-8", { ignoreBOM: true });
const scratch = new DataView(new ArrayBuffer(4));

const float32 = (bits: number): number => {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
};

function string(found: Field): string {
  const bytes = payload(found);
  try {
    return strict.decode(bytes);
  } catch (cause) {
    return fail("format", `onnx: the name at byte ${found.offset} is not UTF-8 text; the file is damaged`, cause);
  }
}

const number = ({ lo, hi }: Field): number | bigint => int64(lo, hi);

/** How one field that is not packed is read, and the wire types it may come in. */
const READ: { readonly [K in keyof Values]: { readonly wire: number; readonly read: (found: Field) => Values[K] } } = {
  int64: { wire: VARINT, read: number },
  int32: { wire: VARINT, read: ({ lo }) => lo | 0 },
  float: { wire: FIXED32, read: ({ lo }) => float32(lo) },
  floats: { wire: FIXED32, read: ({ lo }) => float32(lo) },
  string: { wire: BYTES, read: string },
  text: { wire: BYTES, read: (found) => forgiving.decode(payload(found)) },
  bytes: { wire: BYTES, read: payload },
};

function packedInts(found: Field, out: (number | bigint)[]): void {
  const bytes = payload(found);
  const at = cursor(bytes, 0, bytes.length, found.offset);
  while (at.pos < at.end) {
    varint(at);
    out.push(int64(at.lo, at.hi));
  }
}

function packedFloats(found: Field, out: number[]): void {
  const bytes = payload(found);
  if (bytes.length % 4 !== 0)
    fail(
      "format",
      `onnx: ${bytes.length} bytes at ${found.offset} are not a whole number of floats; the file is damaged`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < bytes.length; i += 4) out.push(view.getFloat32(i, true));
}

/** Repeated numbers may come packed, whatever the table says; `least` is the fewest bytes an element takes. */
const PACKED: Partial<Record<Kind, { readonly least: number; readonly read: (found: Field, out: never[]) => void }>> = {
  int64: { least: 1, read: packedInts as (found: Field, out: never[]) => void },
  floats: { least: 4, read: packedFloats as (found: Field, out: never[]) => void },
};

/** Row of all fields without a noun. */
const CARRIED: Row = { id: 0, kind: "data", label: "rest" };

/** What each item of a list counts as, before anything is made of it. */
const COUNT_AS: { readonly [K in Kind]?: Counted } = {
  int64: "elements",
  floats: "elements",
  string: "names",
  bytes: "strings",
  data: "fields",
  NodeProto: "nodes",
  GraphProto: "nodes",
  TensorProto: "tensors",
  ValueInfoProto: "values",
  AttributeProto: "attributes",
  Dimension: "dims",
  FunctionProto: "metadata",
  OperatorSetIdProto: "metadata",
  StringStringEntryProto: "metadata",
};

const DATA_WIRES = new Set([VARINT, FIXED32, FIXED64, BYTES]);

const isMessage = (kind: Kind): boolean => messageOf(kind) !== undefined;
const isPacked = (row: Row, wire: number): boolean => row.label === "many" && wire === BYTES && row.kind in PACKED;

function fits(row: Row, { wire }: Field): boolean {
  if (row.label === "rest") return false;
  if (row.kind === "data") return DATA_WIRES.has(wire);
  if (isMessage(row.kind)) return wire === BYTES;
  return wire === READ[row.kind as keyof Values].wire || isPacked(row, wire);
}

const readOne = (row: Row, found: Field): unknown =>
  row.kind === "data" || isMessage(row.kind) ? found : READ[row.kind as keyof Values].read(found);

function append(row: Row, found: Field, list: unknown[], tally: Tally): void {
  const counted = COUNT_AS[row.kind];
  const packed = isPacked(row, found.wire) ? PACKED[row.kind] : undefined;
  if (counted) tally.count(counted, packed ? Math.ceil((found.end - found.offset) / packed.least) : 1);
  if (packed) packed.read(found, list as never[]);
  else list.push(readOne(row, found));
}

const NONE: readonly unknown[] = Object.freeze([]);

/** A message without fields, of each kind: copying one is cheaper than building it, and there may be a million. */
const BLANK = perMessage((name) =>
  Object.fromEntries(
    ROWS[name]
      .filter(([, row]) => row.label !== "rest")
      .map(([key, row]) => [key, row.label === "many" ? NONE : undefined]),
  ),
);

const listOf = (values: Record<string, unknown>, key: string): unknown[] => {
  if (values[key] === NONE) values[key] = [];
  return values[key] as unknown[];
};

/**
 * Reads the fields of a message. As in protobuf the last of several values counts and a wrong wire type makes a field
 * an unknown one; a second sub-message where one is allowed is refused, since readers disagree on merging them.
 */
export function decode<M extends MessageName>(name: M, message: Field, tally: Tally): Decoded<M> {
  const values: Record<string, unknown> = { ...BLANK[name], rest: NONE };
  const rows = BY_ID[name];
  eachField(message, (found) => {
    const row = rows.get(found.id);
    if (row === undefined || !fits(row, found)) append(CARRIED, found, listOf(values, "rest"), tally);
    else if (row.label === "many") append(row, found, listOf(values, row.key), tally);
    else if (isMessage(row.kind) && values[row.key] !== undefined)
      fail("format", `onnx: ${name} has two fields ${row.key}, the second at byte ${found.start}; one is allowed`);
    else values[row.key] = readOne(row, found);
  });
  return values as unknown as Decoded<M>;
}
