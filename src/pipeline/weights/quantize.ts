/** Carries out the plan of a GGUF model: the new model's tensors are computed while it is written. */
import { importanceOf } from "../../containers/imatrix/index.ts";
import type { ByteSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { type ErrorSums, mergeErrors, noErrors } from "../../numeric/metrics.ts";
import { isFree } from "../../recipes/ggml/index.ts";
import { type Encoding, encodedSource } from "./encode.ts";
import { formatOf, type NamedImportance, type TensorPlan, type WeightsPlan } from "./plan.ts";

/** The new model; `errors` fills while its tensors are read. */
export interface QuantizedWeights {
  readonly file: TensorFile;
  /** By name: the difference that encoding made, on rows spread over the tensor. */
  readonly errors: ReadonlyMap<string, ErrorSums>;
}

/** How the work is watched. */
export interface QuantizeWeightsOptions {
  readonly importance?: NamedImportance;
  /** So many bytes of the source are done. */
  readonly onBytes?: (bytes: number, tensor: string) => void;
}

/** Importance of a tensor; embeddings do without one of another size, which llama-imatrix never measures right. */
export async function importanceFor(tensor: StoredTensor, importance: NamedImportance | undefined) {
  const entry = importance?.matrix.entries.get(tensor.name);
  if (importance === undefined || entry === undefined) return undefined;
  const columns = tensor.shape.at(-1) ?? 1;
  if (isFree(tensor.name) && tensor.name !== "output.weight" && entry.length !== columns) return undefined;
  return importanceOf(importance.matrix, tensor);
}

/** Copies with a count of bytes; what is not finite stays where it is not quantized. */
function counted({ name, data }: StoredTensor, onBytes: (bytes: number, tensor: string) => void): ByteSource {
  const read = async (offset: number, length: number) => {
    const bytes = await data.read(offset, length);
    onBytes(length, name);
    return bytes;
  };
  return { size: data.size, ...(data.seekable && { seekable: true }), read };
}

type Watch = Required<Pick<QuantizeWeightsOptions, "onBytes">> & { readonly errors: Map<string, ErrorSums> };

function sourceFor(tensor: StoredTensor, plan: TensorPlan, importance: Float32Array | undefined, watch: Watch) {
  const { name } = tensor;
  if (plan.format === undefined) return counted(tensor, watch.onBytes);
  const encoding: Encoding = {
    ...{ tensor, from: formatOf(tensor), to: plan.format, allowsNoImportance: isFree(name) },
    ...(importance && { importance }),
  };
  return encodedSource(plan.after, encoding, (bytes, errors) => {
    watch.errors.set(name, mergeErrors(watch.errors.get(name) ?? noErrors, errors));
    watch.onBytes(bytes, name);
  });
}

/**
 * The model that a plan describes. Importance is read and checked here, weights only when the result is written. Fails
 * with code "data" for importance of another model, "usage" where the plan says that something is missing.
 */
export async function quantizeWeights(
  file: TensorFile,
  plan: WeightsPlan,
  { importance, onBytes = () => {} }: QuantizeWeightsOptions = {},
): Promise<QuantizedWeights> {
  const errors = new Map<string, ErrorSums>();
  const tensors = new Map<string, StoredTensor>();
  for (const tensorPlan of plan.tensors) {
    const { name, missing } = tensorPlan;
    if (missing !== undefined) fail("usage", `tensor "${name}": ${missing}`);
    const tensor = file.tensors.get(name) ?? fail("format", `tensor "${name}" is planned, but the model has none`);
    const weights = tensorPlan.format === undefined ? undefined : await importanceFor(tensor, importance);
    const data = sourceFor(tensor, tensorPlan, weights, { onBytes, errors });
    tensors.set(name, { name, type: tensorPlan.to, shape: tensor.shape, data });
  }
  return { file: { ...file, formatVersion: 3, metadata: plan.metadata, tensors }, errors };
}
