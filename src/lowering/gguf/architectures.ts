/**
 * Families of language models that llama.cpp runs, and how Hugging Face's names of their tensors become its own. Facts:
 * gguf-py/gguf/constants.py, tensor_mapping.py and conversion/*.py of llama.cpp v0.5.0.
 */
import { fail } from "../../numeric/errors.ts";

/** Experts as Hugging Face keeps them, each in matrices of its own, which llama.cpp wants in stacks. */
export interface ExpertStacks {
  /** Where they live in a block: "mlp" for "model.layers.N.mlp.experts.E.up_proj.weight". */
  readonly home: string;
  /** Matrices in the order in which their stacks are written. */
  readonly matrices: readonly string[];
  /** Setting of config.json with the number of experts. */
  readonly count: string;
  /** The file says how wide experts are. */
  readonly statesWidths: boolean;
}

/** What sets a family apart. */
export interface Family {
  /** `general.architecture`, and the beginning of its own keys. */
  readonly architecture: string;
  /** Rows of the query and key projections are re-ordered: llama.cpp rotates neighbours, Hugging Face halves. */
  readonly rotatesNeighbours: boolean;
  /** Vocabularies of SentencePiece are read. */
  readonly readsPieces: boolean;
  /** Vocabularies of SentencePiece are also read from a tokenizer.json, and the file says whether a space is put before texts. */
  readonly readsJsonPieces: boolean;
  /** There are embedding models among it. */
  readonly pools: boolean;
  /** The file says how many tokens there are and how many dimensions are rotated. */
  readonly statesVocabulary: boolean;
  /** The size of a head stands in the file even where it follows from other settings. */
  readonly statesHead: boolean;
  /** How experts are stacked; absent in models that have none. */
  readonly experts?: ExpertStacks;
  /** llama.cpp's names of the tensors of a block. */
  readonly blockNames: Readonly<Record<string, string>>;
  /** Settings where config.json is silent. */
  readonly assumes: Readonly<Record<string, number>>;
}

/** Tensors of every block, behind `model.layers.N.` and `blk.N.`: attention, */
const ATTENTION: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  post_attention_layernorm: "ffn_norm",
};
/** and what follows it, */
const DENSE: Readonly<Record<string, string>> = {
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};
/** as experts with what chooses them, in the words of Mixtral, */
const MIXTRAL_EXPERTS: Readonly<Record<string, string>> = {
  "block_sparse_moe.gate": "ffn_gate_inp",
  "block_sparse_moe.experts.w1": "ffn_gate_exps",
  "block_sparse_moe.experts.w2": "ffn_down_exps",
  "block_sparse_moe.experts.w3": "ffn_up_exps",
};
/** of Qwen, */
const QWEN_EXPERTS: Readonly<Record<string, string>> = {
  "mlp.gate": "ffn_gate_inp",
  "mlp.experts.gate_proj": "ffn_gate_exps",
  "mlp.experts.down_proj": "ffn_down_exps",
  "mlp.experts.up_proj": "ffn_up_exps",
};
/** and with an expert that sees every token. */
const SHARED_EXPERT: Readonly<Record<string, string>> = {
  "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
  "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
  "mlp.shared_expert.down_proj": "ffn_down_shexp",
  "mlp.shared_expert.up_proj": "ffn_up_shexp",
};
const blockNames = { ...ATTENTION, ...DENSE } as const;

const llama = {
  ...{ architecture: "llama", rotatesNeighbours: true, readsPieces: true, readsJsonPieces: true },
  ...{ pools: false, statesVocabulary: true },
  blockNames,
} as const;
const qwen = {
  ...{ rotatesNeighbours: false, readsPieces: true, readsJsonPieces: false },
  ...{ pools: true, statesVocabulary: false, statesHead: false },
  blockNames,
} as const;
const qwenExperts = {
  ...{ ...qwen, readsPieces: false, pools: false },
  experts: {
    ...{ home: "mlp", matrices: ["down_proj", "gate_proj", "up_proj"] },
    ...{ count: "num_experts", statesWidths: true },
  },
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
  MixtralForCausalLM: {
    ...llama,
    statesHead: false,
    experts: {
      ...{ home: "block_sparse_moe", matrices: ["w1", "w2", "w3"] },
      ...{ count: "num_local_experts", statesWidths: false },
    },
    blockNames: { ...ATTENTION, ...MIXTRAL_EXPERTS },
    assumes: {
      ...{ rms_norm_eps: 1e-5, rope_theta: 1e6, max_position_embeddings: 131_072, num_key_value_heads: 8 },
      ...{ num_local_experts: 8, num_experts_per_tok: 2 },
    },
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
  Qwen2MoeForCausalLM: {
    ...qwenExperts,
    architecture: "qwen2moe",
    blockNames: { ...ATTENTION, ...QWEN_EXPERTS, ...SHARED_EXPERT },
    assumes: {
      ...{ ...usual, max_position_embeddings: 32_768, num_key_value_heads: 16, intermediate_size: 5632 },
      ...{ num_experts: 60, num_experts_per_tok: 4 },
      ...{ moe_intermediate_size: 1408, shared_expert_intermediate_size: 5632 },
    },
  },
  Qwen3MoeForCausalLM: {
    ...qwenExperts,
    architecture: "qwen3moe",
    blockNames: { ...ATTENTION, ...QWEN_EXPERTS },
    assumes: {
      ...{ ...usual, max_position_embeddings: 32_768, num_key_value_heads: 4, intermediate_size: 6144 },
      ...{ num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768 },
    },
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

/** Tensors that llama.cpp computes itself. */
const LEFT_OUT = /(\.attention\.masked_bias|\.attention\.bias|\.rotary_emb\.inv_freq)$/;

/** llama.cpp's name of a tensor; undefined for those it does without, an error for those it does not know. */
export function ggufName(name: string, { blockNames }: Pick<Family, "blockNames">): string | undefined {
  if (LEFT_OUT.test(name)) return undefined;
  const [, stem = "", suffix = ""] = /^(.*)(\.weight|\.bias)$/s.exec(name) ?? [];
  const [, block, inner = ""] = /^model\.layers\.(\d{1,6})\.(.*)$/s.exec(stem) ?? [];
  const [table, key, before] = block === undefined ? [WHOLE, stem, ""] : [blockNames, inner, `blk.${Number(block)}.`];
  return Object.hasOwn(table, key)
    ? `${before}${table[key]}${suffix}`
    : fail(
        "unsupported",
        `GGUF: tensor ${JSON.stringify(name.slice(0, 200))} has no name in llama.cpp's models of this type`,
      );
}
