/**
 * Scales kept off ties. A sum of products of codes times M, the scale of the data times that of the weight over that of the
 * output, is a code of the output (Jacob et al., arXiv:1712.05877, section 2.2). Where M is all but a fraction with a small even
 * denominator, many sums lie half way between two codes, and what rounds them is the error of the arithmetic: integer kernels and
 * sums of floats give other codes, layer after layer more of them.
 */
import type { Graph, Model } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
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

/** Farther away on the side where it is: most sums are rounded as they were while the network learned. */
function offTies(scale: number, rest: number): number {
  const side = sideOfTies(scale * rest);
  if (side === 0) return scale;
  const moved = MOVES.map((share) => Math.fround(scale * (1 + side * share)));
  return moved.find((found) => sideOfTies(found * rest) === 0) ?? scale;
}

/** A product and its sums' values: a weight that several nodes read is left alone, for what helps one may not help the others. */
interface Site {
  readonly entry: NodePlan;
  readonly data: string;
  readonly output: string;
}

function sitesOf(graph: Graph, plan: Plan): readonly Site[] {
  const planned = plan.nodes
    .filter(({ scope }) => scope === "")
    .map((entry) => [graph.nodes[entry.index]!, entry] as const);
  const unclamped = unclampedIn(planned);
  const uses = (tensor: string): number => graph.nodes.filter(({ inputs }) => inputs.includes(tensor)).length;
  return planned.flatMap(([node, entry]): Site[] => {
    const isProduct = entry.form === "qdq" && ONNX.row(node)?.static(node).as === "compute";
    if (!isProduct || entry.weight === undefined || uses(entry.weight.tensor) !== 1) return [];
    const made = node.outputs[0]!;
    return [{ entry, data: node.inputs[0]!, output: unclamped.get(made) ?? made }];
  });
}

/** `grids` with those scales of weights moved a little whose products often lie half way between two codes of what they make. */
export function keptOffTies({ graph }: Model, plan: Plan, grids: QatStart): QatStart {
  const values = new Map(plan.values.map((value) => [value.value, value]));
  const scaleOf = (name: string): number | undefined =>
    values.has(name) ? grids.values.get(scaleOwner(values, name).value)?.scale : undefined;
  const weights = new Map(grids.weights);
  for (const { entry, ...site } of sitesOf(graph, plan)) {
    const [given, data, output] = [weights.get(entry), scaleOf(site.data), scaleOf(site.output)];
    if (given === undefined || data === undefined || output === undefined) continue;
    weights.set(entry, { ...given, scale: given.scale.map((scale) => offTies(scale, data / output)) });
  }
  return { ...grids, weights };
}
