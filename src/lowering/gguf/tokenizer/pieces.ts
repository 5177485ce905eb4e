/** Vocabularies of SentencePiece (conversion/base.py of llama.cpp, `_create_vocab_sentencepiece`). */
import { isJsonObject } from "../../../containers/json.ts";
import { PIECE_TYPES, type Piece, readPieces } from "../../../containers/sentencepiece/index.ts";
import { fail } from "../../../numeric/errors.ts";
import type { Config } from "../config.ts";
import { type FolderFiles, jsonFile, objectAt } from "../folder.ts";
import {
  looksSpecial,
  padding,
  TOKEN_TYPES,
  type Token,
  tokenId,
  tokenText,
  vocabularySize,
  withSpaces,
} from "./token.ts";

/** Scores of tokens that nothing stands for, and of those that were added. */
const NO_SCORE = -10_000;
const ADDED_SCORE = -1000;

/** Types that count; llama.cpp takes pieces that users defined for ordinary ones. */
const KEPT = new Set<number>([PIECE_TYPES.unknown, PIECE_TYPES.control, PIECE_TYPES.unused, PIECE_TYPES.byte]);

const pieceToken = ({ text, score, type }: Piece): Token => ({
  text,
  score,
  type: KEPT.has(type) ? type : TOKEN_TYPES.normal,
});

const added = (text: string, type: number): Token => ({ text, type, score: ADDED_SCORE });

/** Tokens of added_tokens.json. */
function listed(folder: FolderFiles): readonly (readonly [number, Token])[] {
  return [...(jsonFile(folder, "added_tokens.json") ?? [])].map(([text, id]) => {
    const where = `added_tokens.json: token ${JSON.stringify(text.slice(0, 80))}`;
    return [tokenId(id, where), added(tokenText(text, where), TOKEN_TYPES.userDefined)];
  });
}

/** Tokens of tokenizer_config.json, which win. */
function declared(folder: FolderFiles): readonly (readonly [number, Token])[] {
  const decoder = objectAt(jsonFile(folder, "tokenizer_config.json"), "added_tokens_decoder") ?? [];
  return [...decoder].map(([key, entry]) => {
    const where = `tokenizer_config.json: added token ${JSON.stringify(key.slice(0, 20))}`;
    if (!/^\d{1,9}$/.test(key)) fail("format", `${where}: it is no number; repair the file`);
    if (!isJsonObject(entry)) return fail("format", `${where}: its entry is no object; repair the file`);
    const text = tokenText(entry.get("content"), where);
    const isControl = entry.get("special") === true || looksSpecial(text);
    const token = isControl ? added(text, TOKEN_TYPES.control) : added(withSpaces(text), TOKEN_TYPES.userDefined);
    return [Number(key), token];
  });
}

/** The tokens of a folder with tokenizer.model, as many as config.json says. */
export function pieceTokens(folder: FolderFiles, config: Config): readonly Token[] {
  const pieces = readPieces(
    folder.files.get("tokenizer.model") ?? fail("usage", `${folder.name}: it has no tokenizer.model`),
  );
  const size = vocabularySize(config);
  const tokens = Array.from({ length: size }, (_, id) => {
    const piece = pieces[id];
    return piece === undefined ? padding(id, NO_SCORE) : pieceToken(piece);
  });
  for (const [id, token] of [...listed(folder), ...declared(folder)]) if (id < size) tokens[id] = token;
  return tokens;
}
