/** Step 5: does what the plan says. Weights become codes when the result is written, one tensor at a time. */
import type { GraphContainer, Model, Node } from "../ir/model.ts";
import type { NodePlan, Plan } from "../ir/plan.ts";
import type { Stats } from "../ir/stats.ts";
import { toFloat16 } from "../lowering/float16.ts";
import { lowerNodes } from "../lowering/index.ts";
import { lowerStatic } from "../lowering/qdq.ts";
import { lowerTflite } from "../lowering/tflite/index.ts";
import { dropUnused } from "../passes/drop-unused.ts";
import type { Finding } from "./result.ts";

/** The new model, its weights still to be computed, and what there is to say about it. */
export interface Quantized {
  readonly model: Model;
  readonly findings: readonly Finding[];
}

/** `model` must be the one the plan was made for. Statistics are needed when the plan has values without a fixed range. */
export async function quantize(model: Model, plan: Plan, stats?: Stats): Promise<Quantized> {
  const lowered = await LOWERINGS[model.container](model, plan, stats);
  const tidy = await dropUnused.apply(lowered, {});
  const findings = infinities(plan, stats);
  if (plan.float16 === undefined) return { model: tidy, findings };
  const half = await toFloat16(tidy, { rules: plan.float16 });
  return { model: half.model, findings: [...findings, ...half.findings] };
}

type Lowering = (model: Model, plan: Plan, stats: Stats | undefined) => Promise<Model>;

const LOWERINGS: Readonly<Record<GraphContainer, Lowering>> = {
  onnx: (model, plan, stats) => lowerStatic(lowerNodes(model, plan), plan, staticNodes(model, plan), stats),
  tflite: lowerTflite,
};

/** A grid has no code for infinity: masks that use it become the grid's end. */
const infinities = (plan: Plan, stats: Stats | undefined): readonly Finding[] =>
  plan.values
    .filter(({ value }) => (stats?.values[value]?.infinite ?? 0) > 0)
    .map(({ value }) => ({
      severity: "warning",
      code: "infinite-values",
      message: `value "${value}" was infinite in calibration; its grid ends at the largest finite value`,
      remedy: "keep the nodes that read it in float with --keep if the outputs suffer",
    }));

/** Nodes of the static form by identity: other lowerings shift positions, not the nodes they leave alone. */
const staticNodes = (model: Model, plan: Plan): ReadonlyMap<Node, NodePlan> =>
  new Map(
    plan.nodes.filter(({ form }) => form === "qdq").map((entry) => [model.graph.nodes[entry.index]!, entry] as const),
  );
