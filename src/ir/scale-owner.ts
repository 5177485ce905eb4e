/** Whose scale a value has. */
import { fail } from "../numeric/errors.ts";
import type { ValuePlan } from "./plan.ts";

/** The plan whose grid a planned value has: its own, or at the end of a chain of `sameAs`. */
export function scaleOwner(values: ReadonlyMap<string, ValuePlan>, name: string): ValuePlan {
  let at = values.get(name) ?? fail("graph", `plan: value "${name}" has no plan`);
  while (at.sameAs !== undefined)
    at = values.get(at.sameAs) ?? fail("graph", `plan: "${at.value}" shares the scale of unplanned "${at.sameAs}"`);
  return at;
}
