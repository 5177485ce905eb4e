/**
 * The vocabulary of a tokenizer.json with what other files add to it, as transformers 4.57 puts it together
 * (tokenization_utils_base.py, tokenization_utils_fast.py; numbers of new tokens by the tokenizers library 0.22).
 */
import { isJsonObject, type Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import { type Config, setting } from "../config.ts";
import { type FolderFiles, jsonFile, listAt, objectAt, textAt } from "../folder.ts";
import { MAX_TOKENS } from "./limits.ts";
import { tokenId, tokenText } from "./token.ts";

/** A token beside the model's own. */
export interface AddedToken {
  readonly text: string;
  readonly special: boolean;
  /** Looked for in the text after it was normalized. */
  readonly normalized: boolean;
}

/** All tokens of a tokenizer. */
export interface Vocabulary {
  /** Numbers of the model's own tokens. */
  readonly own: ReadonlyMap<string, number>;
  /** By number; some stand for tokens of the model. */
  readonly added: ReadonlyMap<number, AddedToken>;
  /** Texts of the special tokens: begin, end, unknown, ... */
  readonly special: ReadonlySet<string>;
}

type Growing = Vocabulary & {
  readonly added: Map<number, AddedToken>;
  readonly ids: Map<string, number>;
  /** The largest number of an added token. */
  last: number;
};

/** Special tokens in transformers' order. */
const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;
const MORE = "additional_special_tokens";

type Defaults = Readonly<Partial<Record<(typeof ROLES)[number], string>>>;

/** What classes assume where tokenizer_config.json is silent. */
const CLASS_DEFAULTS: Readonly<Record<string, Defaults>> = {
  LlamaTokenizer: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  Qwen2Tokenizer: { eos_token: "<|endoftext|>", unk_token: "<|endoftext|>", pad_token: "<|endoftext|>" },
  GPT2Tokenizer: { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>", unk_token: "<|endoftext|>" },
};

/** The class of a model whose files name none. */
const MODEL_CLASSES: Readonly<Record<string, string>> = {
  ...{ llama: "LlamaTokenizer", mistral: "LlamaTokenizer" },
  ...{ qwen2: "Qwen2Tokenizer", qwen3: "Qwen2Tokenizer" },
};

function classDefaults(tokenizerConfig: Json | undefined, config: Config): Defaults {
  const named = textAt(tokenizerConfig, "tokenizer_class") ?? setting(config, ["tokenizer_class"]);
  const type = config.get("model_type");
  const own = typeof type === "string" && Object.hasOwn(MODEL_CLASSES, type) ? MODEL_CLASSES[type] : undefined;
  const name = typeof named === "string" ? named.replace(/Fast$/, "") : (own ?? "");
  return Object.hasOwn(CLASS_DEFAULTS, name) ? CLASS_DEFAULTS[name]! : {};
}

/** A special token is a text, or an object with its text. */
const contentOf = (json: Json | undefined): string | undefined =>
  typeof json === "string" ? json : textAt(json, "content");

/** tokenizer_config.json, and below it special_tokens_map.json where no added tokens are declared. */
function settingsOf(folder: FolderFiles, tokenizerConfig: ReadonlyMap<string, Json>): ReadonlyMap<string, Json> {
  if (tokenizerConfig.has("added_tokens_decoder")) return tokenizerConfig;
  return new Map([...tokenizerConfig, ...(jsonFile(folder, "special_tokens_map.json") ?? [])]);
}

function specialTexts(settings: ReadonlyMap<string, Json>, defaults: Defaults): readonly string[] {
  const named = ROLES.map((role) => (settings.has(role) ? contentOf(settings.get(role)) : defaults[role]));
  const more = (listAt(settings, MORE) ?? []).map(contentOf);
  return [...new Set([...named, ...more].filter((text) => text !== undefined && text !== ""))] as string[];
}

/** A token as its file describes it; what is not said of `normalized` is that special tokens are not. */
function addedToken(entry: Json, where: string): AddedToken {
  if (!isJsonObject(entry)) return fail("format", `${where}: its entry is no object; repair the file`);
  const special = entry.get("special") === true;
  const normalized = entry.get("normalized");
  return {
    text: tokenText(entry.get("content"), where),
    special,
    normalized: typeof normalized === "boolean" ? normalized : !special,
  };
}

/** The number that the library gives a new token. */
const nextId = ({ own, last }: Growing): number => (last >= own.size ? last + 1 : own.size);

/** Adds a token, or says anew what one is that is there; `wish` is the number that its file gives it. */
function add(vocabulary: Growing, token: AddedToken, wish?: number): void {
  if (token.text === "") return;
  const id = vocabulary.ids.get(token.text) ?? wish ?? nextId(vocabulary);
  vocabulary.ids.set(token.text, id);
  vocabulary.added.set(id, token);
  vocabulary.last = Math.max(vocabulary.last, id);
}

function ownTokens(tokenizer: Json): ReadonlyMap<string, number> {
  const vocab = objectAt(objectAt(tokenizer, "model"), "vocab");
  if (vocab === undefined)
    return fail("format", 'tokenizer.json: its model has no "vocab"; repair or replace the file');
  if (vocab.size > MAX_TOKENS)
    fail("limit", `tokenizer.json: ${vocab.size} tokens; at most ${MAX_TOKENS} are converted`);
  const ids = [...vocab].map(([text, id]): [string, number] => {
    const where = `tokenizer.json: token ${JSON.stringify(text.slice(0, 80))}`;
    return [tokenText(text, where), tokenId(id, where)];
  });
  return new Map(ids);
}

type Numbered = readonly [number, AddedToken];

/** tokenizer.json's own added tokens. */
function addedIn(tokenizer: Json): readonly Numbered[] {
  const entries = listAt(tokenizer, "added_tokens") ?? [];
  if (entries.length > MAX_TOKENS) fail("limit", `tokenizer.json: more than ${MAX_TOKENS} added tokens`);
  return entries.map((entry, i): Numbered => {
    const where = `tokenizer.json: added token ${i}`;
    return [tokenId(isJsonObject(entry) ? entry.get("id") : undefined, where), addedToken(entry, where)];
  });
}

/** Tokens of tokenizer_config.json. */
const declaredIn = (decoder: ReadonlyMap<string, Json>): readonly Numbered[] =>
  [...decoder].map(([key, entry]): Numbered => {
    const where = `tokenizer_config.json: added token ${JSON.stringify(key.slice(0, 20))}`;
    return [tokenId(/^\d{1,9}$/.test(key) ? Number(key) : undefined, where), addedToken(entry, where)];
  });

/** Tokens of added_tokens.json, as folders had them before tokenizer_config.json declared tokens. */
const listedIn = (folder: FolderFiles, special: ReadonlySet<string>): readonly Numbered[] =>
  [...(jsonFile(folder, "added_tokens.json") ?? [])].map(([text, id]): Numbered => {
    const where = `added_tokens.json: token ${JSON.stringify(text.slice(0, 80))}`;
    const isSpecial = special.has(text);
    return [tokenId(id, where), { text: tokenText(text, where), special: isSpecial, normalized: !isSpecial }];
  });

/** The vocabulary of a folder with tokenizer.json. */
export function vocabularyOf(folder: FolderFiles, tokenizer: Json, config: Config): Vocabulary {
  const tokenizerConfig = jsonFile(folder, "tokenizer_config.json") ?? new Map<string, Json>();
  const settings = settingsOf(folder, tokenizerConfig);
  const special = new Set(specialTexts(settings, classDefaults(tokenizerConfig, config)));
  const own = ownTokens(tokenizer);
  const growing: Growing = { own, added: new Map(), ids: new Map(own), special, last: -1 };
  const first = addedIn(tokenizer);
  for (const [id, token] of first) add(growing, token, id);
  const known = new Set(first.map(([, { text }]) => text));
  const decoder = objectAt(settings, "added_tokens_decoder");
  const again =
    decoder === undefined ? new Map([...listedIn(folder, special), ...first]) : new Map(declaredIn(decoder));
  for (const [, token] of [...again].sort(([a], [b]) => a - b)) {
    known.add(token.text);
    add(growing, { ...token, special: token.special || special.has(token.text) });
  }
  for (const text of special) if (!known.has(text)) add(growing, { text, special: true, normalized: false });
  return growing;
}
