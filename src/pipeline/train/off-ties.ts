/** A trained point whose sums of products do not lie half way between two codes more often than chance has it. */
import type { Plan } from "../../ir/plan.ts";
import { tieFactors } from "../../train/qat/ties.ts";
import { corrected, sitesOf } from "../match.ts";
import type { Point } from "../starting-grids.ts";

/** Weights and biases go along with the scales that are moved: no code of them changes. */
export async function keptOffTies(point: Point, plan: Plan): Promise<Point> {
  const factors = tieFactors(point.model.graph, plan, point.grids);
  let kept = point;
  for (const site of sitesOf(point.model, plan)) {
    const found = factors.get(site.entry);
    if (found !== undefined) kept = await corrected(kept, site, found, new Float32Array(found.length));
  }
  return kept;
}
