/** Templates that make one text of a conversation (gguf-py of llama.cpp: vocab.py, gguf_writer.py). */
import type { Json } from "../../../containers/json.ts";
import { type Entry, text, texts } from "../entries.ts";
import { type FolderFiles, jsonFile, listAt, TEMPLATE_FOLDER, textAt, textFile } from "../folder.ts";

/** A template and its name; "default" is used where none is asked for. */
interface Named {
  readonly name: string;
  readonly template: string;
}

const KEY = "tokenizer.chat_template";
const DEFAULT = "default";

function additional(folder: FolderFiles): readonly Named[] {
  const paths = [...folder.files.keys()].filter((path) => path.startsWith(`${TEMPLATE_FOLDER}/`)).sort();
  return paths.map((path) => ({
    name: path.slice(TEMPLATE_FOLDER.length + 1).replace(/\.jinja$/, ""),
    template: textFile(folder, path) ?? "",
  }));
}

const listed = (json: Json): readonly Named[] | undefined =>
  Array.isArray(json)
    ? (json as readonly Json[]).flatMap((entry) => {
        const template = textAt(entry, "template");
        return template === undefined ? [] : [{ name: textAt(entry, "name") ?? "", template }];
      })
    : undefined;

/** Templates in files of their own. */
function inFiles(folder: FolderFiles): readonly Named[] | string | undefined {
  const found = textFile(folder, "chat_template.jinja");
  if (found === undefined) {
    const json = jsonFile(folder, "chat_template.json");
    return textAt(json, "chat_template") ?? listed(listAt(json, "chat_template") ?? null);
  }
  const more = additional(folder);
  return more.length === 0 ? found : [{ name: DEFAULT, template: found }, ...more];
}

function templatesOf(folder: FolderFiles, config: ReadonlyMap<string, Json>): readonly Named[] | string | undefined {
  const own = config.get("chat_template");
  if (own === undefined) return inFiles(folder);
  return typeof own === "string" ? own : listed(own);
}

/** The templates of a folder; those in tokenizer_config.json win. */
export function chatTemplateEntries(folder: FolderFiles, config: ReadonlyMap<string, Json>): readonly Entry[] {
  const found = templatesOf(folder, config);
  if (found === undefined || typeof found === "string") return text(KEY, found);
  const named = found
    .map(({ name, template }): Named => ({ name: name.replaceAll(/[^A-Za-z0-9]/gu, "_"), template }))
    .filter(({ name }) => name !== "");
  const others = named.filter(({ name }) => name !== DEFAULT);
  return [
    ...others.flatMap(({ name, template }) => text(`${KEY}.${name}`, template)),
    ...texts("tokenizer.chat_templates", [...new Set(others.map(({ name }) => name))]),
    ...text(KEY, named.findLast(({ name }) => name === DEFAULT)?.template),
  ];
}
