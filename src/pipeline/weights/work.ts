/** The work that a plan asks for, as plain data for threads. */
import { importanceOf } from "../../containers/imatrix/index.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { isFree } from "../../recipes/ggml/index.ts";
import { cutBytes, cutRows, type Encoding, type TensorWork } from "./cut.ts";
import { formatOf, type NamedImportance, type TensorPlan, type WeightsPlan } from "./plan.ts";

/** Importance of a tensor; embeddings do without one of another size, which llama-imatrix never measures right. */
export async function importanceFor(
  { name, shape }: Pick<StoredTensor, "name" | "shape">,
  importance: NamedImportance | undefined,
): Promise<Float32Array | undefined> {
  const entry = importance?.matrix.entries.get(name);
  if (importance === undefined || entry === undefined) return undefined;
  if (isFree(name) && name !== "output.weight" && entry.length !== (shape.at(-1) ?? 1)) return undefined;
  return importanceOf(importance.matrix, { name, shape });
}

/** One tensor of the model that was planned for, and what is done to it. */
export interface PlannedTensor {
  readonly tensor: StoredTensor;
  readonly plan: TensorPlan;
  readonly work: TensorWork;
}

function workOf(tensor: StoredTensor, { format }: TensorPlan): TensorWork {
  const { name, shape, type, data } = tensor;
  if (format === undefined) return { name, shape, type, cut: cutBytes(data.size) };
  const encoding: Encoding = { from: formatOf(tensor), to: format, allowsNoImportance: isFree(name) };
  return { name, shape, type, encoding, cut: cutRows(shape, encoding) };
}

/** All tensors in the order of the new file. Fails with code "usage" where the plan says that something is missing. */
export const plannedTensors = (file: TensorFile, plan: WeightsPlan): readonly PlannedTensor[] =>
  plan.tensors.map((own) => {
    const { name, missing } = own;
    if (missing !== undefined) fail("usage", `tensor "${name}": ${missing}`);
    const tensor = file.tensors.get(name) ?? fail("format", `tensor "${name}" is planned, but the model has none`);
    return { tensor, plan: own, work: workOf(tensor, own) };
  });

/** Reads and checks the importance of every tensor that is encoded, one at a time. Fails with code "data". */
export async function checkAllImportance(
  tensors: readonly PlannedTensor[],
  importance: NamedImportance | undefined,
): Promise<void> {
  for (const { work } of tensors) if (work.encoding !== undefined) await importanceFor(work, importance);
}
