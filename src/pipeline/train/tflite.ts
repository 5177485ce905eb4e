/**
 * Training of TFLite models: in ONNX, where gradients are known, with the grids that LiteRT will compute with; weights and
 * grids then go back by name, and what is handed over is TFLite again.
 */
import type { Dataset } from "../../containers/data.ts";
import { weightAt } from "../../ir/dialect.ts";
import { dialectOf } from "../../ir/dialects.ts";
import type { Model } from "../../ir/model.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import { readAll } from "../../ir/source.ts";
import type { Stats } from "../../ir/stats.ts";
import { gridOf } from "../../lowering/qdq.ts";
import { fitBias } from "../../lowering/qdq-weights.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { planWith } from "../../train/qat/learned.ts";
import { refuseBadWeights } from "../bad-weights.ts";
import type { Host } from "../host.ts";
import { calibratePlan, observedValues, type Planned, planFor } from "../make.ts";
import { type Hooks, noHooks } from "../progress.ts";

import { fakeModel } from "../starting-grids.ts";
import { mirrored, untrained } from "./mirror.ts";
import { deploy, learn, type QatHost, type QatInput, type QatMade } from "./qat.ts";
import type { TrainOptions } from "./run.ts";
import { trainableForm, withTrained } from "./tflite-form.ts";

/** Scales of the channels of an integer weight, as wide as its bias needs where training made them smaller. */
async function widened({ graph }: Model, plan: Plan, entry: NodePlan, stats: Stats | undefined): Promise<NodePlan> {
  const { weight } = entry;
  const node = graph.nodes[entry.index]!;
  const row = weightAt(dialectOf({ container: "tflite" }), node, weight?.input);
  const bias = graph.tensors.get(node.inputs[row?.bias ?? -1] ?? "");
  if (entry.form !== "integer" || weight?.qparams === undefined || bias === undefined) return entry;
  const values = new Map(plan.values.map((value) => [value.value, value]));
  const data = gridOf(scaleOwner(values, node.inputs[row?.by ?? 0]!), stats);
  const scale = fitBias(weight.qparams.scale, decodeFloats(await readAll(bias.data), bias.dtype), data.scale);
  return { ...entry, weight: { ...weight, qparams: { ...weight.qparams, scale } } };
}

/** The plan in its last form: values that were not trained for a grid get one by calibration. */
async function finished(host: Host, { prepared, plan }: Planned, samples: Dataset, hooks: Hooks) {
  const observed = observedValues(plan).length > 0;
  const stats = observed ? await calibratePlan(host, prepared, plan, samples, { hooks }) : undefined;
  const nodes = await Promise.all(plan.nodes.map((entry) => widened(prepared, plan, entry, stats)));
  return { prepared, plan: { ...plan, nodes }, stats };
}

/** Schemes whose weights are codes have grids to train for. */
function refuseFloats({ nodes, scheme }: Plan): void {
  if (nodes.some(({ weight }) => weight && DTYPES[weight.scheme.dtype].kind !== "float")) return;
  fail("usage", `scheme ${scheme} has no codes to train for; train with --mode float, then quantize to ${scheme}`);
}

/**
 * Quantization-aware training of a TFLite model. `host` runs TFLite, `trainer` ONNX. The caller disposes what was staged,
 * or puts it in its place.
 */
export async function qatTflite(
  host: Host,
  trainer: QatHost,
  input: QatInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<QatMade> {
  const step = hooks.progress.step(`planning ${input.recipe.scheme.name}`);
  const { prepared, plan } = await planFor(input.model, input.recipe, host, input.evaluation.data);
  step.done(`${plan.nodes.length} nodes`);
  refuseFloats(plan);
  await refuseBadWeights(prepared);
  const samples =
    input.calibration ?? fail("usage", "quantization-aware training needs samples to find its first ranges; give them");
  const converted = await trainableForm(prepared);
  const mirror = await mirrored(prepared, plan, converted);
  const begun = { prepared: converted.model, plan: mirror.plan, samples, fixed: mirror.fixed };
  const observed = observedValues(mirror.plan).length > 0;
  const stats = observed ? await calibratePlan(trainer, converted.model, mirror.plan, samples, { hooks }) : undefined;
  const { point, losses } = await learn(trainer, { ...begun, stats }, input.training, hooks, options);
  const grids = mirror.grids(point.grids);
  const left = untrained(plan, grids);
  if (left > 0) hooks.progress.note(`${left} weights have no equal in ONNX and were not trained for their grids`);
  const back = withTrained(prepared, converted, point.model);
  const learned = await finished(host, { prepared: back, plan: planWith(plan, grids) }, samples, hooks);
  const fake = fakeModel(point, mirror.plan);
  return { ...(await deploy(host, input, { ...learned, fake }, hooks, trainer)), losses };
}
