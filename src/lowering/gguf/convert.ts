/** Models of Hugging Face's as GGUF files: what llama.cpp's converter makes of the same folder, tokenizer included. */
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { type Family, familyOf, ggufName } from "./architectures.ts";
import { architectureName, type Config, completed, countSetting } from "./config.ts";
import { type Entry, text, whole } from "./entries.ts";
import { stackExperts } from "./experts.ts";
import { type FolderFiles, jsonFile } from "./folder.ts";
import { generalEntries } from "./general/index.ts";
import { hyperparameters } from "./hyperparameters.ts";
import { poolingEntries } from "./pooling.ts";
import { ropeFactors } from "./rope-factors.ts";
import type { Parameters } from "./size-label.ts";
import { convertTensor, guessedType, type MatrixType } from "./tensors.ts";
import { tokenizerEntries } from "./tokenizer/index.ts";

/** `general.file_type` (llama_ftype) of files that hold nearly only one type. */
const FILE_TYPES: Readonly<Record<MatrixType, number>> = { f32: 0, f16: 1, bf16: 32, q8_0: 7 };
/** GGML_QUANT_VERSION. */
const QUANTIZATION_VERSION = 2;

/** What a model becomes. */
export interface ConvertOptions {
  /** What matrices are stored as; vectors and norms stay float32. "auto" keeps 16 bits of the kind they are in. */
  readonly type: MatrixType | "auto";
  /** llama.cpp's name of how the tokenizer cuts texts, where tokenizer.json does not tell. */
  readonly pre?: string;
}

/** A model for llama.cpp. */
export interface ConvertedModel {
  readonly file: TensorFile;
  /** What matrices are stored as. */
  readonly type: MatrixType;
  /** What could not be taken over, in sentences. */
  readonly notes: readonly string[];
}

/** Heads whose rows have to be paired; 0 for all other tensors. */
function pairedHeads(name: string, { rotatesNeighbours }: Family, config: Config): number {
  if (!rotatesNeighbours) return 0;
  const heads = countSetting(config, "num_attention_heads");
  if (/\.q_proj\.(weight|bias)$/.test(name)) return heads;
  return /\.k_proj\.(weight|bias)$/.test(name) ? countSetting(config, "num_key_value_heads") : 0;
}

/** All tensors under llama.cpp's names, in its order. `config` has its gaps filled. */
export function convertTensors(
  weights: TensorFile,
  config: Config,
  family: Family,
  type: MatrixType,
): ReadonlyMap<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>(
    (family.rotatesNeighbours ? ropeFactors(config) : []).map((tensor) => [tensor.name, tensor]),
  );
  const given = weights.tensors.values();
  for (const tensor of family.experts ? stackExperts(given, family.experts, config) : given) {
    const name = ggufName(tensor.name, family);
    if (name === undefined) continue;
    if (tensors.has(name)) fail("format", `GGUF: two tensors of the model would be "${name}"`);
    tensors.set(name, convertTensor(tensor, name, pairedHeads(tensor.name, family, config), type));
  }
  return tensors;
}

/** Keys that come from other files than config.json. */
export interface FolderEntries {
  readonly general: readonly Entry[];
  readonly pooling?: readonly Entry[];
  readonly tokenizer: readonly Entry[];
}

/** Keys of a model in llama.cpp's order; later ones take the place of earlier ones of the same name. */
export const modelMetadata = (
  config: Config,
  family: Family,
  type: MatrixType,
  { general, pooling = [], tokenizer }: FolderEntries,
): TensorFile["metadata"] =>
  new Map<string, Entry[1]>([
    ...text("general.architecture", family.architecture),
    ...text("general.type", "model"),
    ...general,
    ...hyperparameters(config, family, FILE_TYPES[type]),
    ...pooling,
    ...whole("general.quantization_version", QUANTIZATION_VERSION),
    ...tokenizer,
  ]);

/** Rerankers answer with two rows of their output alone, which no key of config.json says. */
function refuseReranker({ name }: FolderFiles, settings: Config): void {
  const hints = [name, settings.get("_name_or_path")].map((hint) => String(hint ?? "").toLowerCase());
  if (hints.some((hint) => /qwen3-(vl-)?reranker/.test(hint)))
    fail("unsupported", `${name}: rerankers can't be converted; llama.cpp's own converter can`);
}

const parametersOf = (tensors: ReadonlyMap<string, StoredTensor>): Parameters => {
  const all = [...tensors.values()];
  const stacks = all.filter(({ name }) => name.includes("_exps."));
  const sum = (some: readonly StoredTensor[]): number =>
    some.reduce((total, { shape }) => total + elementCount(shape), 0);
  return { all: sum(all), stacks: sum(stacks), experts: stacks[0]?.shape[0] ?? 0 };
};

/**
 * A model folder of Hugging Face's, of one of the `FAMILIES`, as llama.cpp's converter writes it: tensors, order of
 * rows, settings, tokenizer, what the model card says. Weights are read when the result is written. Fails with code
 * "unsupported" for other families, tensors and tokenizers without a name there, and what is quantized already; "usage"
 * where files are missing, "format" where they are damaged.
 */
export function toGguf(weights: TensorFile, folder: FolderFiles, options: ConvertOptions): ConvertedModel {
  const settings = jsonFile(folder, "config.json") ?? fail("usage", `${folder.name}: it has no config.json; add it`);
  const family = familyOf(architectureName(settings));
  refuseReranker(folder, settings);
  const config = completed(settings, family);
  const type = options.type === "auto" ? guessedType(weights.tensors.values()) : options.type;
  const tensors = convertTensors(weights, config, family, type);
  const general = generalEntries(folder, settings, parametersOf(tensors));
  const tokenizer = tokenizerEntries(folder, config, family, options.pre);
  const pooling = family.pools ? poolingEntries(folder, family.architecture) : [];
  const metadata = modelMetadata(config, family, type, { general: general.entries, pooling, tokenizer });
  return { file: { container: "gguf", formatVersion: 3, tensors, metadata }, type, notes: general.notes };
}
