/** Numbers of the special tokens, and which are put around texts (`SpecialVocab` of gguf-py/gguf/vocab.py, llama.cpp). */
import { isJsonObject, type Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import { type Entry, flag, whole } from "../entries.ts";
import { type FolderFiles, jsonFile, listAt, objectAt, textAt } from "../folder.ts";
import { chatTemplateEntries } from "./chat-template.ts";
import { type Role, readPostProcessor, type SpecialState, startState } from "./template-processing.ts";

/** Kinds that are looked for in every folder. */
export const USUAL_ROLES: readonly Role[] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/** Key of a kind's number; llama.cpp writes none for the others. "seperator" is its spelling. */
const ID_KEYS: Partial<Record<Role, string>> = {
  ...{ bos: "bos", eos: "eos", eot: "eot", eom: "eom", unk: "unknown", sep: "seperator", pad: "padding", mask: "mask" },
};
const ADDED: readonly Role[] = ["bos", "eos", "sep"];

/** What is asked for. */
export interface SpecialWish {
  /** Numbers from here on are left out; all are taken where it is absent. */
  readonly tokens?: number;
  readonly roles?: readonly Role[];
  /** Numbers that are known beforehand; files win. */
  readonly given?: readonly (readonly [Role, number])[];
}

type Ids = Map<Role, number>;

function take(ids: Ids, role: Role, id: Json | undefined, { tokens }: SpecialWish): void {
  if (typeof id !== "number" || !Number.isInteger(id)) return;
  if (id < 0) fail("format", `${role}_token_id: ${id} is no number of a token; repair config.json or tokenizer.json`);
  if (!ids.has(role) && (tokens === undefined || id < tokens)) ids.set(role, id);
}

/** By the texts of tokenizer_config.json, looked up among tokenizer.json's added tokens. */
function byText(ids: Ids, state: SpecialState, added: readonly Json[], wish: SpecialWish): void {
  for (const role of state.roles) {
    const adds = state.config?.get(`add_${role}_token`);
    if (typeof adds === "boolean") state.adds.set(role, adds);
    const named = state.config?.get(`${role}_token`);
    const text = typeof named === "string" ? named : textAt(named, "content");
    if (text === undefined) continue;
    const entry = added.find((token) => textAt(token, "content") === text);
    take(ids, role, isJsonObject(entry) ? entry.get("id") : undefined, wish);
  }
}

/** By the numbers of config.json. */
function byNumber(ids: Ids, roles: readonly Role[], folder: FolderFiles, wish: SpecialWish): void {
  const config = jsonFile(folder, "config.json");
  for (const role of roles) {
    const key = `${role}_token_id`;
    take(ids, role, config?.get(key) ?? objectAt(config, "text_config")?.get(key), wish);
  }
}

/** What the normalizer of a tokenizer.json does to letters. */
function normalizerEntries(normalizer: Json | undefined, depth = 0): readonly Entry[] {
  const key = (name: string): string => `tokenizer.ggml.normalizer.${name}`;
  const yes = (value: Json | undefined): boolean | undefined => (typeof value === "boolean" ? value : undefined);
  if (!isJsonObject(normalizer) || depth > 8) return [];
  const type = normalizer.get("type");
  if (type === "Lowercase") return flag(key("lowercase"), true);
  if (type === "StripAccents") return flag(key("strip_accents"), true);
  if (type === "BertNormalizer")
    return [
      ...flag(key("lowercase"), yes(normalizer.get("lowercase"))),
      ...flag(key("strip_accents"), yes(normalizer.get("strip_accents"))),
    ];
  return type === "Sequence"
    ? (listAt(normalizer, "normalizers") ?? []).flatMap((inner) => normalizerEntries(inner, depth + 1))
    : [];
}

/** The entries of special tokens and chat templates. */
export function specialEntries(folder: FolderFiles, tokenizer: Json | undefined, wish: SpecialWish): readonly Entry[] {
  const state = startState(jsonFile(folder, "tokenizer_config.json"), wish.roles ?? USUAL_ROLES);
  const ids: Ids = new Map();
  if (tokenizer !== undefined) readPostProcessor(state, tokenizer);
  byText(ids, state, listAt(tokenizer, "added_tokens") ?? [], wish);
  byNumber(ids, state.roles, folder, wish);
  for (const [role, id] of wish.given ?? []) take(ids, role, id, wish);
  return [
    ...[...ids].flatMap(([role, id]) => (ID_KEYS[role] ? whole(`tokenizer.ggml.${ID_KEYS[role]}_token_id`, id) : [])),
    ...[...state.adds].flatMap(([role, adds]) =>
      ADDED.includes(role) ? flag(`tokenizer.ggml.add_${role}_token`, adds) : [],
    ),
    ...(state.config === undefined ? [] : chatTemplateEntries(folder, state.config)),
    ...normalizerEntries(isJsonObject(tokenizer) ? tokenizer.get("normalizer") : undefined),
  ];
}
