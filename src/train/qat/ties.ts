/**
 * Scales kept off ties. A sum of products of codes times M, the scale of the data times that of the weight over that of the
 * output, is a code of the output (Jacob et al., arXiv:1712.05877, section 2.2). Where M is all but a fraction with a small even
 * denominator, many sums lie half way between two codes, and what rounds them is the error of the arithmetic: integer kernels and
 * sums of floats give other codes, layer after layer more of them.
 */
import type { Graph } from "../../ir/model.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import { unclampedIn } from "../../ir/removed-clamps.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import type { QatStart } from "./insert.ts";

/** With a larger denominator ties are rare: one sum in so many. */
const LARGEST_DENOMINATOR = 256;
/** How near to a fraction, as a share of it, errors of float32 sums reach to the ties. */
const NEAR = 1e-5;
/** Shares by which a scale is moved, tried in order. */
const MOVES = [2e-5, 4e-5, 6e-5];

/**
 * The side of a fraction with a small even denominator that `factor` lies on, next to it: 1 or -1. Whole multiples of it often
 * lie half way between two integers. 0 where there is no such fraction.
 */
export function sideOfTies(factor: number): number {
  for (let denominator = 2; denominator <= LARGEST_DENOMINATOR; denominator += 2) {
    const numerator = Math.round(factor * denominator);
    const apart = factor * denominator - numerator;
    if (numerator % 2 === 1 && Math.abs(apart) <= NEAR * numerator) return apart < 0 ? -1 : 1;
  }
  return 0;
}

/** Farther away on the side where it is: sums are rounded as they were while the network learned. */
function factorOff(factor: number): number {
  const side = sideOfTies(factor);
  return side === 0 ? 1 : 1 + side * (MOVES.find((share) => sideOfTies(factor * (1 + side * share)) === 0) ?? 0);
}

/**
 * What scales of weights have to be multiplied by, index by index, so that their products do not often lie half way between two
 * codes of what they make; only weights where that is so for some.
 */
export function tieFactors(graph: Graph, plan: Plan, grids: QatStart): ReadonlyMap<NodePlan, Float32Array> {
  const planned = plan.nodes
    .filter(({ scope, form }) => scope === "" && form === "qdq")
    .map((entry) => [graph.nodes[entry.index]!, entry] as const);
  const unclamped = unclampedIn(planned);
  const values = new Map(plan.values.map((value) => [value.value, value]));
  const scaleOf = (name: string): number | undefined =>
    values.has(name) ? grids.values.get(scaleOwner(values, name).value)?.scale : undefined;
  const found = new Map<NodePlan, Float32Array>();
  for (const [node, entry] of planned) {
    const made = node.outputs[0]!;
    const [data, output] = [scaleOf(node.inputs[0]!), scaleOf(unclamped.get(made) ?? made)];
    if (data === undefined || output === undefined) continue;
    const factors = grids.weights.get(entry)?.scale.map((scale) => factorOff((scale * data) / output));
    if (factors?.some((factor) => factor !== 1)) found.set(entry, factors);
  }
  return found;
}
