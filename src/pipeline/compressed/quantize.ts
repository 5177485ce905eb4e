/** Carries out the plan of a safetensors model: the new tensors are computed while they are written. */
import type { ByteSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { encodedTensors } from "./encode.ts";
import { type CompressedPlan, type CompressedTensorPlan, partBytes } from "./plan.ts";

/** Told of bytes of the source that were read, and of which tensor. */
export type OnBytes = (bytes: number, tensor: string) => void;

/** Copies with a count of bytes. */
function counted({ name, data }: StoredTensor, onBytes: OnBytes): ByteSource {
  const read = async (offset: number, length: number) => {
    const bytes = await data.read(offset, length);
    onBytes(length, name);
    return bytes;
  };
  return { size: data.size, ...(data.seekable && { seekable: true }), read };
}

function tensorsFor(
  tensor: StoredTensor,
  { matrix, parts }: CompressedTensorPlan,
  { form, algorithm }: CompressedPlan,
  onBytes: OnBytes,
): readonly StoredTensor[] {
  if (matrix === undefined) return [{ ...tensor, data: counted(tensor, onBytes) }];
  const tell = (bytes: number) => onBytes(bytes, tensor.name);
  return encodedTensors({ tensor, matrix, parts, form, algorithm, onBytes: tell }, partBytes);
}

/** The model that a plan describes; weights are read when it is written, piece by piece. */
export function quantizeCompressed(file: TensorFile, plan: CompressedPlan, onBytes: OnBytes = () => {}): TensorFile {
  const tensors = plan.tensors.flatMap((tensorPlan) => {
    const { name } = tensorPlan;
    const tensor = file.tensors.get(name) ?? fail("format", `tensor "${name}" is planned, but the model has none`);
    return tensorsFor(tensor, tensorPlan, plan, onBytes);
  });
  return {
    ...{ container: "safetensors", formatVersion: 1, metadata: plan.metadata },
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
  };
}
