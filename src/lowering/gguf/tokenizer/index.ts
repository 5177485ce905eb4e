/** The tokenizer of a model folder as GGUF's keys, chosen and written as llama.cpp's converter does (conversion/llama.py, qwen.py). */
import type { Json } from "../../../containers/json.ts";
import { fail } from "../../../numeric/errors.ts";
import type { Family } from "../architectures.ts";
import type { Config } from "../config.ts";
import { type Entry, flag, text, texts } from "../entries.ts";
import { type FolderFiles, hasFile, jsonFile, objectAt, textAt } from "../folder.ts";
import { bytePairTokens } from "./byte-pairs.ts";
import { mergesOf } from "./merges.ts";
import { pieceTokens } from "./pieces.ts";
import { hasPieces, jsonPieceTokens } from "./pieces-of-json.ts";
import { checkedPre, preTokenizer } from "./pre-tokenizers.ts";
import { specialEntries } from "./special-tokens.ts";
import { type Token, tokenEntries } from "./token.ts";

/** Sizes of vocabularies by which llama.cpp's converter knows CodeLlama and small Granite models. */
const CODE_LLAMA = 32_016;
const GRANITE = 49_152;

/** CodeLlama's end of a turn, behind its tokens for filling in. */
const CODE_LLAMA_ROLES = [
  ["prefix", 32_007],
  ["suffix", 32_008],
  ["middle", 32_009],
  ["eot", 32_010],
] as const;

interface Input {
  readonly folder: FolderFiles;
  readonly config: Config;
  /** tokenizer.json, where it is there. */
  readonly tokenizer: Json | undefined;
  /** A name that somebody gave. */
  readonly pre: string | undefined;
}

const head = (model: string, pre: string): readonly Entry[] => [
  ...text("tokenizer.ggml.model", model),
  ...text("tokenizer.ggml.pre", pre),
];

/** Vocabularies of SentencePiece have scores, and only numbers below their size. */
function pieceEntries({ folder, tokenizer, pre }: Input, tokens: readonly Token[]): readonly Entry[] {
  if (pre !== undefined)
    fail("usage", `--pre ${pre} has no meaning for ${folder.name}, whose tokenizer is SentencePiece's; leave it out`);
  return [
    ...head("llama", "default"),
    ...tokenEntries(tokens, true),
    ...specialEntries(folder, tokenizer, { tokens: tokens.length }),
  ];
}

function bytePairEntries({ folder, config, tokenizer, pre }: Input): readonly Entry[] {
  if (tokenizer === undefined) return noTokenizer(folder);
  const type = textAt(objectAt(tokenizer, "model"), "type");
  if (type !== "BPE")
    fail(
      "unsupported",
      `tokenizer.json: a model of type ${JSON.stringify(type ?? null)} can't be converted; known is BPE`,
    );
  return [
    ...head("gpt2", pre === undefined ? preTokenizer(tokenizer) : checkedPre(pre)),
    ...tokenEntries(bytePairTokens(folder, tokenizer, config), false),
    ...texts("tokenizer.ggml.merges", mergesOf(folder, tokenizer)),
    ...specialEntries(folder, tokenizer, {}),
  ];
}

const noTokenizer = (folder: FolderFiles): never =>
  hasFile(folder, "tekken.json")
    ? fail(
        "unsupported",
        `${folder.name}: tekken.json alone can't be converted; add the tokenizer.json that transformers makes of it`,
      )
    : fail(
        "usage",
        `${folder.name}: it has neither tokenizer.model nor tokenizer.json; add the files of the model's tokenizer`,
      );

/** By the files that are there: tokenizer.model wins. */
function vocabularyEntries(input: Input, { readsPieces, readsJsonPieces }: Family): readonly Entry[] {
  const { folder, config, tokenizer } = input;
  if (readsPieces && hasFile(folder, "tokenizer.model")) return pieceEntries(input, pieceTokens(folder, config));
  if (readsJsonPieces && tokenizer !== undefined && hasPieces(tokenizer))
    return pieceEntries(input, jsonPieceTokens(folder, tokenizer, config));
  return bytePairEntries(input);
}

/** What llama.cpp's converter does for llama's kin alone. */
function llamaExtras({ folder, config, tokenizer }: Input): readonly Entry[] {
  const size = config.get("vocab_size");
  if (size === GRANITE) return flag("tokenizer.ggml.add_bos_token", false);
  if (size !== CODE_LLAMA) return [];
  const roles = CODE_LLAMA_ROLES.map(([role]) => role);
  return specialEntries(folder, tokenizer, { roles, given: CODE_LLAMA_ROLES });
}

/** All keys of the tokenizer; later ones take the place of earlier ones of the same name. */
export function tokenizerEntries(
  folder: FolderFiles,
  config: Config,
  family: Family,
  pre: string | undefined,
): readonly Entry[] {
  const input: Input = { folder, config, tokenizer: jsonFile(folder, "tokenizer.json"), pre };
  if (!family.readsJsonPieces) return vocabularyEntries(input, family);
  const prefix = jsonFile(folder, "tokenizer_config.json")?.get("add_prefix_space");
  return [
    ...flag("tokenizer.ggml.add_space_prefix", prefix === undefined || prefix === null ? undefined : prefix === true),
    ...vocabularyEntries(input, family),
    ...llamaExtras(input),
  ];
}
