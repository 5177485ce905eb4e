/** Small GGUF models whose tensors take every branch of llama-quantize's choices. */
import type { ImportanceMatrix } from "../../containers/imatrix/index.ts";
import { bytesSource } from "../../ir/source.ts";
import type { MetadataValue, StorageType, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { bytesOf, encodeFloats } from "../../numeric/convert.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { rng } from "../../numeric/rng.ts";

interface Description {
  readonly seed: number;
  readonly architecture: string;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly experts?: number;
  /** One expert more, which sees every token, by a gate whose matrix has one row. */
  readonly withShared?: boolean;
  readonly tied?: boolean;
  /** Columns of "ffn_down", 256 elsewhere. */
  readonly down?: number;
  readonly type?: DType;
  /** Attention in one matrix. */
  readonly fused?: boolean;
}

const text = (value: string): MetadataValue => ({ type: "string", value });
const uint = (value: number): MetadataValue => ({ type: "uint32", value });
const float = (value: number): MetadataValue => ({ type: "float32", value: Math.fround(value) });

function metadataOf({ architecture, layers, heads, keyHeads, experts }: Description): Map<string, MetadataValue> {
  const own = (key: string, value: MetadataValue) => [`${architecture}.${key}`, value] as const;
  return new Map([
    ["general.architecture", text(architecture)],
    ["general.file_type", uint(0)],
    ["general.name", text("made up")],
    own("context_length", uint(64)),
    own("embedding_length", uint(256)),
    own("block_count", uint(layers)),
    own("feed_forward_length", uint(256)),
    own("attention.head_count", uint(heads)),
    own("attention.head_count_kv", uint(keyHeads)),
    own("attention.layer_norm_rms_epsilon", float(1e-5)),
    own("attention.layer_norm_epsilon", float(1e-5)),
    ...(experts === undefined ? [] : [own("expert_count", uint(experts)), own("expert_used_count", uint(2))]),
    ["tokenizer.ggml.model", text("none")],
  ]);
}

const SHARED_EXPERT = [
  ["ffn_gate_inp_shexp.weight", [1, 256]],
  ["ffn_up_shexp.weight", [2, 256]],
  ["ffn_gate_shexp.weight", [2, 256]],
  ["ffn_down_shexp.weight", [2, 256]],
] as const;

/** Names and shapes of one layer, in an order that is not that of the result. */
function layerShapes({
  experts,
  down = 256,
  fused,
  withShared,
}: Description): readonly (readonly [string, readonly number[]])[] {
  const stack = experts === undefined ? [] : [experts];
  const end = experts === undefined ? "weight" : "weight";
  const suffix = experts === undefined ? "" : "_exps";
  const attention = fused
    ? ([["attn_qkv.weight", [4, 256]]] as const)
    : ([
        ["attn_q.weight", [2, 256]],
        ["attn_k.weight", [2, 256]],
        ["attn_v.weight", [2, 256]],
      ] as const);
  return [
    ["attn_norm.weight", [256]],
    ...attention,
    ["attn_output.weight", [2, 256]],
    [`ffn_up${suffix}.${end}`, [...stack, 2, 256]],
    ...(fused ? [] : [[`ffn_gate${suffix}.${end}`, [...stack, 2, 256]] as const]),
    [`ffn_down${suffix}.${end}`, [...stack, 2, down]],
    ...(experts === undefined ? [] : [["ffn_gate_inp.weight", [experts, 256]] as const]),
    ...(withShared ? SHARED_EXPERT : []),
  ];
}

const shapesOf = (wish: Description): readonly (readonly [string, readonly number[]])[] => [
  ["token_embd.weight", [4, 256]],
  ...Array.from({ length: wish.layers }, (_, layer) =>
    layerShapes(wish).map(([name, shape]) => [`blk.${layer}.${name}`, shape] as const),
  ).flat(),
  ["output_norm.weight", [256]],
  ...(wish.tied ? [] : [["output.weight", [4, 256]] as const]),
];

const size = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** Like weights: normal, with a few large ones. */
function values(count: number, random: ReturnType<typeof rng>): Float32Array {
  return Float32Array.from({ length: count }, () => random.normal() * (random.uniform() < 0.01 ? 0.3 : 0.02));
}

function modelOf(wish: Description): TensorFile {
  const random = rng(wish.seed);
  const tensors = shapesOf(wish).map(([name, shape]): [string, StoredTensor] => {
    const type: StorageType = shape.length === 1 ? "float32" : (wish.type ?? "float32");
    const data = bytesSource(encodeFloats(values(size(shape), random), type as DType));
    return [name, { name, type, shape, data }];
  });
  return { container: "gguf", formatVersion: 3, metadata: metadataOf(wish), tensors: new Map(tensors) };
}

const llama = { architecture: "llama", heads: 8, keyHeads: 8 } as const;

/** By name: what each is there for stands in its row. */
export const MODELS: Readonly<Record<string, TensorFile>> = {
  plain: modelOf({ ...llama, seed: 1, layers: 17 }),
  shared: modelOf({ ...llama, seed: 2, layers: 8, keyHeads: 2, tied: true, type: "float16" }),
  short: modelOf({ ...llama, seed: 3, layers: 3, down: 160, type: "bfloat16" }),
  shortest: modelOf({ ...llama, seed: 4, layers: 2, down: 100 }),
  experts: modelOf({ ...llama, seed: 5, layers: 9, keyHeads: 2, experts: 8 }),
  fewExperts: modelOf({ ...llama, seed: 6, layers: 9, experts: 4 }),
  sharedExpert: modelOf({
    ...{ architecture: "qwen2moe", seed: 10, layers: 2, heads: 8, keyHeads: 8, experts: 8, withShared: true },
  }),
  large: modelOf({ ...llama, seed: 7, layers: 80, keyHeads: 4 }),
  falcon: modelOf({ architecture: "falcon", seed: 8, layers: 16, heads: 8, keyHeads: 8, fused: true }),
};

/** Importance of every matrix of a model; what llama-imatrix does not measure is left out. */
export function importanceFor(model: TensorFile, seed: number): ImportanceMatrix {
  const random = rng(seed);
  const entries = [...model.tensors.values()]
    .filter(({ name, shape }) => shape.length > 1 && name.startsWith("blk."))
    .map(({ name, shape }) => {
      const matrices = size(shape.slice(0, -2));
      const length = matrices * shape.at(-1)!;
      const weights = Float32Array.from({ length }, () => random.uniform() ** 4 + 0.001);
      return [name, { length, matrices, read: async () => weights }] as const;
    });
  return { datasets: ["made up.txt"], chunks: 7, entries: new Map(entries) };
}

/** Importance as the lines and floats that the driver of llama-quantize reads. */
export async function importanceFile({ entries }: ImportanceMatrix): Promise<Uint8Array> {
  const parts = [...entries].map(async ([name, { length, read }]) =>
    Buffer.concat([Buffer.from(`${name} ${length}\n`), bytesOf(await read()), Buffer.from("\n")]),
  );
  return Buffer.concat(await Promise.all(parts));
}
