/**
 * `tokenizer.ggml.pre`: how a text is cut before bytes are paired. tokenizer.json says it in steps, llama.cpp by a name for
 * each way it knows (llama-vocab.cpp). Its converter finds the name by a hash of what the tokenizer makes of a text, which
 * tells single models apart; here the steps themselves are looked up, so all models that cut alike get one name.
 */
import { isJsonObject, type Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import { didYouMean } from "../../../numeric/suggest.ts";
import { listAt, objectAt, textAt } from "../folder.ts";

/** Names that llama.cpp v0.5.0 knows, beside "default". */
export const PRE_TOKENIZERS = [
  ...["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
  ...["deepseek-llm", "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen", "spark2_5", "youtu", "falcon", "mpt"],
  ...["starcoder", "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum"],
  ...["modern-bert", "jais-2", "gemma4", "granite-embed-multi-311m", "sarvam-moe", "jina-v1-en", "jina-v2-code"],
  ...["roberta-bpe", "whitespace", "refact", "command-r", "qwen2", "kormo", "f2llmv2", "qwen35", "stablelm2", "olmo"],
  ...["dbrx", "smaug-bpe", "poro-chat", "glm4", "chatglm-bpe", "viking", "jais", "tekken", "smollm", "codeshell"],
  ...["bloom", "gpt3-finnish", "exaone", "exaone4", "exaone-moe", "chameleon", "minerva-7b", "megrez", "gpt-4o"],
  ...["llama4", "kanana2", "talkie", "granite-embed-multi-97m", "tiny_aya", "cohere2moe", "superbpe", "trillion"],
  ...["granite-docling", "bailingmoe", "bailingmoe2", "llada-moe", "seed-coder", "hunyuan", "hunyuan-dense", "hy_v4"],
  ...[
    "joyai-llm",
    "kimi-k2",
    "ufakzeka",
    "grok-2",
    "afmoe",
    "laguna",
    "minimax-m2",
    "solar-open",
    "mellum2",
    "minicpm5",
  ],
] as const;

/** Nesting and number of steps; real tokenizers have at most seven, two deep. */
const MAX_DEPTH = 8;
const MAX_STEPS = 64;

const patternOf = (step: Json): string => {
  const pattern = objectAt(step, "pattern");
  return textAt(pattern, "Regex") ?? `literally ${JSON.stringify(textAt(pattern, "String") ?? "")}`;
};
const setting = (step: Json, key: string, otherwise: Json): string =>
  String((isJsonObject(step) ? step.get(key) : undefined) ?? otherwise);

/** Steps in words, settings that change no cut left out; others keep their type alone. */
const WORDS: Readonly<Record<string, (step: Json) => string>> = {
  Split: (step) =>
    `split ${setting(step, "behavior", "")}${setting(step, "invert", false) === "true" ? " inverted" : ""} ${patternOf(step)}`,
  Digits: (step) => `digits ${setting(step, "individual_digits", false) === "true" ? "one by one" : "together"}`,
  ByteLevel: (step) =>
    `bytes${setting(step, "add_prefix_space", true) === "true" ? " after a space" : ""}${setting(step, "use_regex", true) === "true" ? " of words" : ""}`,
  Punctuation: (step) => `punctuation ${setting(step, "behavior", "Isolated")}`,
  NFC: () => "",
};

/** What a normalizer or pre-tokenizer does, one line a step. */
function stepsOf(json: Json | undefined, inner: string, depth = 0): readonly string[] {
  if (json === undefined || json === null) return [];
  if (depth > MAX_DEPTH) fail("limit", `tokenizer.json: its ${inner} nest deeper than ${MAX_DEPTH}`);
  const type = textAt(json, "type") ?? "?";
  if (type === "Sequence") return (listAt(json, inner) ?? []).flatMap((step) => stepsOf(step, inner, depth + 1));
  const words = Object.hasOwn(WORDS, type) ? WORDS[type]!(json) : `${type} with settings of its own`;
  return words === "" ? [] : [words];
}

/** All steps of a tokenizer. */
function definition(tokenizer: Json): readonly string[] {
  const part = (key: string): Json | undefined => (isJsonObject(tokenizer) ? tokenizer.get(key) : undefined);
  const steps = [...stepsOf(part("normalizer"), "normalizers"), ...stepsOf(part("pre_tokenizer"), "pretokenizers")];
  if (steps.length > MAX_STEPS) fail("limit", `tokenizer.json: more than ${MAX_STEPS} steps before byte pairs`);
  return steps;
}

/** Parts of expressions that several tokenizers have. */
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORD = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SIGNS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const SIGNS_AND_SLASHES = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*";
const BLANKS = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const cased = (end: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${end}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${end}`;
const HAN = "[一-龥ࠀ-一가-퟿]+";
const split = (pattern: string): string => `split Isolated ${pattern}`;

const LLAMA3 = [split(`${CONTRACTION}|${WORD}|\\p{N}{1,3}|${SIGNS}|${BLANKS}`), "bytes"];
const QWEN2 = [split(`${CONTRACTION}|${WORD}|\\p{N}|${SIGNS}|${BLANKS}`), "bytes"];
const MARKED = "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*";
const DIGITS = ["digits one by one", "bytes of words"];

interface Row {
  readonly name: (typeof PRE_TOKENIZERS)[number];
  readonly steps: readonly string[];
  /** What else sets it apart from rows below with the same steps. */
  readonly when?: (tokenizer: Json) => boolean;
}

const hasToken = (token: string) => (tokenizer: Json) =>
  (listAt(tokenizer, "added_tokens") ?? []).some((entry) => textAt(entry, "content") === token);
/** Words that are tokens as a whole are taken without a look at the merges. */
const ignoresMerges = (tokenizer: Json): boolean => objectAt(tokenizer, "model")?.get("ignore_merges") === true;

const ROWS: readonly Row[] = [
  { name: "llama-bpe", steps: LLAMA3, when: ignoresMerges },
  { name: "smaug-bpe", steps: LLAMA3 },
  { name: "deepseek-r1-qwen", steps: QWEN2, when: hasToken("<｜begin▁of▁sentence｜>") },
  { name: "qwen2", steps: QWEN2 },
  { name: "qwen35", steps: [split(`${CONTRACTION}|${MARKED}|${BLANKS}`), "bytes"] },
  { name: "tekken", steps: [split(`${cased("")}|\\p{N}|${SIGNS_AND_SLASHES}|${BLANKS}`), "bytes"] },
  {
    name: "gpt-4o",
    steps: [split(`${cased(`${CONTRACTION}?`)}|\\p{N}{1,3}|${SIGNS_AND_SLASHES}|${BLANKS}`), "bytes"],
  },
  { name: "refact", steps: DIGITS, when: hasToken("<fim_prefix>") },
  { name: "smollm", steps: DIGITS },
  { name: "gpt-2", steps: ["bytes of words"] },
  {
    name: "minicpm5",
    steps: [split("\\p{N}{1,3}"), split(`${CONTRACTION}|${WORD}|\\p{N}+|${SIGNS}|${BLANKS}`), "bytes"],
  },
  {
    name: "seed-coder",
    steps: [split(`${CONTRACTION}|${WORD}|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`), "bytes"],
  },
  {
    name: "deepseek-coder",
    steps: [split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(HAN), "digits one by one", "bytes"],
  },
];

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((step, i) => step === b[i]);

/** Checks a name that somebody gave; llama.cpp refuses to load a file with one it does not know. */
export function checkedPre(name: string): string {
  if (name === "default" || PRE_TOKENIZERS.some((known) => known === name)) return name;
  return fail(
    "usage",
    `pre-tokenizer ${JSON.stringify(name.slice(0, 80))} is none that llama.cpp knows${didYouMean(name, PRE_TOKENIZERS)} (for example ${PRE_TOKENIZERS.slice(0, 1)}, qwen2, tekken, gpt-2)`,
  );
}

/** llama.cpp's name of how a tokenizer.json cuts texts; fails with code "unsupported" where there is none. */
export function preTokenizer(tokenizer: Json): string {
  const steps = definition(tokenizer);
  const found = ROWS.find(({ steps: known, when }) => isSame(steps, known) && (when?.(tokenizer) ?? true));
  if (found !== undefined) return found.name;
  const shown = steps.length === 0 ? "nothing" : JSON.stringify(steps.join(", then ").slice(0, 200));
  return fail(
    "unsupported",
    `tokenizer.json: before byte pairs it does ${shown}, which is none of the ways known here; say what llama.cpp calls it with --pre, for example --pre llama-bpe`,
  );
}
