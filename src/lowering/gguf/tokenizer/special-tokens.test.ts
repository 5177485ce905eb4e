/** Special tokens and templates as llama.cpp's `SpecialVocab` finds them (scripts/peers/convert-hf.py). */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import type { MetadataValue } from "../../../ir/tensor-file.ts";
import { texts } from "../entries.ts";
import { type FolderFiles, jsonFile } from "../folder.ts";
import { mergesOf } from "./merges.ts";
import { specialEntries } from "./special-tokens.ts";

const PATH = resolve(import.meta.dirname, "../../../../tests/golden/gguf/folders.json");
const { specials } = JSON.parse(readFileSync(PATH, "utf8")) as {
  readonly specials: readonly { readonly files: Record<string, unknown>; readonly keys: readonly unknown[][] }[];
};

const folderOf = (files: Record<string, unknown>): FolderFiles => ({
  name: "m",
  files: new Map(
    Object.entries(files).map(([name, content]) => [
      name,
      new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content)),
    ]),
  ),
});

function keysOf(files: Record<string, unknown>): readonly unknown[][] {
  const folder = folderOf(files);
  const tokenizer = jsonFile(folder, "tokenizer.json");
  const merges = tokenizer === undefined ? [] : mergesOf(folder, tokenizer);
  const entries = [...texts("tokenizer.ggml.merges", merges), ...specialEntries(folder, tokenizer, {})];
  return [...new Map<string, MetadataValue>(entries)].map(([key, { type, value }]) => [key, type, value]);
}

test.each(specials.map(({ files, keys }, i) => [i, files, keys] as const))(
  "folder %i has the same keys",
  (_, files, keys) => {
    expect(keysOf(files)).toEqual(keys);
  },
);

test("merges.txt stands in where tokenizer.json has no merges", () => {
  const files = { "tokenizer.json": { model: {} }, "merges.txt": "#version: 0.2\na b\n\nab c\nbroken\n" };
  expect(keysOf(files)).toEqual([["tokenizer.ggml.merges", "array", ["a b", "ab c"]]]);
});

test("templates in files of their own are taken where tokenizer_config.json has none", () => {
  const files = {
    "tokenizer_config.json": { add_bos_token: true },
    "chat_template.jinja": "one",
    "additional_chat_templates/rag.jinja": "two",
  };
  expect(keysOf(files)).toEqual([
    ["tokenizer.ggml.add_bos_token", "bool", true],
    ["tokenizer.chat_template.rag", "string", "two"],
    ["tokenizer.chat_templates", "array", ["rag"]],
    ["tokenizer.chat_template", "string", "one"],
  ]);
});

test("numbers below zero are refused, those beyond the vocabulary left out", () => {
  const folder = folderOf({ "config.json": { bos_token_id: 7, eos_token_id: 3 } });
  expect(specialEntries(folder, undefined, { tokens: 5 })).toEqual([
    ["tokenizer.ggml.eos_token_id", { type: "uint32", value: 3 }],
  ]);
  expect(() => specialEntries(folderOf({ "config.json": { bos_token_id: -1 } }), undefined, {})).toThrowError(
    "bos_token_id: -1 is no number of a token",
  );
});
