/** Vocabularies of byte pairs (conversion/base.py of llama.cpp, `get_vocab_base` and `_set_vocab_gpt2`). */
import type { Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import type { Config } from "../config.ts";
import { type FolderFiles, jsonFile, objectAt, textAt } from "../folder.ts";
import { type AddedToken, type Vocabulary, vocabularyOf } from "./added-tokens.ts";
import { cleanedUp, decodedToken } from "./byte-level.ts";
import { looksSpecial, padding, TOKEN_TYPES, type Token, vocabularySize, withSpaces } from "./token.ts";

/** Makes the text of a token out of what its file says, as encoding and decoding it would. */
type Decode = (text: string) => string;

function decoderOf(folder: FolderFiles, tokenizer: Json): Decode {
  const decode: Decode = textAt(objectAt(tokenizer, "decoder"), "type") === "ByteLevel" ? decodedToken : (text) => text;
  const cleans = jsonFile(folder, "tokenizer_config.json")?.get("clean_up_tokenization_spaces") === true;
  return cleans ? (text) => cleanedUp(decode(text)) : decode;
}

function addedToken({ text, special, normalized }: AddedToken, decode: Decode): Token {
  const shown = normalized ? text : decode(text);
  return special || looksSpecial(shown)
    ? { text: shown, type: TOKEN_TYPES.control, score: 0 }
    : { text: withSpaces(shown), type: TOKEN_TYPES.userDefined, score: 0 };
}

/** The numbers must fit the vocabulary that the embeddings were made for. */
function checkIds({ own, added }: Vocabulary, size: number): void {
  const check = (text: string, id: number): void => {
    if (id >= size)
      fail(
        "format",
        `tokenizer.json: token ${JSON.stringify(text.slice(0, 80))} has number ${id}, but "vocab_size" of config.json is ${size}; tokenizer and model do not belong together`,
      );
  };
  for (const [text, id] of own) check(text, id);
  for (const [id, { text }] of added) check(text, id);
}

/** The tokens of a folder with a byte-pair tokenizer.json, as many as config.json says. */
export function bytePairTokens(folder: FolderFiles, tokenizer: Json, config: Config): readonly Token[] {
  const size = vocabularySize(config);
  const vocabulary = vocabularyOf(folder, tokenizer, config);
  checkIds(vocabulary, size);
  const tokens = Array.from({ length: size }, (_, id) => padding(id, 0));
  for (const [text, id] of vocabulary.own) tokens[id] = { text, type: TOKEN_TYPES.normal, score: 0 };
  const decode = decoderOf(folder, tokenizer);
  for (const [id, token] of vocabulary.added) tokens[id] = addedToken(token, decode);
  return tokens;
}
