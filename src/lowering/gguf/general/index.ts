/** `general.*`: what a model is called and where it comes from (gguf-py/gguf/metadata.py of llama.cpp). */
import type { Json } from "../../../containers/json.ts";
import type { Config } from "../config.ts";
import { type Entry, real, signed, text, texts, whole } from "../entries.ts";
import { type FolderFiles, jsonFile } from "../folder.ts";
import { type Parameters, sizeLabel } from "../size-label.ts";
import { type CardField, type ModelCard, modelCard, type Source } from "./model-card.ts";
import { type ModelId, modelId, titleOf } from "./model-id.ts";

type Number32 = typeof real;

/** How generation_config.json's settings are called in GGUF; the first name that is there counts. */
const SAMPLING: readonly (readonly [string, readonly string[], Number32])[] = [
  ["top_k", ["top_k"], signed],
  ["top_p", ["top_p"], real],
  ["min_p", ["min_p"], real],
  ["xtc_probability", ["xtc_probability"], real],
  ["xtc_threshold", ["xtc_threshold"], real],
  ["temp", ["temperature"], real],
  ["penalty_last_n", ["penalty_last_n"], signed],
  ["penalty_repeat", ["penalty_repeat", "repetition_penalty"], real],
  ["mirostat", ["mirostat"], signed],
  ["mirostat_tau", ["mirostat_tau"], real],
  ["mirostat_eta", ["mirostat_eta"], real],
];

function samplingEntries(folder: FolderFiles): readonly Entry[] {
  const found = jsonFile(folder, "generation_config.json");
  if (found === undefined) return [];
  const sequence = found.get("sequence");
  const numbers = SAMPLING.flatMap(([key, names, entry]) => {
    const value: Json | undefined = found.get(names.find((name) => found.has(name)) ?? "");
    return typeof value === "number" ? entry(`general.sampling.${key}`, value) : [];
  });
  return [...text("general.sampling.sequence", typeof sequence === "string" ? sequence : undefined), ...numbers];
}

/** What config.json remembers of the model's own name; paths of somebody's computer do not count. */
function rememberedId(config: Config, parameters: number): ModelId {
  const path = config.get("_name_or_path");
  return typeof path === "string" && path.split("/").length <= 2 ? modelId(path, parameters) : {};
}

type Field = CardField & keyof ModelId;
const TITLED: ReadonlySet<Field> = new Set<Field>(["name", "organization"]);

/** A field by the card, else by config.json, else by the folder's name. */
function fieldOf(field: Field, { texts: own }: ModelCard, ids: readonly ModelId[]): string | undefined {
  const found = ids.find((id) => id[field] !== undefined)?.[field];
  return own.get(field) ?? (found !== undefined && TITLED.has(field) ? titleOf(found) : found);
}

const SOURCE_KEYS = [
  "name",
  "author",
  "version",
  "organization",
  "description",
  "url",
  "doi",
  "uuid",
  "repo_url",
] as const;

const sourceEntries = (key: string, sources: readonly Source[] | undefined): readonly Entry[] =>
  sources === undefined
    ? []
    : [
        ...whole(`${key}.count`, sources.length),
        ...sources.flatMap((source, i) => SOURCE_KEYS.flatMap((name) => text(`${key}.${i}.${name}`, source.get(name)))),
      ];

/** The entries, and what could not be read. */
export interface General {
  readonly entries: readonly Entry[];
  readonly notes: readonly string[];
}

const noteOf = (keys: readonly string[]): readonly string[] =>
  keys.length === 0
    ? []
    : [
        `README.md: ${keys.map((key) => `"${key}"`).join(", ")} of its front matter is written in a form that is not read, and left out`,
      ];

/** General keys of a model with so many parameters. */
export function generalEntries(folder: FolderFiles, config: Config, parameters: Parameters): General {
  const card = modelCard(folder, parameters.all);
  const ids = [rememberedId(config, parameters.all), modelId(folder.name, parameters.all)];
  const own = (field: CardField): string | undefined => card.texts.get(field);
  const field = (name: Field): string | undefined => fieldOf(name, card, ids);
  const entries = [
    ...samplingEntries(folder),
    ...text("general.name", field("name")),
    ...text("general.author", own("author")),
    ...text("general.version", field("version")),
    ...text("general.organization", field("organization")),
    ...text("general.finetune", field("finetune")),
    ...text("general.basename", field("basename")),
    ...text("general.description", own("description")),
    ...text("general.size_label", field("sizeLabel") ?? sizeLabel(parameters)),
    ...text("general.license", own("license")),
    ...text("general.license.name", own("licenseName")),
    ...text("general.license.link", own("licenseLink")),
    ...text("general.source.url", own("sourceUrl")),
    ...text("general.source.doi", own("sourceDoi")),
    ...text("general.source.uuid", own("sourceUuid")),
    ...text("general.source.repo_url", own("sourceRepoUrl")),
    ...sourceEntries("general.base_model", card.baseModels),
    ...sourceEntries("general.dataset", card.datasets),
    ...texts("general.tags", card.tags),
    ...texts("general.languages", card.languages),
  ];
  return { entries, notes: noteOf(card.unreadable) };
}
