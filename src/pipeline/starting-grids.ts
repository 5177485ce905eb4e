/** The grids of post-training quantization as numbers, and the model that computes with them in floats. */
import type { Model } from "../ir/model.ts";
import type { NodePlan, Plan } from "../ir/plan.ts";
import type { QParams } from "../ir/scheme.ts";
import type { Stats } from "../ir/stats.ts";
import { gridOf } from "../lowering/qdq.ts";
import { startParams } from "../lowering/start.ts";
import { expand } from "../train/expand.ts";
import { TRAINING_OPS } from "../train/ops/index.ts";
import { weightLayout } from "../train/qat/grids.ts";
import { insertFakeQuantize, type QatStart } from "../train/qat/insert.ts";

/** A model and the grids of its weights and values. */
export interface Point {
  readonly model: Model;
  readonly grids: QatStart;
}

/** The model in floats with all that the plan quantizes on its grid, in plain ops. */
export const fakeModel = ({ model, grids }: Point, plan: Plan, activations = true): Model =>
  expand(insertFakeQuantize(model, plan, grids, { activations, learn: false }).model, TRAINING_OPS);

/**
 * Scales as they can be learned, above zero. Some algorithms turn a grid around to reach the larger end with its extra code;
 * a group of zeros has no scale of its own and takes the smallest of the others.
 */
function positive({ scale, zeroPoint }: QParams): QParams {
  const sizes = scale.map(Math.abs);
  const least = sizes.reduce((a, b) => (b > 0 ? Math.min(a, b) : a), Number.POSITIVE_INFINITY);
  const spare = Number.isFinite(least) ? least : 1;
  return { scale: sizes.map((size) => (size > 0 ? size : spare)), zeroPoint };
}

/** Grids that post-training quantization would take: of values from what calibration saw, of weights by their algorithm. */
export async function startingGrids(model: Model, plan: Plan, stats: Stats | undefined): Promise<QatStart> {
  const roots = plan.values.filter(({ sameAs }) => sameAs === undefined);
  const weights = new Map<NodePlan, QParams>();
  for (const entry of plan.nodes) {
    const { weight, scope } = entry;
    if (weight === undefined || scope !== "" || weightLayout(weight) === undefined) continue;
    weights.set(entry, positive(await startParams(model.graph.tensors.get(weight.tensor)!, entry.form, weight)));
  }
  return { values: new Map(roots.map((value) => [value.value, gridOf(value, stats)])), weights };
}
