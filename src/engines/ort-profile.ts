/** ONNX Runtime's profile: a JSON list with one record per node and run. */
import { fail } from "../numeric/errors.ts";
import type { NodeTime } from "./contract.ts";

interface Event {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args: { readonly op_name?: string; readonly node_index?: string };
}

const KERNEL = "_kernel_time";

function parse(text: string): readonly Event[] {
  try {
    return JSON.parse(text) as readonly Event[];
  } catch (cause) {
    return fail("engine", "the engine's profile is not readable", cause);
  }
}

/** Time by node of the optimized graph, in the order of first execution. */
export function nodeTimes(text: string): readonly NodeTime[] {
  const found = new Map<string, NodeTime>();
  for (const { cat, name, dur, args } of parse(text)) {
    if (cat !== "Node" || !name.endsWith(KERNEL)) continue;
    const node = name.slice(0, -KERNEL.length);
    const op = args.op_name ?? "";
    const key = `${args.node_index} ${op} ${node}`;
    const before = found.get(key);
    found.set(key, { node, op, ms: (before?.ms ?? 0) + dur / 1000, runs: (before?.runs ?? 0) + 1 });
  }
  return [...found.values()];
}
