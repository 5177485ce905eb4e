/** Weights with Hugging Face's names and order of rows as llama.cpp wants them. Nothing is read before it is written. */
import { computedSource, readAll } from "../../ir/source.ts";
import type { MetadataValue, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { byteLength, DTYPES, type DType, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { isBlockType } from "../../numeric/ggml-types.ts";
import { type Family, familyOf, ggufName } from "./architectures.ts";
import { architectureName, type Config, completed, countSetting } from "./config.ts";
import { hyperparameters } from "./hyperparameters.ts";
import { ropeFactors } from "./rope-factors.ts";

/** `general.file_type` (llama_ftype) of files that hold nearly only one type. */
const FILE_TYPES = { float32: 0, float16: 1, bfloat16: 32 } as const;

export interface ConvertOptions {
  /** What matrices are stored as; vectors and norms stay float32. */
  readonly type: keyof typeof FILE_TYPES;
  /** `general.name`, for people. */
  readonly name: string;
}

/** GGML_QUANT_VERSION. */
const QUANTIZATION_VERSION = 2;

const SIZE_UNITS = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [0, "K"],
] as const;

/** A number of parameters as llama.cpp's file names have it, two digits or more: 26K, 7.2B, 70B. */
export function sizeLabel(parameters: number): string {
  const [from, unit] = SIZE_UNITS.find(([above]) => parameters > above) ?? SIZE_UNITS[3];
  const scaled = parameters / (from || 1000);
  return `${scaled.toFixed(Math.round(scaled) < 10 ? 1 : 0)}${unit}`;
}

/** Rows of each head from two halves to neighbouring pairs: 0, n/2, 1, n/2 + 1, ... */
export function pairRows(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const row = bytes.length / rows;
  const size = rows / heads;
  for (let to = 0; to < rows; to++) {
    const inHead = to % size;
    const from = to - inHead + (inHead >> 1) + (inHead & 1) * (size / 2);
    out.set(bytes.subarray(from * row, (from + 1) * row), to * row);
  }
  return out;
}

/** Heads whose rows have to be paired; 0 for all other tensors. */
function pairedHeads(name: string, { rotatesNeighbours }: Family, config: Config): number {
  if (!rotatesNeighbours) return 0;
  const heads = countSetting(config, "num_attention_heads");
  if (/\.q_proj\.(weight|bias)$/.test(name)) return heads;
  return /\.k_proj\.(weight|bias)$/.test(name) ? countSetting(config, "num_key_value_heads") : 0;
}

const storedAs = (name: string, rank: number, wish: DType): DType =>
  rank <= 1 || name.endsWith("_norm.weight") ? "float32" : wish;

function floatType({ name, type }: StoredTensor): DType {
  if (isBlockType(type) || DTYPES[type].kind !== "float" || DTYPES[type].bits < 16)
    return fail(
      "unsupported",
      `GGUF: tensor "${name}" is ${type}; convert from the model in float16, bfloat16 or float32`,
    );
  return type;
}

function convertTensor(tensor: StoredTensor, name: string, heads: number, wish: DType): StoredTensor {
  const from = floatType(tensor);
  const { shape, data } = tensor;
  const type = storedAs(name, shape.length, wish);
  const [rows = 1] = shape;
  if (heads > 0 && rows % (2 * heads) !== 0)
    fail(
      "format",
      `GGUF: tensor "${tensor.name}" has ${rows} rows, no pairs of rows for ${heads} heads of config.json`,
    );
  if (heads === 0 && type === from) return { name, type, shape, data };
  const compute = async (): Promise<Uint8Array> => {
    const bytes = await readAll(data);
    const ordered = heads === 0 ? bytes : pairRows(bytes, rows, heads);
    return type === from ? ordered : encodeFloats(decodeFloats(ordered, from), type);
  };
  return { name, type, shape, data: computedSource(byteLength(type, elementCount(shape)), compute) };
}

function metadataOf(
  config: Config,
  family: Family,
  { type, name }: ConvertOptions,
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, MetadataValue> {
  const parameters = [...tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return new Map<string, MetadataValue>([
    ["general.architecture", { type: "string", value: family.architecture }],
    ["general.type", { type: "string", value: "model" }],
    ["general.name", { type: "string", value: name }],
    ["general.size_label", { type: "string", value: sizeLabel(parameters) }],
    ...hyperparameters(config, family, FILE_TYPES[type]),
    ["general.quantization_version", { type: "uint32", value: QUANTIZATION_VERSION }],
  ]);
}

/**
 * A model of Hugging Face's, its weights and config.json, as llama.cpp's: names, order of rows, settings. The tokenizer
 * is not in it yet. Fails with code "unsupported" for other families, tensors without a name there and quantized ones.
 */
export function toGguf(weights: TensorFile, settings: Config, options: ConvertOptions): TensorFile {
  const family = familyOf(architectureName(settings));
  const config = completed(settings, family);
  const tensors = new Map<string, StoredTensor>(
    (family.rotatesNeighbours ? ropeFactors(config) : []).map((tensor) => [tensor.name, tensor]),
  );
  for (const tensor of weights.tensors.values()) {
    const name = ggufName(tensor.name);
    if (name === undefined) continue;
    if (tensors.has(name)) fail("format", `GGUF: two tensors of the model would be "${name}"`);
    tensors.set(name, convertTensor(tensor, name, pairedHeads(tensor.name, family, config), options.type));
  }
  return { container: "gguf", formatVersion: 3, tensors, metadata: metadataOf(config, family, options, tensors) };
}
