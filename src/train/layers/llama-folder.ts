/**
 * A model of `llama()` as a folder of Hugging Face's: names, matrices as [out, in], settings, tokenizer. From there it goes
 * to llama.cpp and everywhere else that reads such folders.
 */
import type { Model, Tensor } from "../../ir/model.ts";
import { computedSource, readAll } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { bytesOf, typedView } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import type { Tokenizer } from "../text/bpe.ts";
import type { LlamaOptions } from "./llama.ts";

/** Names of what is there once: the new one, whether it is a matrix [in, out], and the model's own. */
const WHOLE = [
  ["model.embed_tokens.weight", false, "embedding.weight"],
  ["model.norm.weight", false, "final.norm.scale"],
] as const;

/** The same inside each block, behind `model.layers.N.` and `block.N.`. */
const IN_BLOCK = [
  ["input_layernorm.weight", false, "norm.scale"],
  ["self_attn.q_proj.weight", true, "attention.query.weight"],
  ["self_attn.k_proj.weight", true, "attention.key.weight"],
  ["self_attn.v_proj.weight", true, "attention.value.weight"],
  ["self_attn.o_proj.weight", true, "attention.output.weight"],
  ["post_attention_layernorm.weight", false, "norm_1.scale"],
  ["mlp.gate_proj.weight", true, "mlp.gate.weight"],
  ["mlp.up_proj.weight", true, "mlp.up.weight"],
  ["mlp.down_proj.weight", true, "mlp.down.weight"],
] as const;

const HEAD = ["lm_head.weight", true, "head.dense.weight"] as const;

type Row = readonly [name: string, isMatrix: boolean, own: string];

/** Every tensor of the folder and where it comes from. */
function rowsOf({ layers, tied = false }: LlamaOptions): readonly Row[] {
  const blocks = Array.from({ length: layers }, (_, at) =>
    IN_BLOCK.map(([name, isMatrix, own]): Row => [`model.layers.${at}.${name}`, isMatrix, `block.${at}.${own}`]),
  );
  return [...WHOLE, ...blocks.flat(), ...(tied ? [] : [HEAD])];
}

/** By the model's own names of its weights, those in the folder. */
export const llamaFolderNames = (options: LlamaOptions): ReadonlyMap<string, string> =>
  new Map(rowsOf(options).map(([name, , own]) => [own, name]));

/** [in, out] to [out, in]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  return out;
}

function stored(name: string, { shape, data }: Tensor, isMatrix: boolean): StoredTensor {
  if (!isMatrix) return { name, type: "float32", shape, data };
  const [rows = 1, columns = 1] = shape;
  const compute = async () =>
    bytesOf(transposed(typedView(await readAll(data), "float32") as Float32Array, rows, columns));
  return { name, type: "float32", shape: [columns, rows], data: computedSource(data.size, compute) };
}

/** The tokenizer in the form of the `tokenizers` library: byte pairs over GPT-2's pieces of words. */
function tokenizerJson({ tokens, merges, end }: Tokenizer): object {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const vocab = Object.fromEntries(tokens.flatMap((token, id) => (id === end ? [] : [[token, id]])));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    ...{ version: "1.0", truncation: null, padding: null, normalizer: null, post_processor: null },
    added_tokens: [{ id: end, content: tokens[end], ...flags }],
    ...{ pre_tokenizer: bytes, decoder: bytes },
    model: { type: "BPE", dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
  };
}

function configJson(options: LlamaOptions, context: number, end: number): object {
  const { vocabulary, width, hidden, layers, heads, kvHeads, headDim, base = 10_000, epsilon = 1e-5 } = options;
  return {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", torch_dtype: "float32", hidden_act: "silu" },
    ...{ vocab_size: vocabulary, hidden_size: width, intermediate_size: hidden, num_hidden_layers: layers },
    ...{ num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim, rope_theta: base },
    ...{ rms_norm_eps: epsilon, max_position_embeddings: context, tie_word_embeddings: options.tied ?? false },
    ...{ bos_token_id: end, eos_token_id: end },
  };
}

/** Tokens, and the longest sequence that the model was trained on. */
export interface LlamaFolderInit {
  readonly tokenizer: Tokenizer;
  readonly context: number;
}

/** A folder of Hugging Face's: weights under its names, and the content of its other files. */
export interface LlamaFolder {
  readonly weights: TensorFile;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const json = (value: object): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/** The folder of a model that `llama(options)` made, trained or not. Code "graph" where a weight is missing. */
export function llamaFolder(
  { graph }: Model,
  options: LlamaOptions,
  { tokenizer, context }: LlamaFolderInit,
): LlamaFolder {
  const tensors = rowsOf(options).map(([name, isMatrix, own]) => {
    const found =
      graph.tensors.get(own) ??
      fail("graph", `llama: weight "${own}" is missing; the model was not made by llama() with these sizes`);
    return [name, stored(name, found, isMatrix)] as const;
  });
  const { tokens, end } = tokenizer;
  const special = tokens[end];
  return {
    weights: { container: "safetensors", formatVersion: 1, metadata: new Map(), tensors: new Map(tensors) },
    files: new Map([
      ["config.json", json(configJson(options, context, end))],
      ["tokenizer.json", json(tokenizerJson(tokenizer))],
      [
        "tokenizer_config.json",
        json({
          ...{ tokenizer_class: "PreTrainedTokenizerFast", bos_token: special, eos_token: special },
          ...{ add_bos_token: false, add_eos_token: false, clean_up_tokenization_spaces: false },
        }),
      ],
    ]),
  };
}
