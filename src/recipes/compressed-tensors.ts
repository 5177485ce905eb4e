/** Schemes of safetensors folders, and which of their tensors are weights of linear layers. Names are Hugging Face's. */
import type { Scheme } from "../ir/scheme.ts";

/** What a name stands for. */
export interface CompressedScheme {
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  readonly weights: Scheme;
  /** Activations become codes in each run, one scale per token. */
  readonly dynamicActivations: boolean;
  /** Unless told otherwise. */
  readonly algorithm: "rtn" | "mse";
  /** Whether weights may have zero points: vLLM's kernels know them with 4 bits. */
  readonly mayBeAsymmetric: boolean;
}

const groups = (dtype: "int4" | "int8"): Scheme => ({
  dtype,
  symmetric: true,
  granularity: { per: "group", size: 128 },
});
const channels = (dtype: "int8" | "float8e4m3fn"): Scheme => ({ dtype, symmetric: true, granularity: { per: "axis" } });

/** All schemes of safetensors folders. */
export const COMPRESSED_SCHEMES: readonly CompressedScheme[] = [
  {
    name: "w8",
    summary: "weights 8 bit in groups of 128, activations as they are: next to no loss",
    weights: groups("int8"),
    dynamicActivations: false,
    algorithm: "rtn",
    mayBeAsymmetric: false,
  },
  {
    name: "w4",
    summary: "weights 4 bit in groups of 128, activations as they are: smallest",
    weights: groups("int4"),
    dynamicActivations: false,
    algorithm: "mse",
    mayBeAsymmetric: true,
  },
  {
    name: "w8a8-dynamic",
    summary: "weights int8 per channel, activations int8 per token in each run: integer arithmetic",
    weights: channels("int8"),
    dynamicActivations: true,
    algorithm: "rtn",
    mayBeAsymmetric: false,
  },
  {
    name: "fp8",
    summary: "weights float8e4m3 per channel, activations float8e4m3 per token in each run: for GPUs with 8-bit floats",
    weights: channels("float8e4m3fn"),
    dynamicActivations: true,
    algorithm: "rtn",
    mayBeAsymmetric: false,
  },
];

/** Names of these schemes. */
export const COMPRESSED_NAMES: readonly string[] = COMPRESSED_SCHEMES.map(({ name }) => name);

/** Group sizes that Marlin, vLLM's kernel for such weights, takes. */
export const COMPRESSED_GROUPS: readonly number[] = [32, 64, 128];

/** Why a matrix stays, and whether it belongs to a linear layer, which then has to be named to the loader. */
export interface Kept {
  readonly reason: string;
  readonly isLinear: boolean;
}

/** The matrices of an expert in its block, "0.w1.weight": gate, up and down by the names that vLLM stacks (`RoutedExperts`). */
export const EXPERT_MATRICES: readonly (readonly [gate: string, up: string, down: string])[] = [
  ["gate_proj", "up_proj", "down_proj"],
  ["w1", "w3", "w2"],
];

/** What is no such matrix. */
const OTHER_EXPERTS = new RegExp(`(^|\\.)experts\\.(?!\\d+\\.(${EXPERT_MATRICES.flat().join("|")})\\.weight$)`);

/** Why experts stay that are not such matrices. */
export const EXPERTS_IN_OTHER_FORM: Kept = { reason: "experts in this form stay", isLinear: false };

/** Names of matrices that stay; the first that matches says why. */
const KEPT: readonly (readonly [RegExp, Kept])[] = [
  [/(^|\.)(\w*embed\w*|wte|wpe)(\.|$)/, { reason: "embeddings stay", isLinear: false }],
  [/(^|\.)relative_attention_bias\./, { reason: "embeddings of positions stay", isLinear: false }],
  [/(^|\.)(lm_head|output)\.weight$/, { reason: "the output layer stays", isLinear: true }],
  [/(^|\.)(score|classifier|cls|qa_outputs)\./, { reason: "the output layer stays", isLinear: true }],
  [OTHER_EXPERTS, EXPERTS_IN_OTHER_FORM],
  [/(^|\.)(gate|router|shared_expert_gate)\./, { reason: "what chooses experts stays", isLinear: true }],
  [/(^|\.|_)(visual|vision|audio|image)\w*\./, { reason: "what sees and hears stays", isLinear: true }],
  [/(^|\.)(multi_modal|mm)_projector\./, { reason: "what sees and hears stays", isLinear: true }],
  [/norm\d*\.weight$/, { reason: "norms stay", isLinear: false }],
];

/** Why a matrix stays as it is; undefined where it is the weight of a linear layer that may be quantized. */
export const keptMatrix = (name: string): Kept | undefined => KEPT.find(([pattern]) => pattern.test(name))?.[1];

/** The block of experts that a tensor belongs to, which loaders compute as one: its name up to "experts"; undefined for others. */
export const expertsHome = (name: string): string | undefined => /^((?:.*?\.)?experts)\./.exec(name)?.[1];

/** What the loader is told where all experts stay. */
export const EXPERTS_PATTERN = "re:.*\\.experts\\..*";
/** The same for one block, from its number on, since loaders may know the model's layers by another path. */
export const homePattern = (home: string): string =>
  `re:(.*\\.)?${(/[^.]+\.\d+\..*$/.exec(home)?.[0] ?? home).replaceAll(".", "\\.")}\\..*`;
/** The output layer, which has no tensor of its own where it shares the embeddings'. */
export const OUTPUT_LAYER = "lm_head";

/** Layers that vLLM computes as one, so that all of them are quantized or none. */
export const FUSED: readonly (readonly string[])[] = [
  ["q_proj", "k_proj", "v_proj"],
  ["gate_proj", "up_proj"],
  ["q_a_proj", "kv_a_proj_with_mqa"],
  ["query", "key", "value"],
  ["w1", "w3"],
];

/** Kinds of models (`model_type`) whose matrices are stored turned (Conv1D of transformers), which is no linear layer. */
export const TURNED_MODELS: ReadonlySet<string> = new Set(["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]);
