/** A quantized model in memory, made of the pieces that threads make. */
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { piecesOf } from "../weights/cut.ts";
import { type CompressedPlan, type CompressedTensor, compressedTensors, encodeRows, plannedFile } from "./index.ts";

/** Fills the parts of one tensor. */
async function fill({ tensor, work }: CompressedTensor, plan: CompressedPlan, into: Map<string, Uint8Array>) {
  const { matrix, cut, parts } = work;
  for (const { first, units } of piecesOf(cut)) {
    const bytes = await tensor.data.read(first * cut.before, units * cut.before);
    const made = matrix ? encodeRows(bytes, matrix, { row: first, rows: units }, plan) : { codes: bytes };
    for (const { kind, name, each } of parts) {
      const part = made[kind];
      if (part !== undefined) into.get(name)!.set(part, first * each);
    }
  }
}

/** The model that a plan describes. */
export async function quantized(file: TensorFile, plan: CompressedPlan): Promise<TensorFile> {
  const planned = plannedFile(plan);
  const bytes = new Map([...planned.tensors.values()].map(({ name, data }) => [name, new Uint8Array(data.size)]));
  for (const tensor of compressedTensors(file, plan)) await fill(tensor, plan, bytes);
  const filled = [...planned.tensors.values()].map(
    (tensor): StoredTensor => ({
      ...tensor,
      data: bytesSource(bytes.get(tensor.name)!),
    }),
  );
  return { ...planned, tensors: new Map(filled.map((tensor) => [tensor.name, tensor])) };
}
