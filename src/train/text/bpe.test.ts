import { expect, test } from "vitest";
import { decodeTokens, encoder, trainTokenizer } from "./bpe.ts";
import { BYTE_LETTERS, bytesOfToken } from "./byte-letters.ts";
import { piecesOf } from "./words.ts";

const TEXT = "the cat sat on the mat. the cat's hat, the rat's 12 mats and 12 hats; naïve 猫 \n\n the end\n".repeat(3);

test("every byte has a letter of its own, blanks a visible one", () => {
  expect(new Set(BYTE_LETTERS).size).toBe(256);
  expect([BYTE_LETTERS[0x20], BYTE_LETTERS[0x0a], BYTE_LETTERS[0x41]]).toEqual(["Ġ", "Ċ", "A"]);
  expect(bytesOfToken("Ġthe")).toEqual([0x20, 0x74, 0x68, 0x65]);
});

test("pieces keep the blank in front of a word and join to the text", () => {
  expect(piecesOf("the cat's 12  hats!\n")).toEqual(["the", " cat", "'s", " 12", " ", " hats", "!", "\n"]);
  expect(piecesOf(TEXT).join("")).toBe(TEXT);
});

test("merges are learned from the most frequent pair on, and the smaller tokens go first among equals", () => {
  const { tokens, merges, end } = trainTokenizer("aaab aaab ab ab", 261);
  expect(merges).toEqual(["a a", "a b", "Ġ ab", "aa ab"]);
  expect(tokens.slice(256)).toEqual([...merges.map((merge) => merge.replace(" ", "")), "<|endoftext|>"]);
  expect(end).toBe(260);
});

test("decoding undoes encoding, for text the tokenizer has not seen too", () => {
  const tokenizer = trainTokenizer(TEXT, 290);
  const encode = encoder(tokenizer);
  for (const text of [TEXT, "", "something else: żółw, 😀\t\r\n  x", "\u0000"]) {
    const ids = encode(text);
    expect(decodeTokens(tokenizer, ids)).toBe(text);
    expect([...ids].every((id) => id >= 0 && id < tokenizer.tokens.length && id !== tokenizer.end)).toBe(true);
  }
  expect(encode(TEXT).length).toBeLessThan(TEXT.length / 2);
});

test("a word is encoded by the merges in their order", () => {
  const encode = encoder({ tokens: [...BYTE_LETTERS, "ab", "bc", "abc"], merges: ["a b", "b c", "ab c"], end: -1 });
  expect([...encode("abc")]).toEqual([258]);
  expect([...encode("bcb")]).toEqual([257, 0x62]);
});

test("what can't be is refused", () => {
  expect(() => trainTokenizer(TEXT, 256)).toThrow(/a vocabulary of 256 tokens was asked for; use 257 to 65536/);
  expect(() => trainTokenizer("abc", 300)).toThrow(/pairs for 257 tokens only/);
  expect(() => encoder({ tokens: BYTE_LETTERS, merges: ["a b"], end: -1 })).toThrow(/needs a token "ab"/);
  expect(() => decodeTokens(trainTokenizer(TEXT, 290), [999])).toThrow(/token 999 is not one of 290/);
});
