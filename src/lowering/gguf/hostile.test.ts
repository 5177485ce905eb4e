/** Folders that are incomplete, damaged or hostile: one clear error that names the file. */
import { expect, test } from "vitest";
import { PIECES, piecesFile } from "../../containers/sentencepiece/pieces.case.ts";
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { type ConvertOptions, toGguf } from "./convert.ts";

type Files = Readonly<Record<string, Uint8Array | object | string>>;

const CONFIG = {
  ...{ architectures: ["LlamaForCausalLM"], hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1 },
  ...{ num_attention_heads: 2, num_key_value_heads: 2, vocab_size: 8, max_position_embeddings: 16 },
};
const BYTES = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
const TOKENIZER = {
  added_tokens: [{ id: 2, content: "<end>", special: true, normalized: false }],
  pre_tokenizer: BYTES,
  decoder: { type: "ByteLevel" },
  model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [["a", "b"]] },
};
const PAIRS: Files = { "config.json": CONFIG, "tokenizer.json": TOKENIZER };
const SPM: Files = { "config.json": CONFIG, "tokenizer.model": piecesFile(PIECES) };

const embeddings: StoredTensor = {
  ...{ name: "model.embed_tokens.weight", type: "float32", shape: [8, 8], data: bytesSource(new Uint8Array(256)) },
};
const WEIGHTS: TensorFile = {
  ...{ container: "safetensors", formatVersion: 1, metadata: new Map() },
  tensors: new Map([[embeddings.name, embeddings]]),
};

const encode = (content: Files[string]): Uint8Array =>
  content instanceof Uint8Array
    ? content
    : new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));

function convert(files: Files, options: Partial<ConvertOptions> = {}) {
  const folder = {
    name: "tiny",
    files: new Map(Object.entries(files).map(([name, content]) => [name, encode(content)])),
  };
  return toGguf(WEIGHTS, folder, { type: "f16", ...options });
}

const metadataAt = (files: Files, key: string) => convert(files).file.metadata.get(key)?.value;

test("both kinds of tokenizers are converted, padded to the model's vocabulary", () => {
  expect(metadataAt(PAIRS, "tokenizer.ggml.tokens")).toEqual([
    "a",
    "b",
    "<end>",
    "[PAD3]",
    "[PAD4]",
    "[PAD5]",
    "[PAD6]",
    "[PAD7]",
  ]);
  expect([...(metadataAt(PAIRS, "tokenizer.ggml.token_type") as Int32Array)]).toEqual([1, 1, 3, 5, 5, 5, 5, 5]);
  expect(metadataAt(SPM, "tokenizer.ggml.tokens")).toEqual([...PIECES.map(({ text }) => text), "[PAD6]", "[PAD7]"]);
  // a piece that users defined is an ordinary one to llama.cpp
  expect([...(metadataAt(SPM, "tokenizer.ggml.token_type") as Int32Array)]).toEqual([2, 3, 3, 6, 1, 1, 5, 5]);
});

const without = (files: Files, name: string): Files =>
  Object.fromEntries(Object.entries(files).filter(([key]) => key !== name));
const withTokenizer = (changes: object): Files => ({ ...PAIRS, "tokenizer.json": { ...TOKENIZER, ...changes } });

test.each<[string, Files, string]>([
  ["no config.json", without(PAIRS, "config.json"), "tiny: it has no config.json"],
  ["no tokenizer", without(PAIRS, "tokenizer.json"), "neither tokenizer.model nor tokenizer.json"],
  ["tekken.json alone", { ...without(PAIRS, "tokenizer.json"), "tekken.json": "" }, "tekken.json alone"],
  ["a config.json that is a list", { ...PAIRS, "config.json": [] }, "config.json: it is no JSON object"],
  ["JSON that breaks off", { ...PAIRS, "tokenizer.json": '{"model": {' }, "tokenizer.json: the JSON breaks off"],
  [
    "text that is not UTF-8",
    { ...PAIRS, "config.json": Uint8Array.of(0x7b, 0xff) },
    "config.json: its text is not UTF-8",
  ],
  [
    "deep nesting",
    { ...PAIRS, "tokenizer_config.json": `{"a": ${"[".repeat(100)}` },
    "tokenizer_config.json: objects and arrays nest",
  ],
  [
    "a huge vocabulary",
    { ...PAIRS, "config.json": { ...CONFIG, vocab_size: 1e12 } },
    '"vocab_size" is 1000000000000; at most',
  ],
  ["a vocabulary of no size", { ...PAIRS, "config.json": { ...CONFIG, vocab_size: -1 } }, '"vocab_size" is -1'],
  [
    "a tokenizer of another model",
    { ...PAIRS, "config.json": { ...CONFIG, vocab_size: 2 } },
    'has number 2, but "vocab_size" of config.json is 2',
  ],
  [
    "a number beyond its type",
    { ...PAIRS, "config.json": { ...CONFIG, max_position_embeddings: 1e10 } },
    "llama.context_length: 10000000000 is no uint32",
  ],
  ["no vocabulary", withTokenizer({ model: { type: "BPE" } }), 'its model has no "vocab"'],
  [
    "a vocabulary of texts",
    withTokenizer({ model: { type: "BPE", vocab: { a: "x" } } }),
    'token "a": its number is no whole number',
  ],
  ["a number below zero", withTokenizer({ model: { type: "BPE", vocab: { a: -1 } } }), "its number is no whole number"],
  [
    "another kind of model",
    withTokenizer({ model: { type: "WordPiece", vocab: {} } }),
    'type "WordPiece" can\'t be converted',
  ],
  [
    "a merge of three",
    withTokenizer({ model: { ...TOKENIZER.model, merges: [["a", "b", "c"]] } }),
    "merge 0 is no pair",
  ],
  ["an added token without text", withTokenizer({ added_tokens: [{ id: 2 }] }), "added token 0: it is no text"],
  [
    "a very long token",
    withTokenizer({ added_tokens: [{ id: 2, content: "x".repeat(70_000) }] }),
    "it has 70000 characters",
  ],
  ["a damaged tokenizer.model", { ...SPM, "tokenizer.model": piecesFile(PIECES).subarray(0, 9) }, "tokenizer.model: "],
  [
    "an added token that is no number",
    { ...SPM, "added_tokens.json": { a: "b" } },
    'added_tokens.json: token "a": its number',
  ],
  [
    "a declared token that is no number",
    { ...SPM, "tokenizer_config.json": { added_tokens_decoder: { x: {} } } },
    'added token "x": it is no number',
  ],
  [
    "a reranker",
    { ...PAIRS, "config.json": { ...CONFIG, _name_or_path: "Qwen/Qwen3-Reranker-4B" } },
    "rerankers can't be converted",
  ],
  [
    "pooling elsewhere",
    {
      ...PAIRS,
      "config.json": { ...CONFIG, architectures: ["Qwen2ForCausalLM"] },
      "modules.json": [{ type: "x.Pooling", path: "../.." }],
    },
    'it names "../.." for pooling',
  ],
])("%s", (_, files, message) => {
  expect(() => convert(files)).toThrowError(message);
});

test("a name for how texts are cut is needed where tokenizer.json does not tell, and checked", () => {
  const files = withTokenizer({ pre_tokenizer: { type: "Whitespace" } });
  expect(() => convert(files)).toThrowError("--pre");
  expect(convert(files, { pre: "jais" }).file.metadata.get("tokenizer.ggml.pre")?.value).toBe("jais");
  expect(() => convert(files, { pre: "made-up" })).toThrowError("none that llama.cpp knows");
  expect(() => convert(SPM, { pre: "jais" })).toThrowError("--pre jais has no meaning for tiny");
});

test("an embedding model says how it pools", () => {
  const files = {
    ...PAIRS,
    "config.json": { ...CONFIG, architectures: ["Qwen3ForCausalLM"] },
    "modules.json": [{ type: "sentence_transformers.models.Pooling", path: "1_Pooling" }],
    "1_Pooling/config.json": { pooling_mode_cls_token: false, pooling_mode_lasttoken: true },
  };
  expect(metadataAt(files, "qwen3.pooling_type")).toBe(3);
});

test("what a model card says in another form is named in a note", () => {
  const { notes, file } = convert({ ...PAIRS, "README.md": "---\nlicense: {a: b}\ntags: [x]\n---\n" });
  expect(notes).toEqual([
    'README.md: "license" of its front matter is written in a form that is not read, and left out',
  ]);
  expect(file.metadata.get("general.tags")?.value).toEqual(["x"]);
});

test.each(["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "README.md"])(
  "500 damaged files %s give an error or a model",
  (name) => {
    const random = rng(11);
    const start = encode(
      {
        ...{ "config.json": CONFIG, "tokenizer.json": TOKENIZER },
        ...{
          "tokenizer_config.json": {
            bos_token: "<end>",
            chat_template: [{ name: "a", template: "b" }],
            add_bos_token: true,
          },
        },
        ...{
          "generation_config.json": { top_k: 3, temperature: 0.5 },
          "README.md": "---\nlicense: mit\ntags:\n- a\n---\n",
        },
      }[name] as Files[string],
    );
    for (let run = 0; run < 500; run++) {
      const bytes = start.slice(0, random.uniform() < 0.1 ? Math.floor(random.uniform() * start.length) : start.length);
      for (let change = 0; change < 2 && bytes.length > 0; change++)
        bytes[Math.floor(random.uniform() * bytes.length)] = 32 + Math.floor(random.uniform() * 96);
      try {
        convert({ ...PAIRS, [name]: bytes });
      } catch (error) {
        expect(error, new TextDecoder().decode(bytes)).toBeInstanceOf(FewbitError);
      }
    }
  },
);
