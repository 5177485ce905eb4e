/**
 * Vocabularies of SentencePiece that only tokenizer.json tells of: byte pairs of characters, bytes as a last resort
 * (gguf-py/gguf/vocab.py of llama.cpp, `LlamaHfVocab`).
 */
import type { Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import type { Config } from "../config.ts";
import { type FolderFiles, objectAt, textAt } from "../folder.ts";
import { vocabularyOf } from "./added-tokens.ts";
import { TOKEN_TYPES, type Token } from "./token.ts";

/** No scores are in such a file; llama.cpp's converter gives all tokens this one. */
const SCORE = -1000;
const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;

/** Whether a tokenizer.json holds such a vocabulary. */
export const hasPieces = (tokenizer: Json): boolean => {
  const model = objectAt(tokenizer, "model");
  return (
    textAt(model, "type") === "BPE" &&
    model?.get("byte_fallback") === true &&
    textAt(objectAt(tokenizer, "decoder"), "type") === "Sequence"
  );
};

/** The tokens: the model's own, then those added behind them. */
export function jsonPieceTokens(folder: FolderFiles, tokenizer: Json, config: Config): readonly Token[] {
  const { own, added, special } = vocabularyOf(folder, tokenizer, config);
  const token = (text: string, ordinary: number): Token => ({
    text,
    score: SCORE,
    type: special.has(text) ? TOKEN_TYPES.control : ordinary,
  });
  const tokens = new Array<Token | undefined>(own.size).fill(undefined);
  for (const [text, id] of own)
    if (id < tokens.length)
      tokens[id] = BYTE.test(text) ? { text, score: SCORE, type: TOKEN_TYPES.byte } : token(text, TOKEN_TYPES.normal);
  const behind = [...added].filter(([id]) => id >= own.size).sort(([a], [b]) => a - b);
  const all = [...tokens, ...behind.map(([, { text }]) => token(text, TOKEN_TYPES.userDefined))];
  const missing = all.indexOf(undefined);
  if (missing >= 0) fail("format", `tokenizer.json: no token has number ${missing}; repair or replace the file`);
  return all as readonly Token[];
}
