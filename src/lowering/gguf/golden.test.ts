/** Whole files, byte for byte as llama.cpp's converter writes them (scripts/peers/golden-gguf.py), the tokenizer left out. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { encodeGguf } from "../../containers/gguf/index.ts";
import { parseJson } from "../../containers/json.ts";
import { encodeSafetensors, readSafetensors } from "../../containers/safetensors/index.ts";
import { onlyFile, tensorMap } from "../../containers/tensor-files.case.ts";
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { encodeFloats } from "../../numeric/convert.ts";
import { type Config, countSetting, headSize } from "./config.ts";
import { type ConvertOptions, toGguf } from "./convert.ts";

const GOLDEN = resolve(import.meta.dirname, "../../../tests/golden/gguf");

/** The values of the script, exact in bfloat16. */
function made(name: string, shape: readonly number[]): StoredTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: count }, (_, i) => (((37 * i) % 113) - 56) / 16);
  return { name, type: "bfloat16", shape, data: bytesSource(encodeFloats(values, "bfloat16")) };
}

function weightsOf(config: Config, extra: "bias" | "norm" | "none"): readonly StoredTensor[] {
  const [hidden, inner, vocabulary] = ["hidden_size", "intermediate_size", "vocab_size"].map((name) =>
    countSetting(config, name),
  ) as [number, number, number];
  const head = headSize(config);
  const [q, k] = [
    head * countSetting(config, "num_attention_heads"),
    head * countSetting(config, "num_key_value_heads"),
  ];
  const layer = (n: number): readonly StoredTensor[] => {
    const own = (name: string, ...shape: readonly number[]) => made(`model.layers.${n}.${name}`, shape);
    return [
      ...[own("input_layernorm.weight", hidden), own("post_attention_layernorm.weight", hidden)],
      ...[own("self_attn.q_proj.weight", q, hidden), own("self_attn.k_proj.weight", k, hidden)],
      ...[own("self_attn.v_proj.weight", k, hidden), own("self_attn.o_proj.weight", hidden, q)],
      ...[own("mlp.gate_proj.weight", inner, hidden), own("mlp.up_proj.weight", inner, hidden)],
      own("mlp.down_proj.weight", hidden, inner),
      ...(extra === "bias"
        ? [own("self_attn.q_proj.bias", q), own("self_attn.k_proj.bias", k), own("self_attn.v_proj.bias", k)]
        : []),
      ...(extra === "norm" ? [own("self_attn.q_norm.weight", head), own("self_attn.k_norm.weight", head)] : []),
    ];
  };
  const outer = [made("lm_head.weight", [vocabulary, hidden]), made("model.embed_tokens.weight", [vocabulary, hidden])];
  return [...outer, made("model.norm.weight", [hidden]), ...layer(0), ...layer(1)];
}

test.each<[string, ConvertOptions["type"], "bias" | "norm" | "none"]>([
  ["llama", "float16", "none"],
  ["mistral", "float32", "none"],
  ["qwen2", "bfloat16", "bias"],
  ["qwen3", "float16", "norm"],
])("a %s model becomes the same file as with llama.cpp's converter", async (family, type, extra) => {
  const text = readFileSync(resolve(GOLDEN, `${family}.json`), "utf8");
  const config = parseJson(text, { where: `${family}.json`, depth: 4, values: 100 }) as Config;
  const tensors = tensorMap(...weightsOf(config, extra));
  const bytes = await onlyFile(
    encodeSafetensors({ container: "safetensors", formatVersion: 1, metadata: new Map(), tensors }),
  );
  const weights = await readSafetensors(bytesSource(bytes));
  const converted = toGguf(weights, config, { type, name: "Tiny" });
  expect(Buffer.compare(await onlyFile(encodeGguf(converted)), readFileSync(resolve(GOLDEN, `${family}.gguf`)))).toBe(
    0,
  );
});
