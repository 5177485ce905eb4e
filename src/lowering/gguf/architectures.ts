/**
 * Families of language models that llama.cpp runs, and how Hugging Face's names of their tensors become its own. Facts:
 * gguf-py/gguf/constants.py, tensor_mapping.py and conversion/*.py of llama.cpp v0.5.0.
 */
import { fail } from "../../numeric/errors.ts";

/** What sets a family apart. */
export interface Family {
  /** `general.architecture`, and the beginning of its own keys. */
  readonly architecture: string;
  /** Rows of the query and key projections are re-ordered: llama.cpp rotates neighbours, Hugging Face halves. */
  readonly rotatesNeighbours: boolean;
  /** Vocabularies of SentencePiece are also read from a tokenizer.json, and the file says whether a space is put before texts. */
  readonly readsJsonPieces: boolean;
  /** There are embedding models among it. */
  readonly pools: boolean;
  /** The file says how many tokens there are and how many dimensions are rotated. */
  readonly statesVocabulary: boolean;
  /** The size of a head stands in the file even where it follows from other settings. */
  readonly statesHead: boolean;
  /** Settings where config.json is silent. */
  readonly assumes: Readonly<Record<string, number>>;
}

const llama = {
  ...{ architecture: "llama", rotatesNeighbours: true, readsJsonPieces: true, pools: false, statesVocabulary: true },
} as const;
const qwen = {
  ...{ rotatesNeighbours: false, readsJsonPieces: false, pools: true, statesVocabulary: false, statesHead: false },
} as const;
const usual = { rms_norm_eps: 1e-6, rope_theta: 10_000 } as const;

/** By `architectures[0]` of config.json; what is assumed are the defaults of transformers 4.57. */
export const FAMILIES = {
  LlamaForCausalLM: { ...llama, statesHead: true, assumes: { ...usual, max_position_embeddings: 2048 } },
  MistralForCausalLM: {
    ...llama,
    statesHead: false,
    assumes: { ...usual, max_position_embeddings: 131_072, num_key_value_heads: 8 },
  },
  Qwen2ForCausalLM: {
    ...qwen,
    architecture: "qwen2",
    assumes: { ...usual, max_position_embeddings: 32_768, num_key_value_heads: 32 },
  },
  Qwen3ForCausalLM: {
    ...qwen,
    architecture: "qwen3",
    assumes: { ...usual, max_position_embeddings: 32_768, num_key_value_heads: 32, head_dim: 128 },
  },
} as const satisfies Record<string, Family>;

/** The family of a model; others are refused with the list of those known. */
export const familyOf = (name: string): Family =>
  Object.hasOwn(FAMILIES, name)
    ? FAMILIES[name as keyof typeof FAMILIES]
    : fail(
        "unsupported",
        `GGUF: models of type ${JSON.stringify(name.slice(0, 80))} can't be converted; known are ${Object.keys(FAMILIES).join(", ")}`,
      );

/** Tensors that are there once. */
const WHOLE: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
};

/** Tensors of every block, behind `model.layers.N.` and `blk.N.`. */
const IN_BLOCK: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

/** Tensors that llama.cpp computes itself. */
const LEFT_OUT = /(\.attention\.masked_bias|\.attention\.bias|\.rotary_emb\.inv_freq)$/;

/** llama.cpp's name of a tensor; undefined for those it does without, an error for those it does not know. */
export function ggufName(name: string): string | undefined {
  if (LEFT_OUT.test(name)) return undefined;
  const [, stem = "", suffix = ""] = /^(.*)(\.weight|\.bias)$/s.exec(name) ?? [];
  const [, block, inner = ""] = /^model\.layers\.(\d{1,6})\.(.*)$/s.exec(stem) ?? [];
  const [table, key, before] = block === undefined ? [WHOLE, stem, ""] : [IN_BLOCK, inner, `blk.${Number(block)}.`];
  return Object.hasOwn(table, key)
    ? `${before}${table[key]}${suffix}`
    : fail(
        "unsupported",
        `GGUF: tensor ${JSON.stringify(name.slice(0, 200))} has no name in llama.cpp's models of this type`,
      );
}
