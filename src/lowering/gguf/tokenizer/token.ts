/** Tokens as GGUF lists them, and rules that all kinds of tokenizers share (conversion/base.py of llama.cpp). */
import type { Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import type { Config } from "../config.ts";
import { countSetting } from "../config.ts";
import { type Entry, integers, reals, texts } from "../entries.ts";
import { MAX_TOKEN_LENGTH, MAX_TOKENS } from "./limits.ts";

/** `tokenizer.ggml.token_type` (llama_token_type). */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** One token; `score` only where the tokenizer has scores. */
export interface Token {
  readonly text: string;
  readonly type: number;
  readonly score: number;
}

/** What stands where the vocabulary is larger than the tokenizer. */
export const padding = (id: number, score: number): Token => ({
  text: `[PAD${id}]`,
  type: TOKEN_TYPES.unused,
  score,
});

/** Tokens that are to be controls although their file does not say so. */
const CONTROLS = new Set(["<pad>", "<mask>", "<2mass>", "[@BOS@]"]);
const LOOKS = /^(<\|.*\|>|<｜.*｜>|<unused.*>)$/s;
/** Whether a token is one by its looks. */
export const looksSpecial = (token: string): boolean => CONTROLS.has(token) || LOOKS.test(token);

/** Tokens that are matched before the text is normalized have spaces where the vocabulary has a sign for them. */
export const withSpaces = (token: string): string => token.replaceAll("▁", " ");

/** Tokens of the model by config.json. */
export function vocabularySize(config: Config): number {
  const found = countSetting(config, "vocab_size");
  return found <= MAX_TOKENS
    ? found
    : fail("limit", `config.json: "vocab_size" is ${found}; at most ${MAX_TOKENS} tokens are converted`);
}

/** The number of a token in a file; fails where it is none. */
export function tokenId(json: Json | undefined, where: string): number {
  if (typeof json !== "number" || !Number.isSafeInteger(json) || json < 0)
    return fail("format", `${where}: its number is no whole number from 0 up; repair the file`);
  return json;
}

/** The text of a token; fails where it is none or beyond all measure. */
export function tokenText(json: Json | undefined, where: string): string {
  if (typeof json !== "string") return fail("format", `${where}: it is no text; repair the file`);
  if (json.length > MAX_TOKEN_LENGTH)
    return fail("limit", `${where}: it has ${json.length} characters; at most ${MAX_TOKEN_LENGTH} are converted`);
  return json;
}

/** The list, and what each token is. */
export const tokenEntries = (tokens: readonly Token[], withScores: boolean): readonly Entry[] => [
  ...texts(
    "tokenizer.ggml.tokens",
    tokens.map(({ text }) => text),
  ),
  ...(withScores
    ? reals(
        "tokenizer.ggml.scores",
        Float32Array.from(tokens, ({ score }) => score),
      )
    : []),
  ...integers(
    "tokenizer.ggml.token_type",
    Int32Array.from(tokens, ({ type }) => type),
  ),
];
