/** Files as plain trees, to compare what they hold. */

import type { ByteSource } from "../../ir/source.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { readTables } from "./read.ts";

const isSource = (value: object): value is ByteSource => "read" in value;
const hex = (bytes: Uint8Array): string => `bytes:${Buffer.from(bytes).toString("hex")}`;

async function plain(value: unknown): Promise<unknown> {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return Promise.all(value.map(plain));
  if (isSource(value)) return hex(await readAll(value));
  const entries = await Promise.all(
    Object.entries(value).map(async ([key, item]) => [key, await plain(item)] as const),
  );
  return Object.fromEntries(entries);
}

/** Everything a file holds, absent fields absent. */
export const treeOf = async (bytes: Uint8Array): Promise<unknown> => plain((await readTables(bytesSource(bytes))).root);
