/** A model folder of Hugging Face's beside its weights: small files, read whole, asked for by name. */
import { isJsonObject, type Json, parseJson, utf8Text } from "../../containers/json.ts";
import { fail } from "../../numeric/errors.ts";

/** What a folder holds beside the weights. */
export interface FolderFiles {
  /** Of the folder itself: models are often named by it. */
  readonly name: string;
  /** Content by file name, "chat_template.jinja" or "additional_chat_templates/x.jinja"; absent where there is none. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Files that are read, and their most bytes: several times what the largest known models have. Of 0 only presence counts. */
export const FOLDER_FILES = {
  "config.json": 4 * 1024 * 1024,
  "generation_config.json": 4 * 1024 * 1024,
  "tokenizer.model": 128 * 1024 * 1024,
  "tokenizer.json": 256 * 1024 * 1024,
  "tokenizer_config.json": 32 * 1024 * 1024,
  "special_tokens_map.json": 4 * 1024 * 1024,
  "added_tokens.json": 16 * 1024 * 1024,
  "chat_template.jinja": 4 * 1024 * 1024,
  "chat_template.json": 4 * 1024 * 1024,
  "modules.json": 1024 * 1024,
  "1_Pooling/config.json": 1024 * 1024,
  "merges.txt": 64 * 1024 * 1024,
  "tekken.json": 0,
  "README.md": 16 * 1024 * 1024,
} as const;

/** A name of `FOLDER_FILES`. */
export type FolderFile = keyof typeof FOLDER_FILES;

/** Where more chat templates lie, and how many are read at most; models have a handful. */
export const TEMPLATE_FOLDER = "additional_chat_templates";
export const MAX_TEMPLATES = 64;

/** Objects and arrays inside each other; real files stay below 10. */
const MAX_DEPTH = 32;
/** Vocabularies of 262,000 tokens with 500,000 merges in pairs make 1.8 million values; as many are parsed in 2 s. */
const MAX_VALUES = 8_000_000;

/** Whether a file is there. */
export const hasFile = ({ files }: FolderFiles, name: FolderFile): boolean => files.has(name);

/** A file as text; undefined where it is absent. */
export function textFile({ files }: FolderFiles, name: string): string | undefined {
  const bytes = files.get(name);
  return bytes === undefined ? undefined : utf8Text(bytes, name);
}

/** A file as a JSON object; undefined where it is absent. Fails with code "format" for anything else. */
export function jsonFile(folder: FolderFiles, name: FolderFile): ReadonlyMap<string, Json> | undefined {
  const content = textFile(folder, name);
  if (content === undefined) return undefined;
  const json = parseJson(content.replace(/^\ufeff/, ""), { where: name, depth: MAX_DEPTH, values: MAX_VALUES });
  return isJsonObject(json) ? json : fail("format", `${name}: it is no JSON object; repair it`);
}

/** An object inside a value; undefined where it is anything else. */
export function objectAt(json: Json | undefined, key: string): ReadonlyMap<string, Json> | undefined {
  const found = isJsonObject(json) ? json.get(key) : undefined;
  return isJsonObject(found) ? found : undefined;
}

/** A list inside a value; undefined where it is anything else. */
export function listAt(json: Json | undefined, key: string): readonly Json[] | undefined {
  const found = isJsonObject(json) ? json.get(key) : undefined;
  return Array.isArray(found) ? (found as readonly Json[]) : undefined;
}

/** A text inside a value; undefined where it is anything else. */
export function textAt(json: Json | undefined, key: string): string | undefined {
  const found = isJsonObject(json) ? json.get(key) : undefined;
  return typeof found === "string" ? found : undefined;
}
