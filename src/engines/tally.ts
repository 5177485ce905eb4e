/** Counting names. */
import type { OpHistogram } from "./contract.ts";

/** How often each op name occurs. */
export function tally(ops: Iterable<string>): OpHistogram {
  const counts = new Map<string, number>();
  for (const op of ops) counts.set(op, (counts.get(op) ?? 0) + 1);
  return Object.fromEntries(counts);
}
