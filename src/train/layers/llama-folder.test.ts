import { expect, test } from "vitest";
import { readAll } from "../../ir/source.ts";
import { typedView } from "../../numeric/convert.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { trainTokenizer } from "../text/bpe.ts";
import { llama } from "./llama.ts";
import { llamaFolder, llamaFolderNames } from "./llama-folder.ts";

const SIZES = { vocabulary: 260, width: 8, hidden: 16, layers: 2, heads: 2, kvHeads: 1, headDim: 4, tied: true };
const tokenizer = trainTokenizer("aaa aaa bab bab abab abab", 260);

test("every weight has its name, and matrices are [out, in]", async () => {
  const { model, parameters } = llama({ ...SIZES, seed: 1 });
  const { weights } = llamaFolder(model, SIZES, { tokenizer, context: 16 });
  expect(new Set(llamaFolderNames(SIZES).keys())).toEqual(new Set(parameters));
  expect(weights.tensors.size).toBe(parameters.length);
  const up = weights.tensors.get("model.layers.1.mlp.up_proj.weight")!;
  const own = model.graph.tensors.get("block.1.mlp.up.weight")!;
  expect(up.shape).toEqual([16, 8]);
  const [out, from] = await Promise.all([up, own].map(async ({ data }) => typedView(await readAll(data), "float32")));
  expect(out![3 * 8 + 5]).toBe(from![5 * 16 + 3]);
});

test("settings and tokenizer are those of the model", () => {
  const { files } = llamaFolder(llama({ ...SIZES, seed: 1 }).model, SIZES, { tokenizer, context: 16 });
  const read = (name: string) => JSON.parse(new TextDecoder().decode(files.get(name)));
  expect(read("config.json")).toMatchObject({ vocab_size: 260, num_key_value_heads: 1, tie_word_embeddings: true });
  const { model, added_tokens } = read("tokenizer.json");
  expect(added_tokens).toMatchObject([{ id: 259, content: "<|endoftext|>", special: true }]);
  expect(Object.keys(model.vocab)).toHaveLength(259);
  expect(model.merges).toEqual(tokenizer.merges);
});

test("a head of its own has its matrix too; another model is refused", () => {
  const own = { ...SIZES, tied: false };
  const { weights } = llamaFolder(llama({ ...own, seed: 1 }).model, own, { tokenizer, context: 16 });
  expect(weights.tensors.get("lm_head.weight")?.shape).toEqual([260, 8]);
  const more = { ...SIZES, layers: 3 };
  expect(() => llamaFolder(llama({ ...SIZES, seed: 1 }).model, more, { tokenizer, context: 16 })).toThrow(FewbitError);
});
