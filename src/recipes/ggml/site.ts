/** What a rule for one tensor of a GGUF model may look at. */
import type { GgmlFormatName } from "../../kernels/ggml/index.ts";

/** What a tensor is for; llama.cpp's rules go by these. */
export type Category =
  | "output"
  | "embedding"
  | "value"
  | "key"
  | "query"
  | "attention"
  | "up"
  | "gate"
  | "down"
  | "other";

/** Facts of the whole model, from its metadata. */
export interface ModelFacts {
  readonly architecture: string;
  readonly layers: number;
  /** 0 where there are none, and for a single one. */
  readonly experts: number;
  /** Query heads that share a key and value head, rounded down. */
  readonly queriesPerKey: number;
  /** Llama of 80 layers with shared heads. */
  readonly is70b: boolean;
  readonly hasImportance: boolean;
  /** No matrix of its own for the output: the embeddings serve. */
  readonly isTied: boolean;
}

/** A tensor among those of its category: `layer` counts from 0 up to `layers`, by its name in models with experts. */
export interface Site extends ModelFacts {
  readonly layer: number;
  /** How many of the category there are. */
  readonly count: number;
}

/** A type, or what decides on one; undefined leaves the type of the file. */
export type Rule = GgmlFormatName | ((site: Site) => GgmlFormatName | undefined);

/** Names that contain one of these are of a category; exact names come first in llama.cpp's order. */
const PARTS: readonly (readonly [string, Category])[] = [
  ["attn_qkv.weight", "value"],
  ["attn_kv_b.weight", "value"],
  ["attn_v.weight", "value"],
  ["attn_k.weight", "key"],
  ["attn_q.weight", "query"],
  ["attn_output.weight", "attention"],
  ["ffn_up", "up"],
  ["ffn_gate", "gate"],
  ["ffn_down", "down"],
];

const EMBEDDINGS: ReadonlySet<string> = new Set(["token_embd.weight", "per_layer_token_embd.weight"]);

/** Category of a tensor by its name. */
export function categoryOf(name: string): Category {
  if (name === "output.weight") return "output";
  if (EMBEDDINGS.has(name)) return "embedding";
  return PARTS.find(([part]) => name.includes(part))?.[1] ?? "other";
}

/** "blk.12.": number of the layer; undefined for tensors outside layers. */
export function layerOf(name: string): number | undefined {
  const found = /^blk\.(\d+)/.exec(name);
  return found === null ? undefined : Number(found[1]);
}
