/** NaN and infinity in weights: no scale can hold them, and what they do to a result is nobody's wish. */
import { dialectOf } from "../ir/dialects.ts";
import { graphs } from "../ir/edit.ts";
import type { Model, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { constantsOf } from "../lowering/context.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { countNonFinite } from "../numeric/metrics.ts";

const FLOATS = new Set(["float32", "float16", "bfloat16"]);

/** Constants that ops multiply by. */
function weightsOf(model: Model): ReadonlySet<Tensor> {
  const constants = constantsOf(model);
  const found = new Set<Tensor>();
  for (const { scope, graph } of graphs(model.graph))
    for (const node of graph.nodes)
      for (const { input } of dialectOf(model).row(node)?.weights ?? []) {
        const constant = constants.find(scope, node.inputs[input] ?? "");
        if (constant) found.add(constant.tensor);
      }
  return found;
}

/** One sentence per constant that holds NaN, or infinity in a weight: masks and biases hold infinities on purpose. */
export async function findBadWeights(model: Model): Promise<readonly string[]> {
  const weights = weightsOf(model);
  const found: string[] = [];
  for (const { graph } of graphs(model.graph))
    for (const tensor of graph.tensors.values()) {
      if (!FLOATS.has(tensor.dtype) || elementCount(tensor.shape) < 2) continue;
      const { nan, infinite } = countNonFinite(decodeFloats(await readAll(tensor.data), tensor.dtype));
      const bad = nan + (weights.has(tensor) ? infinite : 0);
      if (bad > 0) found.push(`weight "${tensor.name}" holds ${nan} NaN and ${infinite} infinite values`);
    }
  return found;
}

/** Refuses a model with such weights and names the first. */
export async function refuseBadWeights(model: Model): Promise<void> {
  const [first, ...others] = await findBadWeights(model);
  if (first === undefined) return;
  const more = others.length > 0 ? ` (and ${others.length} more weights)` : "";
  fail("data", `${first}${more}; fix the export, or train the model again without overflow`);
}
