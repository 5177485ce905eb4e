/** The step between calibrating and quantizing where a scheme has few codes: see `matchMoments`. */
import type { Dataset } from "../containers/data.ts";
import type { Model } from "../ir/model.ts";
import type { Plan } from "../ir/plan.ts";
import { isCoarse } from "../ir/scheme.ts";
import type { Stats } from "../ir/stats.ts";
import type { Host } from "./host.ts";
import { matchMoments } from "./match.ts";
import type { Hooks } from "./progress.ts";
import { startingGrids } from "./starting-grids.ts";

/** The part of a plan that computes in integers. Weight-only forms need no samples, and their weights are never all looked at. */
const inIntegers = (plan: Plan): Plan => ({ ...plan, nodes: plan.nodes.filter(({ form }) => form === "qdq") });

/** Few codes, of weights or of values, on grids that were searched; those that a model brought along were trained. */
function needsMatching({ nodes, values }: Plan): boolean {
  const weights = nodes.flatMap(({ weight }) => (weight === undefined ? [] : [weight]));
  const schemes = [...weights, ...values].map(({ scheme }) => scheme);
  const given = weights.some(({ qparams }) => qparams !== undefined);
  return weights.length > 0 && !given && schemes.some(isCoarse);
}

/** The model whose weights are to be quantized, and the plan with the scales that belong to them. */
export interface Corrected {
  readonly model: Model;
  readonly plan: Plan;
}

const withNote = (plan: Plan, note: string): Plan => ({ ...plan, notes: [...plan.notes, note] });

/** The same model and plan where nothing is coarse; without samples a note says that they would have helped. */
export async function correct(
  host: Pick<Host, "engine" | "stage" | "threads">,
  { model, plan }: Corrected,
  stats: Stats | undefined,
  samples: Dataset | undefined,
  hooks: Hooks,
): Promise<Corrected> {
  const integers = inIntegers(plan);
  if (!needsMatching(integers)) return { model, plan };
  if (samples === undefined) return { model, plan: withNote(plan, "match: layers stay as they are without samples") };
  const start = { model, grids: await startingGrids(model, integers, stats) };
  const { point, layers, reason } = await matchMoments(host, start, integers, samples, hooks);
  if (layers === 0) return { model, plan: reason ? withNote(plan, `match: layers stay as they are, ${reason}`) : plan };
  const nodes = plan.nodes.map((entry) => {
    const qparams = point.grids.weights.get(entry);
    const same = qparams === undefined || qparams === start.grids.weights.get(entry);
    return entry.weight === undefined || same ? entry : { ...entry, weight: { ...entry.weight, qparams } };
  });
  const note = `match: ${layers} layers have the means and spreads of the float model`;
  return { model: point.model, plan: withNote({ ...plan, nodes }, note) };
}
