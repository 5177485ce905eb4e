/** Plans the quantization of a GGUF model: which tensor becomes what and why, and the exact size of the file. */
import { type EncodeGgufOptions, type GgufLayout, layoutGguf } from "../../containers/gguf/index.ts";
import type { ImportanceMatrix } from "../../containers/imatrix/index.ts";
import {
  type MetadataValue,
  type StorageType,
  type StoredTensor,
  storedBytes,
  type TensorFile,
} from "../../ir/tensor-file.ts";
import { type GgmlFormatName, isGgmlFormat } from "../../kernels/ggml/index.ts";
import { type DType, isDType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { GGML_TYPES, type GgmlTypeRow, ggmlNameOf, isBlockType } from "../../numeric/ggml-types.ts";
import {
  type Choice,
  type ChooseOptions,
  chooseTypes,
  FILE_TYPES,
  type FileTypeName,
  ggmlShape,
  needsImportance,
  tensorOrder,
} from "../../recipes/ggml/index.ts";
import { factsOf, NO_FACTS } from "./facts.ts";

/** An importance matrix and the file it comes from, as it was typed. */
export interface NamedImportance {
  readonly path: string;
  readonly matrix: ImportanceMatrix;
}

/** How weights are planned. */
export interface PlanWeightsOptions extends ChooseOptions {
  readonly importance?: NamedImportance;
  /** Allow tensors that are quantized already to be quantized again. */
  readonly requantize?: boolean;
  /** Most bytes of one file; the model becomes several where it is larger. */
  readonly maxBytes?: number;
}

/** What one tensor becomes. */
export interface TensorPlan {
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: StorageType;
  readonly to: StorageType;
  /** Present where the tensor is encoded anew. */
  readonly format?: GgmlFormatName;
  /** Bytes in the file that is read, and in the new one. */
  readonly before: number;
  readonly after: number;
  readonly reason: string;
  /** The type that was wanted, where its blocks don't fit the rows. */
  readonly insteadOf?: GgmlFormatName;
  /** Why the type can't be made without what is missing; a plan with such tensors can be printed, not done. */
  readonly missing?: string;
}

/** What becomes what. */
export interface WeightsPlan {
  readonly fileType: FileTypeName;
  /** In the order of the new file. */
  readonly tensors: readonly TensorPlan[];
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Exact bytes of the new file, or of all of them. */
  readonly size: number;
}

/** The storage type that a format is called by in files. */
export function storageOf(format: GgmlFormatName): StorageType {
  const { dtype }: GgmlTypeRow = GGML_TYPES[format];
  return dtype ?? (format as StorageType);
}

/** ggml's name of what a tensor is stored in; fails where it can't be read as floats. */
export function formatOf({ name, type }: StoredTensor): GgmlFormatName {
  const known = isDType(type) ? ggmlNameOf(type as DType) : type;
  if (known !== undefined && isGgmlFormat(known)) return known;
  return fail("unsupported", `tensor "${name}": elements of type ${type} can't be quantized; leave it out with --keep`);
}

function missingFor(tensor: StoredTensor, format: GgmlFormatName, name: FileTypeName, options: PlanWeightsOptions) {
  if (isBlockType(tensor.type) && options.requantize !== true)
    return `it is ${tensor.type} already, and quantizing twice costs accuracy; start from f16 or f32, or allow it with --requantize`;
  if (!needsImportance(name, tensor.name, format)) return undefined;
  if (options.importance?.matrix.entries.has(tensor.name)) return undefined;
  return options.importance === undefined
    ? `${format} needs an importance matrix; give one with --imatrix, or choose a type with more bits`
    : `${format} needs importance, and "${options.importance.path}" has none for it; measure it on the same model, or give it another type with --tensor-type`;
}

function planTensor(tensor: StoredTensor, choice: Choice, name: FileTypeName, options: PlanWeightsOptions): TensorPlan {
  const { type: from, data } = tensor;
  const shape = ggmlShape(tensor.shape);
  const to = choice.type === undefined ? from : storageOf(choice.type);
  const base = { name: tensor.name, shape, from, before: data.size };
  if (choice.type === undefined || to === from)
    return { ...base, to: from, after: data.size, reason: choice.type ? "it is that already" : choice.reason };
  formatOf(tensor);
  const after = storedBytes(to, shape, `tensor "${tensor.name}"`);
  const missing = missingFor(tensor, choice.type, name, options);
  const { reason, insteadOf } = choice;
  return {
    ...{ ...base, to, after, reason, format: choice.type },
    ...(insteadOf && { insteadOf }),
    ...(missing !== undefined && { missing }),
  };
}

/** Version of ggml's block layouts (GGML_QNT_VERSION). */
const QUANTIZATION_VERSION = 2;
/** Most bytes of a text that llama-quantize writes of an importance matrix. */
const MAX_TEXT = 127;

const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });

function shortText(text: string): MetadataValue {
  const bytes = new TextEncoder().encode(text);
  return { type: "string", value: bytes.length <= MAX_TEXT ? text : bytes.slice(0, MAX_TEXT) };
}

function importanceKeys({ path, matrix }: NamedImportance): readonly (readonly [string, MetadataValue])[] {
  const { datasets, chunks = 0, entries } = matrix;
  return [
    ["quantize.imatrix.file", shortText(path)],
    ...(datasets[0] === undefined ? [] : [["quantize.imatrix.dataset", shortText(datasets[0])] as const]),
    ["quantize.imatrix.entries_count", uint32(entries.size)],
    ...(chunks > 0 ? [["quantize.imatrix.chunks_count", uint32(chunks)] as const] : []),
  ];
}

/** The old keys, then those of the quantization: llama-quantize takes keys out before it sets them. */
function metadataOf(file: TensorFile, name: FileTypeName, importance: NamedImportance | undefined) {
  const own = new Map([
    ["general.quantization_version", uint32(QUANTIZATION_VERSION)],
    ["general.file_type", uint32(FILE_TYPES[name].id)],
    ...(importance === undefined ? [] : importanceKeys(importance)),
  ]);
  return new Map([...[...file.metadata].filter(([key]) => !own.has(key)), ...own]);
}

const unread = (size: number) => ({ size, read: () => fail("format", "a planned tensor has no bytes yet") });

/** Where everything lies in the files that a plan leads to. */
export function layoutOf(
  file: TensorFile,
  { metadata, tensors }: Pick<WeightsPlan, "metadata" | "tensors">,
  options: EncodeGgufOptions = {},
): readonly GgufLayout[] {
  const planned = tensors.map(({ name, to, shape, after }): [string, StoredTensor] => [
    name,
    { name, type: to, shape, data: unread(after) },
  ]);
  return layoutGguf({ ...file, formatVersion: 3, metadata, tensors: new Map(planned) }, options);
}

/**
 * Decides on every tensor of a GGUF model. Fails with code "usage" for overrides that match nothing, "unsupported" for
 * other containers and types that don't fit.
 */
export function planWeights(file: TensorFile, name: FileTypeName, options: PlanWeightsOptions = {}): WeightsPlan {
  refuseOthers(file, `scheme ${name}`);
  const ordered = orderedTensors(file);
  const facts = options.pure ? NO_FACTS : factsOf(file, options.importance !== undefined);
  return planChoices(file, name, chooseTypes(name, ordered, facts, options), options);
}

/** Throws for containers other than GGUF. */
export function refuseOthers({ container }: TensorFile, what: string): void {
  if (container !== "gguf")
    fail("unsupported", `${what} is for GGUF, and these weights are ${container}; convert them first`);
}

/** Tensors in the order of the new file. */
export const orderedTensors = ({ tensors }: TensorFile): readonly StoredTensor[] =>
  [...tensors.values()].sort(tensorOrder);

/** The plan of choices that were made for `orderedTensors`; `name` is the file type that the new file calls itself. */
export function planChoices(
  file: TensorFile,
  name: FileTypeName,
  choices: readonly Choice[],
  options: PlanWeightsOptions,
): WeightsPlan {
  const tensors = orderedTensors(file).map((tensor, i) => planTensor(tensor, choices[i]!, name, options));
  const metadata = metadataOf(file, name, options.importance);
  const { maxBytes } = options;
  const layouts = layoutOf(file, { metadata, tensors }, maxBytes === undefined ? {} : { maxBytes });
  return { fileType: name, tensors, metadata, size: layouts.reduce((sum, { size }) => sum + size, 0) };
}
