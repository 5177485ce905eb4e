/** Carries out the plan of a GGUF model: the new model's tensors are computed while it is written. */
import type { ByteSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import type { Noise } from "../../kernels/ggml/index.ts";
import { checkCopied } from "./copied.ts";
import { piecesOf } from "./cut.ts";
import { addNoise, type EncodedWork, encodedSource, silence } from "./encode.ts";
import type { NamedImportance, WeightsPlan } from "./plan.ts";
import { importanceFor, type PlannedTensor, plannedTensors } from "./work.ts";

/** The new model; `errors` fills while its tensors are read. */
export interface QuantizedWeights {
  readonly file: TensorFile;
  /** By name: the difference that encoding made, on values spread over the tensor. */
  readonly errors: ReadonlyMap<string, Noise>;
}

/** How the work is watched. */
export interface QuantizeWeightsOptions {
  readonly importance?: NamedImportance;
  /** So many bytes of the source are done. */
  readonly onBytes?: (bytes: number, tensor: string) => void;
}

type OnBytes = NonNullable<QuantizeWeightsOptions["onBytes"]>;

/** The bytes as they are, once they were seen to be finite. */
async function* copied({ tensor, work }: PlannedTensor, onBytes: OnBytes): AsyncIterable<Uint8Array> {
  const { name, type, data } = tensor;
  for (const { first, units } of piecesOf(work.cut)) {
    const bytes = await data.read(first, units);
    checkCopied(name, type, bytes, first);
    onBytes(units, name);
    yield bytes;
  }
}

function copiedSource(planned: PlannedTensor, onBytes: OnBytes): ByteSource {
  const { data } = planned.tensor;
  return {
    size: data.size,
    chunks: () => copied(planned, onBytes),
    read: (offset, length) => data.read(offset, length),
  };
}

function sourceFor(
  planned: PlannedTensor,
  importance: Float32Array | undefined,
  onBytes: OnBytes,
  errors: Map<string, Noise>,
): ByteSource {
  const { work, tensor } = planned;
  const { name, encoding } = work;
  if (encoding === undefined) return copiedSource(planned, onBytes);
  const encoded: EncodedWork = { ...work, encoding };
  return encodedSource(encoded, tensor.data, importance, (bytes, noise) => {
    errors.set(name, addNoise(errors.get(name) ?? silence, noise));
    onBytes(bytes, name);
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
  const errors = new Map<string, Noise>();
  const tensors = new Map<string, StoredTensor>();
  for (const planned of plannedTensors(file, plan)) {
    const { work, plan: own } = planned;
    const { name } = work;
    const weights = work.encoding && (await importanceFor(work, importance));
    tensors.set(name, { name, type: own.to, shape: own.shape, data: sourceFor(planned, weights, onBytes, errors) });
  }
  return { file: { ...file, formatVersion: 3, metadata: plan.metadata, tensors }, errors };
}
