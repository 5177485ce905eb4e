/** Ranges of constants that values are added to or multiplied by: they have to be read for that. */
import type { Model, Tensor } from "../ir/model.ts";
import type { Plan, ValuePlan } from "../ir/plan.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";

/** The plan with a range for each constant that has no grid of its own. */
export async function withConstantRanges(plan: Plan, { graph }: Model): Promise<Plan> {
  const ranged = async (value: ValuePlan): Promise<ValuePlan> =>
    value.constant === undefined || value.qparams !== undefined || value.sameAs !== undefined
      ? value
      : { ...value, range: await extentOf(graph.tensors.get(value.value)!) };
  return { ...plan, values: await Promise.all(plan.values.map(ranged)) };
}

/** Smallest and largest element, and zero between them. */
async function extentOf({ data, dtype }: Tensor): Promise<readonly [number, number]> {
  const values = decodeFloats(await readAll(data), dtype);
  return [values.reduce((a, b) => Math.min(a, b), 0), values.reduce((a, b) => Math.max(a, b), 0)];
}
