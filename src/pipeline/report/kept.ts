/** What stays as it was, told once per reason instead of once per node. */
import type { Kept } from "../../ir/plan.ts";

/** Groups of the same op and reason, the largest first; no group is empty. */
export function groupKept(kept: readonly Kept[]): readonly (readonly Kept[])[] {
  const groups = new Map<string, Kept[]>();
  for (const place of kept) {
    const key = JSON.stringify([place.op, place.reason]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [place]);
    else group.push(place);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}
