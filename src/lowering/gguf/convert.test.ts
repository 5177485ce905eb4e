/** Models of Hugging Face's as llama.cpp's: names, rows, types and settings of tiny made-up models. */
import { expect, test } from "vitest";
import { type Json, parseJson } from "../../containers/json.ts";
import { tensor, tensorMap } from "../../containers/tensor-files.case.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import type { StorageType, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { familyOf } from "./architectures.ts";
import { architectureName, type Config, completed } from "./config.ts";
import { convertTensors, modelMetadata } from "./convert.ts";
import { text } from "./entries.ts";
import { roundedCount, sizeLabel } from "./size-label.ts";
import { type MatrixType, pairRows } from "./tensors.ts";

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  ...{ hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1 },
  ...{ vocab_size: 10, max_position_embeddings: 64, rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: false },
};

const configOf = (settings: object): Config =>
  parseJson(JSON.stringify(settings), { where: "config.json", depth: 8, values: 1000 }) as ReadonlyMap<string, Json>;

const floats = (
  name: string,
  shape: readonly number[],
  type: "float32" | "bfloat16" | "float16" = "bfloat16",
): StoredTensor => {
  const count = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: count }, (_, i) => (i % 64) / 8 - 3);
  return { name, type, shape, data: bytesSource(encodeFloats(values, type)) };
};

const layer = (n: number, extra: readonly StoredTensor[] = []): readonly StoredTensor[] => {
  const own = (name: string, shape: readonly number[]) => floats(`model.layers.${n}.${name}`, shape);
  return [
    ...[own("input_layernorm.weight", [8]), own("post_attention_layernorm.weight", [8])],
    ...[own("self_attn.q_proj.weight", [8, 8]), own("self_attn.k_proj.weight", [4, 8])],
    ...[own("self_attn.v_proj.weight", [4, 8]), own("self_attn.o_proj.weight", [8, 8])],
    ...[own("mlp.gate_proj.weight", [12, 8]), own("mlp.up_proj.weight", [12, 8]), own("mlp.down_proj.weight", [8, 12])],
    ...extra,
  ];
};

const model = (...extra: readonly StoredTensor[]): TensorFile => ({
  container: "safetensors",
  formatVersion: 1,
  metadata: new Map([["format", { type: "string", value: "pt" }]]),
  tensors: tensorMap(
    ...[
      floats("lm_head.weight", [10, 8]),
      floats("model.embed_tokens.weight", [10, 8]),
      floats("model.norm.weight", [8]),
    ],
    ...[...layer(0), ...layer(1), ...extra],
  ),
});

/** Without a tokenizer and a model card, which have tests of their own. */
function convert(settings: object, weights: TensorFile, type: MatrixType = "f16"): TensorFile {
  const given = configOf(settings);
  const family = familyOf(architectureName(given));
  const config = completed(given, family);
  const tensors = convertTensors(weights, config, family, type);
  const metadata = modelMetadata(config, family, type, { general: text("general.name", "tiny"), tokenizer: [] });
  return { container: "gguf", formatVersion: 3, tensors, metadata };
}
const plain = ({ metadata }: TensorFile) => Object.fromEntries([...metadata].map(([key, { value }]) => [key, value]));

test("a llama model has llama.cpp's names, matrices in the type asked for, and norms in float32", () => {
  const { tensors } = convert(LLAMA, model());
  expect([...tensors.keys()].slice(0, 5)).toEqual([
    ...["output.weight", "token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"],
  ]);
  expect([...tensors.keys()].slice(5, 12).map((name) => name.replace("blk.0.", ""))).toEqual([
    ...["attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"],
    ...["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"],
  ]);
  for (const { name, type } of tensors.values()) expect(type, name).toBe(name.includes("norm") ? "float32" : "float16");
});

test("rows of query and key are paired within each head, all other rows stay", async () => {
  const weights = model();
  const { tensors } = convert(LLAMA, weights, "bf16");
  const rowsOf = async ({ data, type }: StoredTensor) => {
    const values = decodeFloats(await readAll(data), type as "bfloat16");
    return Array.from({ length: values.length / 8 }, (_, row) => values.slice(row * 8, row * 8 + 8).join());
  };
  const at = (name: string) => rowsOf(weights.tensors.get(`model.layers.0.self_attn.${name}.weight`)!);
  const [q, k, v] = [await at("q_proj"), await at("k_proj"), await at("v_proj")];
  expect(await rowsOf(tensors.get("blk.0.attn_q.weight")!)).toEqual([0, 2, 1, 3, 4, 6, 5, 7].map((row) => q[row]));
  expect(await rowsOf(tensors.get("blk.0.attn_k.weight")!)).toEqual([0, 2, 1, 3].map((row) => k[row]));
  expect(await rowsOf(tensors.get("blk.0.attn_v.weight")!)).toEqual(v);
});

test("pairs of rows come from the two halves of each head", () => {
  expect([
    ...pairRows(
      Uint8Array.from({ length: 12 }, (_, i) => i),
      12,
      2,
    ),
  ]).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
});

test("values are widened exactly and narrowed to the nearest", async () => {
  const { tensors } = convert(LLAMA, model(), "f32");
  const wide = tensors.get("token_embd.weight")!;
  const expected = await readAll(floats("x", [10, 8], "float32").data);
  expect(await readAll(wide.data)).toEqual(expected);
  const half = convert(LLAMA, model()).tensors.get("token_embd.weight")!;
  expect(decodeFloats(await readAll(half.data), "float16")).toEqual(
    new Float32Array(expected.buffer, expected.byteOffset, 80),
  );
});

test("tensors that stay as they are keep their place in the file they are read from", () => {
  const weights = model();
  const { tensors } = convert(LLAMA, weights, "bf16");
  expect(tensors.get("blk.1.ffn_up.weight")?.data).toBe(weights.tensors.get("model.layers.1.mlp.up_proj.weight")?.data);
});

test("settings become GGUF's keys in llama.cpp's order and types", () => {
  const converted = convert(LLAMA, model());
  expect([...converted.metadata].map(([key, { type, value }]) => [key, type, value])).toEqual([
    ["general.architecture", "string", "llama"],
    ["general.type", "string", "model"],
    ["general.name", "string", "tiny"],
    ["llama.block_count", "uint32", 2],
    ["llama.context_length", "uint32", 64],
    ["llama.embedding_length", "uint32", 8],
    ["llama.feed_forward_length", "uint32", 12],
    ["llama.attention.head_count", "uint32", 2],
    ["llama.attention.head_count_kv", "uint32", 1],
    ["llama.rope.freq_base", "float32", 10000],
    ["llama.attention.layer_norm_rms_epsilon", "float32", Math.fround(1e-5)],
    ["llama.attention.key_length", "uint32", 4],
    ["llama.attention.value_length", "uint32", 4],
    ["general.file_type", "uint32", 1],
    ["llama.vocab_size", "uint32", 10],
    ["llama.rope.dimension_count", "uint32", 4],
    ["general.quantization_version", "uint32", 2],
  ]);
});

test("Mistral is llama to llama.cpp; Qwen has keys of its own, biases, norms of heads, and rows as they are", () => {
  const mistral = plain(convert({ ...LLAMA, head_dim: 4, architectures: ["MistralForCausalLM"] }, model()));
  expect(mistral).toEqual(plain(convert(LLAMA, model())));
  const bias = floats("model.layers.0.self_attn.q_proj.bias", [8]);
  const norm = floats("model.layers.0.self_attn.q_norm.weight", [4]);
  const settings = { ...LLAMA, architectures: ["Qwen3ForCausalLM"], head_dim: 4 };
  const weights = model(bias, norm);
  const qwen = convert(settings, weights, "bf16");
  expect(plain(qwen)).toMatchObject({
    "qwen3.block_count": 2,
    "qwen3.attention.key_length": 4,
    "qwen3.attention.value_length": 4,
  });
  expect(plain(qwen)).not.toHaveProperty("qwen3.vocab_size");
  expect(qwen.tensors.get("blk.0.attn_q.bias")?.type).toBe("float32");
  expect(qwen.tensors.get("blk.0.attn_q_norm.weight")?.type).toBe("float32");
  expect(qwen.tensors.get("blk.0.attn_q.weight")?.data).toBe(
    weights.tensors.get("model.layers.0.self_attn.q_proj.weight")?.data,
  );
});

test("positions scaled as in Llama 3 become a tensor of factors from 1 to the factor", async () => {
  const rope_scaling = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const settings = { ...LLAMA, head_dim: 64, rope_theta: 500000, rope_scaling };
  const { tensors } = convert(settings, model());
  const [first] = tensors.values();
  expect(first).toMatchObject({ name: "rope_freqs.weight", type: "float32", shape: [32] });
  const factors = [...decodeFloats(await readAll(first!.data), "float32")];
  expect(factors[0]).toBe(1);
  expect(factors.at(-1)).toBe(8);
  expect(factors).toEqual([...factors].sort((a, b) => a - b));
  expect(factors.some((factor) => factor > 1 && factor < 8)).toBe(true);
});

test("linear and yarn scaling become keys, others are refused", () => {
  const scaled = (rope_scaling: object) => plain(convert({ ...LLAMA, rope_scaling }, model()));
  expect(scaled({ type: "linear", factor: 2 })).toMatchObject({
    "llama.rope.scaling.type": "linear",
    "llama.rope.scaling.factor": 2,
  });
  expect(scaled({ rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 })).toMatchObject({
    "llama.rope.scaling.type": "yarn",
    "llama.rope.scaling.original_context_length": 32,
  });
  expect(() => scaled({ rope_type: "__proto__" })).toThrowError('scaled by "__proto__" can\'t be converted');
});

test.each<[string, object, TensorFile, string]>([
  [
    "another family",
    { ...LLAMA, architectures: ["GPT2LMHeadModel"] },
    model(),
    'type "GPT2LMHeadModel" can\'t be converted; known are Llama',
  ],
  ["no family", { ...LLAMA, architectures: [] }, model(), 'it has no "architectures"'],
  ["a setting that is missing", { ...LLAMA, hidden_size: undefined }, model(), '"hidden_size" is missing'],
  ["a setting that is a text", { ...LLAMA, num_hidden_layers: "2" }, model(), '"num_hidden_layers" is no number'],
  ["heads that don't fit", { ...LLAMA, num_attention_heads: 3 }, model(), "has 8 rows, no pairs of rows for 3 heads"],
  [
    "a tensor without a name",
    LLAMA,
    model(floats("model.layers.0.extra.weight", [8])),
    '"model.layers.0.extra.weight" has no name',
  ],
  [
    "codes instead of floats",
    LLAMA,
    model(tensor("model.layers.0.mlp.up_proj.bias", "int8" as StorageType, [12])),
    "is int8; convert from",
  ],
])("%s is refused in one sentence", (_, settings, weights, message) => {
  expect(() => convert(settings, weights)).toThrowError(message);
});

test("buffers that llama.cpp computes itself are left out", () => {
  const { tensors } = convert(LLAMA, model(floats("model.layers.0.self_attn.rotary_emb.inv_freq", [2])));
  expect(tensors.size).toBe(model().tensors.size);
});

test("what config.json does not say is what transformers assumes", () => {
  const { num_key_value_heads: _, rope_theta: __, rms_norm_eps: ___, max_position_embeddings: ____, ...silent } = LLAMA;
  const mute = (architecture: string, extra = {}) =>
    plain(convert({ ...silent, architectures: [architecture], ...extra }, { ...model(), tensors: new Map() }));
  expect(mute("LlamaForCausalLM")).toMatchObject({
    "llama.context_length": 2048,
    "llama.attention.head_count_kv": 2,
    "llama.rope.freq_base": 10_000,
    "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-6),
  });
  expect(mute("MistralForCausalLM")).toMatchObject({
    "llama.context_length": 131_072,
    "llama.attention.head_count_kv": 8,
  });
  expect(mute("MistralForCausalLM", { num_key_value_heads: null })).toMatchObject({
    "llama.attention.head_count_kv": 2,
  });
  expect(mute("Qwen3ForCausalLM")).toMatchObject({ "qwen3.attention.key_length": 128 });
});

test("sizes have two digits or more", () => {
  expect([999, 26_400, 1_100_000_000, 7_240_000_000, 70_600_000_000, 1.5e12].map(roundedCount)).toEqual([
    ...["1.0K", "26K", "1.1B", "7.2B", "71B", "1.5T"],
  ]);
  // ties go to the even digit, as Python's format has them
  expect([12_500_000, 13_500_000, 1_250_000, 1_750_000, 420, 8_500, 9_500].map(roundedCount)).toEqual([
    ...["12M", "14M", "1.2M", "1.8M", "0.42K", "8.5K", "10K"],
  ]);
  // 46.7 billion, of which 45.1 are experts
  expect(sizeLabel({ all: 46_702_792_704, stacks: 45_097_156_608, experts: 8 })).toBe("8x7.2B");
  expect(sizeLabel({ all: 7_240_000_000, stacks: 0, experts: 0 })).toBe("7.2B");
});
