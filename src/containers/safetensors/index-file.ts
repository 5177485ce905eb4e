/** The index of a model in several files: which tensor is where. The form is Hugging Face's. */
import { type ByteSource, readAll } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { isJsonObject, parseJson, utf8Text } from "../json.ts";
import { safeLocation } from "../safe-path.ts";
import { MAX_DEPTH, MAX_INDEX_BYTES, MAX_SHARDS, MAX_VALUES } from "./limits.ts";

/** What the file is called beside "model.safetensors". */
export const indexName = (name: string): string => `${name}.index.json`;

export interface SafetensorsIndex {
  /** Locations below the index's folder, in order of first mention. */
  readonly files: readonly string[];
  /** Location by tensor name. */
  readonly places: ReadonlyMap<string, string>;
}

const WHERE = "safetensors index";

/** Reads an index; every location was checked to stay in the folder. */
export async function readIndex(source: ByteSource): Promise<SafetensorsIndex> {
  if (source.size > MAX_INDEX_BYTES)
    fail("limit", `${WHERE}: ${source.size} bytes; at most ${MAX_INDEX_BYTES} are read`);
  const text = utf8Text(await readAll(source), WHERE);
  const json = parseJson(text, { where: WHERE, depth: MAX_DEPTH, values: MAX_VALUES });
  const map = isJsonObject(json) ? json.get("weight_map") : undefined;
  if (!isJsonObject(map))
    return fail("format", `${WHERE}: it has no object "weight_map"; it is damaged or something else`);
  const places = new Map<string, string>();
  for (const [name, location] of map) {
    if (typeof location !== "string") return fail("format", `${WHERE}: the file of tensor "${name}" is no text`);
    places.set(name, safeLocation(location, `${WHERE}: tensor "${name.slice(0, 200)}"`));
  }
  const files = [...new Set(places.values())];
  if (files.length > MAX_SHARDS)
    fail("limit", `${WHERE}: it names ${files.length} files; at most ${MAX_SHARDS} are read`);
  return { files, places };
}

/** An index as Hugging Face's tools print it: keys sorted, two spaces, a newline at the end. */
export function encodeIndex(places: ReadonlyMap<string, string>, totalSize: number): Uint8Array {
  const sorted = [...places].sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = sorted.map(([name, location]) => `    ${JSON.stringify(name)}: ${JSON.stringify(location)}`);
  const text = `{\n  "metadata": {\n    "total_size": ${totalSize}\n  },\n  "weight_map": {\n${lines.join(",\n")}\n  }\n}\n`;
  return new TextEncoder().encode(text);
}
