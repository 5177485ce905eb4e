/** Small models of the Llama family that llama.cpp really runs: random weights, a vocabulary of bytes and a few words. */
import { bytesSource } from "../ir/source.ts";
import type { MetadataValue, StorageType, StoredTensor, TensorFile } from "../ir/tensor-file.ts";
import { encodeFloats } from "../numeric/convert.ts";
import type { DType } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";

/** What a model is like; every field has a default. */
export interface LlamaWish {
  readonly seed?: number;
  /** Values of one token; a multiple of 256 for K types. */
  readonly width?: number;
  readonly layers?: number;
  /** Tokens beside the three special ones and the 256 bytes. */
  readonly words?: number;
  readonly context?: number;
  readonly type?: DType;
  /** "none" leaves the vocabulary out. */
  readonly tokenizer?: "llama" | "none";
  /** Spread of the weights; larger ones make bolder answers. */
  readonly spread?: number;
}

const SPECIAL = ["<unk>", "<s>", "</s>"];
const LETTERS = "etaoinshrdlucmfwypvbgkjqxz";
/** Kinds of tokens, as llama.cpp numbers them. */
const KIND = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

const text = (value: string): MetadataValue => ({ type: "string", value });
const uint = (value: number): MetadataValue => ({ type: "uint32", value });
const float = (value: number): MetadataValue => ({ type: "float32", value: Math.fround(value) });

/** Pieces that are no bytes: a space, letters, letters behind a space, then made-up words. */
function wordsOf(count: number): readonly string[] {
  const simple = ["▁", ...LETTERS, ...[...LETTERS].map((letter) => `▁${letter}`)];
  const made = Array.from({ length: Math.max(0, count - simple.length) }, (_, at) => `▁${at.toString(26)}_`);
  return [...simple, ...made].slice(0, count);
}

function vocabulary(words: number): readonly (readonly [string, MetadataValue])[] {
  const bytes = Array.from({ length: 256 }, (_, at) => `<0x${at.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = [...SPECIAL, ...bytes, ...wordsOf(words)];
  const kinds = tokens.map((_, at) =>
    at === 0 ? KIND.unknown : at < 3 ? KIND.control : at < 259 ? KIND.byte : KIND.normal,
  );
  const scores = tokens.map((token, at) => (at < 259 ? 0 : token.length - at / tokens.length));
  return [
    ["tokenizer.ggml.model", text("llama")],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", value: tokens }],
    ["tokenizer.ggml.scores", { type: "array", of: "float32", value: Float32Array.from(scores) }],
    ["tokenizer.ggml.token_type", { type: "array", of: "int32", value: Int32Array.from(kinds) }],
    ["tokenizer.ggml.bos_token_id", uint(1)],
    ["tokenizer.ggml.eos_token_id", uint(2)],
    ["tokenizer.ggml.unknown_token_id", uint(0)],
  ];
}

const HEADS = 4;

/** A model in memory, as `encodeGguf` writes it. */
export function llamaModel(wish: LlamaWish = {}): TensorFile {
  const { seed = 1, width = 64, layers = 2, words = 61, context = 128, spread = 1 } = wish;
  const { type = "float32", tokenizer = "llama" } = wish;
  const size = SPECIAL.length + 256 + words;
  const random = rng(seed);
  const shapes: (readonly [string, readonly number[]])[] = [
    ["token_embd.weight", [size, width]],
    ...Array.from({ length: layers }, (_, layer) =>
      (
        [
          ["attn_norm", [width]],
          ["attn_q", [width, width]],
          ["attn_k", [width, width]],
          ["attn_v", [width, width]],
          ["attn_output", [width, width]],
          ["ffn_norm", [width]],
          ["ffn_gate", [2 * width, width]],
          ["ffn_up", [2 * width, width]],
          ["ffn_down", [width, 2 * width]],
        ] as const
      ).map(([name, shape]) => [`blk.${layer}.${name}.weight`, shape] as const),
    ).flat(),
    ["output_norm.weight", [width]],
    ["output.weight", [size, width]],
  ];
  const tensors = shapes.map(([name, shape]): [string, StoredTensor] => {
    const count = shape.reduce((so, length) => so * length, 1);
    const flat = shape.length === 1;
    const scale = spread * (name.startsWith("token_embd") ? 1 : 2 / Math.sqrt(shape.at(-1)!));
    const values = Float32Array.from({ length: count }, () => (flat ? 1 : random.normal() * scale));
    const stored: StorageType = flat ? "float32" : type;
    return [name, { name, type: stored, shape, data: bytesSource(encodeFloats(values, stored as DType)) }];
  });
  const own = (key: string, value: MetadataValue) => [`llama.${key}`, value] as const;
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", text("llama")],
    ["general.name", text("made up")],
    ["general.file_type", uint(type === "float16" ? 1 : 0)],
    own("context_length", uint(context)),
    own("embedding_length", uint(width)),
    own("block_count", uint(layers)),
    own("feed_forward_length", uint(2 * width)),
    own("rope.dimension_count", uint(width / HEADS)),
    own("attention.head_count", uint(HEADS)),
    own("attention.layer_norm_rms_epsilon", float(1e-5)),
    ...(tokenizer === "none"
      ? ([own("vocab_size", uint(size)), ["tokenizer.ggml.model", text("none")]] as const)
      : vocabulary(words)),
  ]);
  return { container: "gguf", formatVersion: 3, metadata, tensors: new Map(tensors) };
}
