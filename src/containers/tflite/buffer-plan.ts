/** Which buffer each constant goes to: its own of before where that is free, and buffer 0 stays the empty one. */
import type { ByteSource } from "../../ir/source.ts";
import type { BufferNote } from "./extra.ts";
import type { Table } from "./schema.ts";

/** Numbers of new buffers begin behind those of any file. */
const FIRST_NEW = 2 ** 33;

/** Where the contents of constants and metadata go; first everything claims its place, then the places get numbers. */
export interface BufferPlan {
  /** A place for `data`; `type` keeps those apart that are read as different types. `before` is the number as read. */
  claim(before: number | undefined, data: ByteSource | undefined, type: string): number;
  /** After all claims: the number that a place has in the file. */
  number(place: number): number;
  /** After all claims: the buffers of the file. */
  tables(): readonly Table<"Buffer">[];
}

/** A plan that begins with the buffers nothing refers to. */
export function bufferPlan(notes: readonly BufferNote[]): BufferPlan {
  const places = new Map<number, ByteSource | undefined>([[0, undefined]]);
  for (const { buffer, unused, data } of notes) if (unused) places.set(buffer, data);
  const vectors = new Set(notes.flatMap(({ buffer, emptyVector }) => (emptyVector ? [buffer] : [])));
  const known = new Map<string, Map<ByteSource, number>>();
  let numbers: ReadonlyMap<number, number> | undefined;

  const fresh = (data: ByteSource, type: string): number => {
    const ofType = known.get(type) ?? new Map<ByteSource, number>();
    known.set(type, ofType);
    const place = ofType.get(data) ?? FIRST_NEW + places.size;
    ofType.set(data, place);
    places.set(place, data);
    return place;
  };
  const inOrder = (): readonly (readonly [number, ByteSource | undefined])[] => [...places].sort(([a], [b]) => a - b);
  return {
    claim(before, given, type) {
      const data = given?.size ? given : undefined;
      if (before === 0 || before === undefined) return data === undefined ? 0 : fresh(data, type);
      const isFree = !places.has(before) || places.get(before) === data;
      if (!isFree) return data === undefined ? 0 : fresh(data, type);
      places.set(before, data);
      return before;
    },
    number(place) {
      numbers ??= new Map(inOrder().map(([key], index) => [key, index]));
      return numbers.get(place)!;
    },
    tables: () => inOrder().map(([place, data]) => (data ? { data } : vectors.has(place) ? { data: NO_BYTES } : {})),
  };
}

const NO_BYTES: ByteSource = { size: 0, read: async () => new Uint8Array() };
