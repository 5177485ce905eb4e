/** NaN and infinity in weights: no scale can hold them, and what they do to a result is nobody's wish. */
import { graphs } from "../ir/edit.ts";
import type { Model, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { countNonFinite } from "../numeric/metrics.ts";

const FLOATS = new Set(["float32", "float16", "bfloat16"]);
/** Masks hold infinities on purpose; weights are larger and have two dimensions. */
const isWeight = ({ dtype, shape }: Tensor): boolean =>
  FLOATS.has(dtype) && shape.length >= 2 && elementCount(shape) > 1;

/** One sentence per weight that holds NaN; infinities only count in `weights`, the tensors to be quantized. */
export async function findBadWeights(
  model: Model,
  weights: ReadonlySet<string> = new Set(),
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { graph } of graphs(model.graph))
    for (const tensor of graph.tensors.values()) {
      if (!isWeight(tensor)) continue;
      const { nan, infinite } = countNonFinite(decodeFloats(await readAll(tensor.data), tensor.dtype));
      const bad = nan + (weights.has(tensor.name) ? infinite : 0);
      if (bad > 0) found.push(`weight "${tensor.name}" holds ${nan} NaN and ${infinite} infinite values`);
    }
  return found;
}

/** Refuses a model with such weights and names the first. */
export async function refuseBadWeights(model: Model, weights: ReadonlySet<string>): Promise<void> {
  const [first, ...others] = await findBadWeights(model, weights);
  if (first === undefined) return;
  const more = others.length > 0 ? ` (and ${others.length} more weights)` : "";
  fail("data", `${first}${more}; fix the export, or train the model again without overflow`);
}
