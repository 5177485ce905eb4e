/** Settings of config.json as GGUF's keys, in the order in which llama.cpp's converter writes them. */
import { fail } from "../../numeric/errors.ts";
import type { Family } from "./architectures.ts";
import { type Config, countSetting, headSize, numberSetting, ropeSettings } from "./config.ts";
import { type Entry, real, text, whole } from "./entries.ts";

/** What a kind of position scaling adds; `llama3` becomes a tensor instead, `dynamic` is nothing to llama.cpp. */
const SCALINGS: Readonly<Record<string, (prefix: string, rope: Config) => readonly Entry[]>> = {
  default: () => [],
  dynamic: () => [],
  llama3: () => [],
  linear: (prefix, rope) => [
    ...text(`${prefix}.type`, "linear"),
    ...real(`${prefix}.factor`, numberSetting(rope, "factor")),
  ],
  yarn: (prefix, rope) => [
    ...text(`${prefix}.type`, "yarn"),
    ...real(`${prefix}.factor`, numberSetting(rope, "factor")),
    ...whole(`${prefix}.original_context_length`, countSetting(rope, "original_max_position_embeddings")),
    ...real(`${prefix}.yarn_ext_factor`, numberSetting(rope, "extrapolation_factor")),
    ...real(`${prefix}.yarn_attn_factor`, numberSetting(rope, "attention_factor", "attn_factor")),
    ...real(`${prefix}.yarn_beta_fast`, numberSetting(rope, "beta_fast")),
    ...real(`${prefix}.yarn_beta_slow`, numberSetting(rope, "beta_slow")),
  ],
};

function scalingEntries(architecture: string, rope: Config): readonly Entry[] {
  const type = rope.get("rope_type") ?? "default";
  if (typeof type !== "string" || !Object.hasOwn(SCALINGS, type))
    return fail(
      "unsupported",
      `GGUF: positions scaled by ${JSON.stringify(type)} can't be converted; known are ${Object.keys(SCALINGS).join(", ")}`,
    );
  return SCALINGS[type]!(`${architecture}.rope.scaling`, rope);
}

/** Keys of the architecture itself. */
export function hyperparameters(
  config: Config,
  { architecture, statesVocabulary, experts }: Family,
  fileType: number,
): readonly Entry[] {
  const own = (key: string): string => `${architecture}.${key}`;
  const rope = ropeSettings(config);
  const head = numberSetting(config, "head_dim");
  return [
    ...whole(own("block_count"), countSetting(config, "num_hidden_layers")),
    ...whole(own("context_length"), numberSetting(config, "max_position_embeddings")),
    ...whole(own("embedding_length"), countSetting(config, "hidden_size")),
    ...whole(own("feed_forward_length"), countSetting(config, "intermediate_size")),
    ...whole(own("attention.head_count"), countSetting(config, "num_attention_heads")),
    ...whole(own("attention.head_count_kv"), numberSetting(config, "num_key_value_heads")),
    ...scalingEntries(architecture, rope),
    ...real(own("rope.freq_base"), numberSetting(rope, "rope_theta")),
    ...real(own("attention.layer_norm_rms_epsilon"), numberSetting(config, "rms_norm_eps")),
    ...whole(own("expert_count"), numberSetting(config, "num_local_experts", "num_experts")),
    ...whole(own("expert_used_count"), numberSetting(config, "num_experts_per_tok")),
    ...whole(own("attention.key_length"), head),
    ...whole(own("attention.value_length"), head),
    ...whole("general.file_type", fileType),
    ...(statesVocabulary
      ? [
          ...whole(own("vocab_size"), countSetting(config, "vocab_size")),
          ...whole(own("rope.dimension_count"), headSize(config)),
        ]
      : []),
    ...(experts?.statesWidths
      ? [
          ...whole(own("expert_feed_forward_length"), numberSetting(config, "moe_intermediate_size")),
          ...whole(own("expert_shared_feed_forward_length"), numberSetting(config, "shared_expert_intermediate_size")),
        ]
      : []),
  ];
}
