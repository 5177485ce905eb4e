/** Writes any message by its table row, fields in the order of their numbers. */
import type { ByteSource } from "../../ir/source.ts";
import type { Piece } from "../stream.ts";
import type { Values } from "./message-read.ts";
import { type Kind, type MessageName, ROWS, type Row, type SCHEMA } from "./schema.ts";
import { type Part, put, putBytesField, putFloatField, putIntField, putMessageField, type Sink } from "./sink.ts";

/** A field carried along as it came: number, and bytes with the tag. */
export interface RawField {
  readonly id: number;
  readonly data: Piece;
}

type InputOf<K> = K extends "data" ? ByteSource : K extends keyof Values ? Values[K] : Part;
type KindOf<R> = R extends { readonly kind: infer K } ? K : never;

/** A list for a repeated field, a value for a single one, either for one that fewbit has no noun for. */
type Given<R, I> = R extends { readonly label: "many" }
  ? readonly I[]
  : R extends { readonly label: "one" }
    ? I | undefined
    : I | readonly I[];

/** What a message is written from; absent fields are left out. `rest` fields are written in their place by number. */
export type Fields<M extends MessageName> = {
  readonly [F in keyof (typeof SCHEMA)[M]]?: Given<(typeof SCHEMA)[M][F], InputOf<KindOf<(typeof SCHEMA)[M][F]>>>;
} & { readonly rest?: readonly RawField[] | undefined };

const utf8 = new TextEncoder();
const text = (to: Sink, id: number, value: unknown): void => putBytesField(to, id, utf8.encode(value as string));
const piece = (to: Sink, id: number, value: unknown): void => putBytesField(to, id, value as Piece);
const int = (to: Sink, id: number, value: unknown): void => putIntField(to, id, value as number | bigint);
const float = (to: Sink, id: number, value: unknown): void => putFloatField(to, id, value as number);

const WRITE: Partial<Record<Kind, (to: Sink, id: number, value: unknown) => void>> = {
  int64: int,
  int32: int,
  float,
  floats: float,
  string: text,
  text,
  bytes: piece,
  data: piece,
};

function putRow(to: Sink, row: Row, value: unknown): void {
  const write = WRITE[row.kind];
  if (write) write(to, row.id, value);
  else putMessageField(to, row.id, value as Part);
}

/** Content of a message. */
export const encode =
  <M extends MessageName>(name: M, fields: Fields<M>): Part =>
  (to) => {
    const values = fields as Readonly<Record<string, unknown>>;
    const raw = fields.rest?.length ? [...fields.rest].sort((a, b) => a.id - b.id) : [];
    let next = 0;
    for (const [key, row] of ROWS[name]) {
      const value = values[key];
      if (value === undefined) continue;
      for (; next < raw.length && raw[next]!.id < row.id; next++) put(to, raw[next]!.data);
      if (Array.isArray(value)) for (const item of value) putRow(to, row, item);
      else putRow(to, row, value);
    }
    for (; next < raw.length; next++) put(to, raw[next]!.data);
  };
