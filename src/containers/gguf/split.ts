/** Models in several files: their names and the keys that say which one a file is. */
import type { MetadataValue } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { MAX_SHARDS } from "./limits.ts";
import { SPLIT_KEYS } from "./types.ts";

/** Which file of a model one is: `no` counts from 0; `tensors` of the whole model, where it says so. */
export interface Shard {
  readonly no: number;
  readonly count: number;
  readonly tensors?: number;
}

function whole(metadata: ReadonlyMap<string, MetadataValue>, key: string): number | undefined {
  const found = metadata.get(key);
  if (found === undefined) return undefined;
  const { value } = found;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    return fail("format", `gguf: "${key}" is of type ${found.type}, expected a whole number; the file is damaged`);
  return value;
}

/** What a file says of its place among others; undefined where it has no such keys. */
export function shardOf(metadata: ReadonlyMap<string, MetadataValue>): Shard | undefined {
  const [no, count, tensors] = Object.values(SPLIT_KEYS).map((key) => whole(metadata, key));
  if (count === undefined) return undefined;
  if (count > MAX_SHARDS)
    fail("limit", `gguf: "${SPLIT_KEYS.count}" is ${count}; at most ${MAX_SHARDS} files are read`);
  if (no === undefined || no >= Math.max(count, 1))
    fail("format", `gguf: "${SPLIT_KEYS.no}" is ${no ?? "missing"} with ${count} files; the file is damaged`);
  return { no, count, ...(tensors !== undefined && { tensors }) };
}

const KEYS = new Set<string>(Object.values(SPLIT_KEYS));

/** Metadata without what only tells the files apart. */
export const withoutSplit = (metadata: ReadonlyMap<string, MetadataValue>): ReadonlyMap<string, MetadataValue> =>
  new Map([...metadata].filter(([key]) => !KEYS.has(key)));

/** The keys of one file, in the order that llama-gguf-split writes them. */
export const splitKeys = (no: number, count: number, tensors: number): readonly [string, MetadataValue][] => [
  [SPLIT_KEYS.no, { type: "uint16", value: no }],
  [SPLIT_KEYS.tensors, { type: "int32", value: tensors }],
  [SPLIT_KEYS.count, { type: "uint16", value: count }],
];

const five = (number: number): string => String(number).padStart(5, "0");

/** File name of a shard: "model.gguf" becomes "model-00001-of-00003.gguf"; `no` counts from 0. */
export const shardName = (name: string, no: number, count: number): string =>
  `${name.replace(/\.gguf$/i, "")}-${five(no + 1)}-of-${five(count)}.gguf`;

/** What a file name says: "model-00002-of-00003.gguf" is no 1 of 3 of "model.gguf"; undefined for other names. */
export function parseShardName(
  file: string,
): { readonly name: string; readonly no: number; readonly count: number } | undefined {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/is.exec(file);
  if (match === null) return undefined;
  const [no, count] = [Number(match[2]) - 1, Number(match[3])];
  return no >= 0 && no < count ? { name: `${match[1]}.gguf`, no, count } : undefined;
}
