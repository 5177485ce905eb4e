/** Ways to cut texts: those of real tokenizers have names, others are refused unless somebody names them. */
import { expect, test } from "vitest";
import { type Json, parseJson } from "../../../containers/json.ts";
import { checkedPre, PRE_TOKENIZERS, preTokenizer } from "./pre-tokenizers.ts";

const json = (value: object): Json => parseJson(JSON.stringify(value), { where: "test", depth: 40, values: 1000 });
const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });
const bytes = (use_regex: boolean, trim_offsets = true) => ({
  ...{ type: "ByteLevel", add_prefix_space: false, trim_offsets, use_regex },
});
const steps = (...pretokenizers: object[]) => ({ pre_tokenizer: { type: "Sequence", pretokenizers } });

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2 = LLAMA3.replace("{1,3}", "");
const TEKKEN =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const begins = (content: string) => ({ added_tokens: [{ content }] });
const digits = { type: "Digits", individual_digits: true };

test.each<[string, object]>([
  ["llama-bpe", { ...steps(split(LLAMA3), bytes(false)), model: { ignore_merges: true } }],
  ["smaug-bpe", steps(split(LLAMA3), bytes(false))],
  ["qwen2", { normalizer: { type: "NFC" }, ...steps(split(QWEN2), bytes(false, false)) }],
  ["deepseek-r1-qwen", { ...steps(split(QWEN2), bytes(false)), ...begins("<｜begin▁of▁sentence｜>") }],
  ["tekken", steps(split(TEKKEN), bytes(false))],
  ["smollm", steps(digits, bytes(true))],
  ["refact", { ...steps(digits, bytes(true)), ...begins("<fim_prefix>") }],
  ["gpt-2", { pre_tokenizer: bytes(true), normalizer: { type: "Sequence", normalizers: [] } }],
  ["gpt-2", { pre_tokenizer: { type: "ByteLevel", add_prefix_space: false } }],
  ["minicpm5", steps(split("\\p{N}{1,3}"), split(LLAMA3.replace("{1,3}", "+")), bytes(false))],
])("%s", (name, tokenizer) => {
  expect(preTokenizer(json(tokenizer))).toBe(name);
});

test.each<[string, object, string]>([
  ["another expression", steps(split("\\w+"), bytes(false)), 'does "split Isolated \\\\w+, then bytes"'],
  ["a space before the text", { pre_tokenizer: { ...bytes(true), add_prefix_space: true } }, "bytes after a space"],
  ["nothing", {}, "does nothing"],
  ["another normalizer", { normalizer: { type: "Lowercase" }, pre_tokenizer: bytes(true) }, "Lowercase with settings"],
  ["an inverted split", steps({ ...split(QWEN2), invert: true }, bytes(false)), "inverted"],
  ["a name of JavaScript's own", { pre_tokenizer: { type: "__proto__" } }, "__proto__ with settings of its own"],
])("%s has no name, and --pre is the remedy", (_, tokenizer, message) => {
  expect(() => preTokenizer(json(tokenizer))).toThrowError(message);
  expect(() => preTokenizer(json(tokenizer))).toThrowError("--pre");
});

test("deep nesting and many steps are refused", () => {
  let nested: object = bytes(true);
  for (let depth = 0; depth < 12; depth++) nested = { type: "Sequence", pretokenizers: [nested] };
  expect(() => preTokenizer(json({ pre_tokenizer: nested }))).toThrowError("nest deeper than 8");
  expect(() => preTokenizer(json(steps(...Array(70).fill(bytes(true)))))).toThrowError("more than 64 steps");
});

test("a given name must be one of llama.cpp's", () => {
  expect(checkedPre("falcon3")).toBe("falcon3");
  expect(checkedPre("default")).toBe("default");
  expect(() => checkedPre("qwen-2")).toThrowError('did you mean "qwen2"?');
  expect(new Set(PRE_TOKENIZERS).size).toBe(PRE_TOKENIZERS.length);
});
