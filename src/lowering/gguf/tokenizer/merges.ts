/** `tokenizer.ggml.merges`: which pairs become one token, in their order (gguf-py/gguf/vocab.py of llama.cpp). */
import type { Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import { type FolderFiles, listAt, objectAt, textFile } from "../folder.ts";
import { MAX_MERGES } from "./limits.ts";

/** Pairs are told apart by a space, so spaces inside a part are written as another character. */
const SPACE_CHAR = String.fromCharCode(0x20 + 0x100);

function pairOf(entry: Json, i: number): string {
  if (typeof entry === "string") return entry;
  const pair = Array.isArray(entry) ? (entry as readonly Json[]) : [];
  if (pair.length !== 2 || !pair.every((part) => typeof part === "string"))
    return fail("format", `tokenizer.json: merge ${i} is no pair of texts; repair or replace the file`);
  return (pair as readonly string[]).map((part) => part.replaceAll(" ", SPACE_CHAR)).join(" ");
}

/** Merges of merges.txt: a line each, behind an optional first line that begins with "#". */
function listed(folder: FolderFiles): readonly string[] {
  const lines = (textFile(folder, "merges.txt") ?? "").split(/\r\n|\r|\n/);
  const pairs = (lines[0]?.trim().startsWith("#") ? lines.slice(1) : lines).map((line) => line.trim().split(/\s+/));
  return pairs.filter(({ length }) => length === 2).map((pair) => pair.join(" "));
}

/** The merges of a folder with tokenizer.json. */
export function mergesOf(folder: FolderFiles, tokenizer: Json): readonly string[] {
  const found = listAt(objectAt(tokenizer, "model"), "merges") ?? [];
  if (found.length > MAX_MERGES)
    fail("limit", `tokenizer.json: ${found.length} merges; at most ${MAX_MERGES} are converted`);
  return found.length > 0 ? found.map(pairOf) : listed(folder);
}
