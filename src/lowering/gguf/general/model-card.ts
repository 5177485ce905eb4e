/** What README.md's front matter says of a model (gguf-py/gguf/metadata.py of llama.cpp, `apply_metadata_heuristic`). */
import { type FrontMatter, type FrontValue, frontMatter, scalarOf } from "../../../containers/front-matter.ts";
import { type FolderFiles, textFile } from "../folder.ts";
import { modelId, titleOf } from "./model-id.ts";

/** A model or data set that this one was made from. */
export type Source = ReadonlyMap<string, string>;

/** Texts of the card by the field they fill, and its lists. */
export interface ModelCard {
  readonly texts: ReadonlyMap<CardField, string>;
  readonly baseModels: readonly Source[] | undefined;
  readonly datasets: readonly Source[] | undefined;
  readonly tags: readonly string[];
  readonly languages: readonly string[];
  /** Keys that are written in a form that is not read. */
  readonly unreadable: readonly string[];
}

/** Fields that are one text. */
export type CardField = (typeof FIELDS)[number][0];

/** Keys of each field, the first that is there wins. */
const FIELDS = [
  ["name", ["name", "model_name"]],
  ["author", ["author", "model_author", "model_creator"]],
  ["version", ["version", "model_version"]],
  ["organization", ["organization", "model_organization"]],
  ["description", ["description", "model_description"]],
  ["finetune", ["finetune", "model_finetune"]],
  ["basename", ["basename", "model_basename", "model_type"]],
  ["sizeLabel", ["size_label", "model_size_label"]],
  ["sourceUrl", ["url", "model_url"]],
  ["sourceDoi", ["doi", "model_doi"]],
  ["sourceUuid", ["uuid", "model_uuid"]],
  ["sourceRepoUrl", ["repo_url", "model_repo_url"]],
  ["license", ["license"]],
  ["licenseName", ["license_name"]],
  ["licenseLink", ["license_link"]],
] as const;

const BASE_MODELS = ["base_model", "base_models", "base_model_sources"] as const;
const DATASETS = ["datasets", "dataset", "dataset_sources"] as const;
const TAGS = ["tags", "pipeline_tag"] as const;
const LANGUAGES = ["languages", "language"] as const;

const KEYS: ReadonlySet<string> = new Set([
  ...FIELDS.flatMap(([, keys]) => [...keys]),
  ...[...BASE_MODELS, ...DATASETS, ...TAGS, ...LANGUAGES],
]);

const isMapping = (value: FrontValue | undefined): value is ReadonlyMap<string, FrontValue> => value instanceof Map;
const itemsOf = (value: FrontValue | undefined): readonly FrontValue[] =>
  Array.isArray(value) ? (value as readonly FrontValue[]) : [];

/** One text, or a list of them with commas. */
function textOf(value: FrontValue | undefined): string | undefined {
  const items = itemsOf(value).map((item) => scalarOf(item)?.text);
  return items.length > 0 ? items.filter((text) => text !== undefined).join(",") : scalarOf(value)?.text;
}

/** Texts of several keys, one behind the other. A single word that YAML takes for yes or no is none. */
const listOf = ({ values }: FrontMatter, keys: readonly string[]): readonly string[] =>
  keys.flatMap((key) => {
    const value = values.get(key);
    const single = scalarOf(value);
    if (single !== undefined) return single.isText ? [single.text] : [];
    return itemsOf(value).flatMap((item) => scalarOf(item)?.text ?? []);
  });

const URL = /^(https?|ssh):\/\//;
const HUGGING_FACE = /^https?:\/\/huggingface\.co\/([^/]+\/[^/]+)$/;

const filled = (entries: readonly (readonly [string, string | undefined])[]): Source =>
  new Map(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));

/** What a name or address says. */
function named(id: string, parameters: number): Source {
  if (URL.test(id)) {
    const known = HUGGING_FACE.exec(id)?.[1];
    const parts = known === undefined ? new Map() : named(known, parameters);
    return new Map([["repo_url", id], ...parts, ["repo_url", id]]);
  }
  const { name, organization, version } = modelId(id, parameters);
  const full = id.slice(id.indexOf("/") + 1);
  const title = name === undefined ? undefined : titleOf(name);
  const address = organization === undefined ? undefined : `https://huggingface.co/${organization}/${full}`;
  const owner = organization === undefined ? undefined : titleOf(organization);
  return filled([
    ["name", title],
    ["organization", owner],
    ["version", version],
    ["repo_url", address],
  ]);
}

function sourceOf(value: FrontValue, parameters: number): Source {
  if (isMapping(value)) return filled([...value].map(([key, inner]) => [key, scalarOf(inner)?.text]));
  const id = scalarOf(value);
  return id === undefined ? new Map() : named(id.text, parameters);
}

function sourcesOf(
  { values }: FrontMatter,
  keys: readonly string[],
  parameters: number,
): readonly Source[] | undefined {
  const key = keys.find((known) => values.has(known));
  if (key === undefined) return undefined;
  const value = values.get(key) ?? null;
  const items = scalarOf(value)?.isText ? [value] : itemsOf(value);
  return items.map((item) => sourceOf(item, parameters));
}

/** Reads the card of a folder; an empty one where there is none. `parameters` are the model's, to tell sizes by. */
export function modelCard(folder: FolderFiles, parameters: number): ModelCard {
  const found = frontMatter(textFile(folder, "README.md") ?? "", KEYS);
  const texts = FIELDS.flatMap(([field, keys]): [CardField, string][] => {
    const value = keys.map((key) => textOf(found.values.get(key))).find((text) => text !== undefined);
    return value === undefined ? [] : [[field, value]];
  });
  return {
    texts: new Map(texts),
    baseModels: sourcesOf(found, BASE_MODELS, parameters),
    datasets: sourcesOf(found, DATASETS, parameters),
    tags: listOf(found, TAGS),
    languages: listOf(found, LANGUAGES),
    unreadable: found.unreadable,
  };
}
