/** What one reading of a file carries along, and where the models it made came from. */
import type { Model } from "../../ir/model.ts";
import { type ByteSource, sliceSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { Table } from "./schema.ts";

/** A file that is being read. */
export interface Reading {
  readonly source: ByteSource;
  readonly root: Table<"Model">;
  /** Contents of buffers; undefined for empty ones, and the same object for all users of one. */
  readonly buffers: readonly (ByteSource | undefined)[];
  /** Numbers of buffers that something refers to. */
  readonly used: Set<number>;
}

const origins = new WeakMap<Model, ByteSource>();

/** Notes which file a model was read from. */
export const remember = (model: Model, source: ByteSource): void => void origins.set(model, source);

/** The file of a model that is as it was read; undefined for one made or edited since. */
export const originOf = (model: Model): ByteSource | undefined => origins.get(model);

/** Bytes of a file by a position that the file states itself. */
export function statedRange(source: ByteSource, offset: number, size: number, what: string): ByteSource {
  if (!Number.isSafeInteger(offset + size) || offset + size > source.size)
    fail(
      "format",
      `tflite: ${what} is said to have ${size} bytes at ${offset} of a file of ${source.size}; it is truncated or damaged`,
    );
  return sliceSource(source, offset, size);
}

function content(source: ByteSource, buffer: Table<"Buffer">, index: number): ByteSource | undefined {
  const { data, offset = 0, size = 0 } = buffer;
  if (Number(offset) > 1) return statedRange(source, Number(offset), Number(size), `buffer ${index}`);
  return data !== undefined && data.size > 0 ? data : undefined;
}

/** The contents of all buffers; the first one is a stand-in for "none" whatever it holds. */
export const buffersOf = (source: ByteSource, root: Table<"Model">): Reading["buffers"] =>
  (root.buffers ?? []).map((buffer, index) => content(source, buffer, index));

/** Checks a number that stands for an entry of a list. */
export function inList(index: number, count: number, what: string, list: string): number {
  if (!(index >= 0 && index < count))
    fail("format", `tflite: ${what} is ${index}, but there are ${count} ${list}; the file is damaged`);
  return index;
}
