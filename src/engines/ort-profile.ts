/**
 * ONNX Runtime's profile: one record per node and run. It looks like JSON, but names of nodes stand in it unescaped,
 * so each record is taken apart by the keys around the name.
 */
import type { NodeTime } from "./contract.ts";

/** Category, microseconds, name of the node; what follows are the arguments. */
const KERNEL = /^"cat"\s*:\s*"Node",.*?"dur"\s*:\s*(\d+),.*?"name"\s*:\s*"(.*)_kernel_time",\s*"args"\s*:\s*\{(.*)$/s;
const OP = /"op_name"\s*:\s*"([^"]*)"/;
const INDEX = /"node_index"\s*:\s*"(\d+)"/;

/** Time by node of the optimized graph, in the order of first execution. */
export function nodeTimes(profile: string): readonly NodeTime[] {
  const found = new Map<string, NodeTime>();
  for (const record of profile.split("\n{")) {
    const [, micros, node = "", args = ""] = KERNEL.exec(record) ?? [];
    if (micros === undefined) continue;
    const op = OP.exec(args)?.[1] ?? "";
    const key = `${INDEX.exec(args)?.[1]} ${op} ${node}`;
    const before = found.get(key);
    found.set(key, { node, op, ms: (before?.ms ?? 0) + Number(micros) / 1000, runs: (before?.runs ?? 0) + 1 });
  }
  return [...found.values()];
}
