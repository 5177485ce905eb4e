/** Where quantization-aware training starts: at the grids of post-training quantization. */
import type { Model } from "../../ir/model.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import type { QParams } from "../../ir/scheme.ts";
import type { Stats } from "../../ir/stats.ts";
import { gridOf } from "../../lowering/qdq.ts";
import { startParams } from "../../lowering/start.ts";
import { weightLayout } from "../../train/qat/grids.ts";
import type { QatStart } from "../../train/qat/insert.ts";

/** Grids that post-training quantization would take: of values from what calibration saw, of weights by their algorithm. */
export async function startingGrids(model: Model, plan: Plan, stats: Stats | undefined): Promise<QatStart> {
  const roots = plan.values.filter(({ sameAs }) => sameAs === undefined);
  const weights = new Map<NodePlan, QParams>();
  for (const entry of plan.nodes) {
    const { weight, scope } = entry;
    if (weight === undefined || scope !== "" || weightLayout(weight) === undefined) continue;
    weights.set(entry, await startParams(model.graph.tensors.get(weight.tensor)!, entry.form, weight));
  }
  return { values: new Map(roots.map((value) => [value.value, gridOf(value, stats)])), weights };
}
