/** How an embedding model makes one vector of many: modules.json of sentence-transformers (conversion/base.py of llama.cpp). */
import { type Json, parseJson } from "../../containers/json.ts";
import { fail } from "../../numeric/errors.ts";
import { type Entry, whole } from "./entries.ts";
import { type FolderFiles, jsonFile, textAt, textFile } from "./folder.ts";

/** Where sentence-transformers keeps the settings. */
const SETTINGS = "1_Pooling/config.json";

/** llama_pooling_type, by the settings' keys, and by the name that newer files have. */
const KINDS = [
  ["pooling_mode_mean_tokens", "mean", 1],
  ["pooling_mode_cls_token", "cls", 2],
  ["pooling_mode_lasttoken", "lasttoken", 3],
] as const;

function poolingPath(folder: FolderFiles): string | undefined {
  const modules = textFile(folder, "modules.json");
  if (modules === undefined) return undefined;
  const json = parseJson(modules, { where: "modules.json", depth: 8, values: 10_000 });
  const found = (Array.isArray(json) ? (json as readonly Json[]) : []).find((entry) =>
    textAt(entry, "type")?.endsWith("Pooling"),
  );
  return found === undefined ? undefined : (textAt(found, "path") ?? "");
}

/** The key of a model that pools. */
export function poolingEntries(folder: FolderFiles, architecture: string): readonly Entry[] {
  const path = poolingPath(folder);
  if (path === undefined) return [];
  const settings = `${path}/config.json` === SETTINGS ? jsonFile(folder, SETTINGS) : undefined;
  if (settings === undefined)
    return fail(
      "unsupported",
      `modules.json: it names ${JSON.stringify(path.slice(0, 80))} for pooling; known is ${SETTINGS}`,
    );
  const named = settings.get("pooling_mode");
  const found = KINDS.find(([key]) => settings.get(key) === true) ?? KINDS.find(([, name]) => name === named);
  return found === undefined
    ? fail("unsupported", `${SETTINGS}: llama.cpp knows pooling by mean, class token and last token alone`)
    : whole(`${architecture}.pooling_type`, found[2]);
}
