/** Byte pair encoding (Sennrich et al., arXiv:1508.07909) over bytes, as GPT-2 does it: every text has tokens. */
import { fail } from "../../numeric/errors.ts";
import { BYTE_LETTERS, bytesOfToken } from "./byte-letters.ts";
import { piecesOf } from "./words.ts";

/** A tokenizer as data: what tokenizer files hold. */
export interface Tokenizer {
  /** Text of each token in letters of bytes (`BYTE_LETTERS`); specials as they are. */
  readonly tokens: readonly string[];
  /** Pairs of tokens that become one, most frequent first: "Ġ t". */
  readonly merges: readonly string[];
  /** Token between two texts; no text contains it. */
  readonly end: number;
}

/** The largest vocabulary: a pair of tokens is one whole number below 2^53. */
export const MAX_VOCABULARY = 65_536;
const END = "<|endoftext|>";
const BYTES = 256;

const pairKey = (left: number, right: number): number => left * MAX_VOCABULARY + right;

const utf8 = new TextEncoder();

/** A word while it is merged: its tokens, and how often the text has it. */
interface Word {
  tokens: number[];
  readonly count: number;
}

/** How often each pair occurs, and in which words. */
interface Pairs {
  readonly counts: Map<number, number>;
  readonly words: Map<number, Set<Word>>;
}

function countWords(text: string): readonly Word[] {
  const counts = new Map<string, number>();
  for (const piece of piecesOf(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  return [...counts].map(([piece, count]) => ({ tokens: [...utf8.encode(piece)], count }));
}

function countPairs({ counts, words }: Pairs, word: Word, sign: 1 | -1): void {
  for (let i = 0; i + 1 < word.tokens.length; i++) {
    const key = pairKey(word.tokens[i]!, word.tokens[i + 1]!);
    counts.set(key, (counts.get(key) ?? 0) + sign * word.count);
    if (sign < 0) continue;
    const holders = words.get(key);
    if (holders) holders.add(word);
    else words.set(key, new Set([word]));
  }
}

/** The most frequent pair, of equally frequent ones the one of smaller tokens; undefined when none comes twice. */
function mostFrequent(counts: ReadonlyMap<number, number>): number | undefined {
  let [best, most] = [-1, 1];
  for (const [key, count] of counts)
    if (count > most || (count === most && best >= 0 && key < best)) [best, most] = [key, count];
  return best < 0 ? undefined : best;
}

function joined(tokens: readonly number[], left: number, right: number, made: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const meets = tokens[i] === left && tokens[i + 1] === right;
    out.push(meets ? made : tokens[i]!);
    if (meets) i++;
  }
  return out;
}

function mergePair(pairs: Pairs, key: number, made: number): void {
  const [left, right] = [Math.floor(key / MAX_VOCABULARY), key % MAX_VOCABULARY];
  for (const word of pairs.words.get(key) ?? []) {
    countPairs(pairs, word, -1);
    word.tokens = joined(word.tokens, left, right, made);
    countPairs(pairs, word, 1);
  }
  pairs.words.delete(key);
  pairs.counts.delete(key);
}

/** Learns a vocabulary of `size` tokens from a text: all bytes, one that ends texts, and the most frequent pairs. */
export function trainTokenizer(text: string, size: number): Tokenizer {
  if (!Number.isInteger(size) || size < BYTES + 1 || size > MAX_VOCABULARY)
    fail("usage", `tokenizer: a vocabulary of ${size} tokens was asked for; use ${BYTES + 1} to ${MAX_VOCABULARY}`);
  const pairs: Pairs = { counts: new Map(), words: new Map() };
  for (const word of countWords(text)) countPairs(pairs, word, 1);
  const tokens = [...BYTE_LETTERS];
  const merges: string[] = [];
  while (tokens.length < size - 1) {
    const key =
      mostFrequent(pairs.counts) ??
      fail("data", `tokenizer: the text has pairs for ${tokens.length + 1} tokens only; use more text or fewer tokens`);
    const [left, right] = [tokens[Math.floor(key / MAX_VOCABULARY)]!, tokens[key % MAX_VOCABULARY]!];
    mergePair(pairs, key, tokens.length);
    merges.push(`${left} ${right}`);
    tokens.push(left + right);
  }
  return { tokens: [...tokens, END], merges, end: tokens.length };
}

/** Pair -> what it becomes; earlier merges make smaller tokens, so the smallest goes first. */
function mergeTable({ tokens, merges }: Tokenizer): ReadonlyMap<number, number> {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const idOf = (token: string, merge: string): number =>
    ids.get(token) ?? fail("format", `tokenizer: the merge "${merge}" needs a token "${token}"; there is none`);
  return new Map(
    merges.map((merge) => {
      const [left = "", right = ""] = merge.split(" ");
      return [pairKey(idOf(left, merge), idOf(right, merge)), idOf(left + right, merge)];
    }),
  );
}

function mergeAll(bytes: ArrayLike<number>, table: ReadonlyMap<number, number>): readonly number[] {
  let tokens = Array.from(bytes);
  while (true) {
    let [made, at] = [Number.POSITIVE_INFINITY, -1];
    for (let i = 0; i + 1 < tokens.length; i++) {
      const id = table.get(pairKey(tokens[i]!, tokens[i + 1]!));
      if (id !== undefined && id < made) [made, at] = [id, i];
    }
    if (at < 0) return tokens;
    tokens = joined(tokens, tokens[at]!, tokens[at + 1]!, made);
  }
}

/** A function from text to tokens; pieces it has seen are remembered. */
export function encoder(tokenizer: Tokenizer): (text: string) => Int32Array {
  const table = mergeTable(tokenizer);
  const seen = new Map<string, readonly number[]>();
  const encodePiece = (piece: string): readonly number[] => {
    const found = seen.get(piece) ?? mergeAll(utf8.encode(piece), table);
    seen.set(piece, found);
    return found;
  };
  return (text) => Int32Array.from(piecesOf(text).flatMap(encodePiece));
}

/** Text of tokens; the token that ends texts is left out. Bytes that are no UTF-8 become replacement characters. */
export function decodeTokens({ tokens, end }: Tokenizer, ids: ArrayLike<number>): string {
  const bytes = Array.from(ids).flatMap((id) => {
    if (id === end) return [];
    const token = tokens[id] ?? fail("data", `tokenizer: token ${id} is not one of ${tokens.length}`);
    return bytesOfToken(token) ?? fail("format", `tokenizer: token ${id} ("${token}") stands for no bytes`);
  });
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
