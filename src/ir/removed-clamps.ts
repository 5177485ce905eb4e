/** Clamps that are not written, for the grid of their output does what they do; the plan marks them. */
import type { Node } from "./model.ts";
import type { NodePlan } from "./plan.ts";

/** Whether a planned node is such a clamp. */
export const isRemoved = (entry: NodePlan | undefined): boolean => entry?.options?.removed === 1;

/** What removed clamps give by what they read: who makes the latter makes the former instead. */
export const unclampedIn = (planned: Iterable<readonly [Node, NodePlan]>): ReadonlyMap<string, string> =>
  new Map(
    Array.from(planned)
      .filter(([, entry]) => isRemoved(entry))
      .map(([{ inputs, outputs }]) => [inputs[0]!, outputs[0]!]),
  );
