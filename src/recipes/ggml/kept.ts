/** Tensors that are never quantized: llama.cpp computes with them as they are (tensor_allows_quantization, v0.5.0). */

/** Parts of names, and why such tensors stay. */
const PARTS: readonly (readonly [string, string])[] = [
  ["_norm.weight", "norms stay"],
  ["ffn_gate_inp.weight", "what chooses experts stays"],
  ["ffn_gate_tid2eid.weight", "tables of numbers of experts stay"],
  ...["altup", "laurel"].map((part) => [part, "very small matrices stay"] as const),
  ["per_layer_model_proj", "small projections stay"],
  ...["ssm_conv1d", "shortconv.conv.weight"].map((part) => [part, "small convolutions stay"] as const),
  ...["indexer.k_proj.weight", "indexer.q_proj.weight"].map((part) => [part, "small projections stay"] as const),
  ...[
    "first",
    "w0",
    "w1",
    "w2",
    "v0",
    "v1",
    "v2",
    "a0",
    "a1",
    "a2",
    "g1",
    "g2",
    "decay_w1",
    "decay_w2",
    "lerp_fused",
  ].map((part) => [`time_mix_${part}.weight`, "small matrices of RWKV stay"] as const),
  ["attn_rel_b.weight", "relative positions stay"],
  ...[".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger"].map(
    (part) => [part, "small parts of image models stay"] as const,
  ),
  ...["a.rvq.codebook", "mm.a.code_embd"].map((part) => [part, "codebooks of audio stay"] as const),
];

const NAMES: ReadonlyMap<string, string> = new Map([
  ["position_embd.weight", "embeddings of positions stay"],
  ["token_types.weight", "embeddings of token types stay"],
]);

/** A shape without the lengths of 1 before the first longer one, which ggml does not count (ggml_n_dims) nor write. */
export function ggmlShape(shape: readonly number[]): readonly number[] {
  const first = shape.findIndex((length) => length > 1);
  return first < 0 ? shape.slice(-1) : shape.slice(first);
}

/** Why a tensor stays as it is; undefined where it may be quantized. */
export function keptBecause(name: string, shape: readonly number[]): string | undefined {
  if (ggmlShape(shape).length < 2) return "one dimension";
  if (!name.endsWith("weight")) return "no weight by its name";
  return NAMES.get(name) ?? PARTS.find(([part]) => name.includes(part))?.[1];
}
