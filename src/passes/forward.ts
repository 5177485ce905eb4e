/** Taking nodes out of a graph whose first output equals one of their inputs. */
import type { Graph, Node } from "../ir/model.ts";
import { forgetValues, renameReads } from "./values.ts";

interface Renames {
  /** Output of a removed node -> the value that takes its place. */
  readonly alias: Map<string, string>;
  /** Value -> the graph output it is renamed to. */
  readonly claimed: Map<string, string>;
  readonly removed: Set<Node>;
}

/**
 * Removes the nodes of `sources`, each replaced by the value it is mapped to. Names of graph inputs and outputs stay:
 * a removed node's output that is a graph output passes its name to the node before it, and where that can't be (an
 * input, a constant, a second output of the same value) the node stays.
 */
export function forward(graph: Graph, sources: ReadonlyMap<Node, string>): Graph {
  if (sources.size === 0) return graph;
  const renames = plan(graph, sources);
  if (renames.removed.size === 0) return graph;
  const { alias, claimed, removed } = renames;
  const names = new Map(claimed);
  for (const [name, source] of alias) names.set(name, claimed.get(source) ?? source);
  const nodes = graph.nodes
    .filter((node) => !removed.has(node))
    .map((node) => renameOutputs(renameReads(node, names), claimed));
  return { ...graph, nodes, values: forgetValues(graph.values, [...alias.keys(), ...claimed.keys()]) };
}

function plan(graph: Graph, sources: ReadonlyMap<Node, string>): Renames {
  const renames: Renames = { alias: new Map(), claimed: new Map(), removed: new Set() };
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const made = new Set<string>();
  for (const node of graph.nodes) {
    const source = sources.get(node);
    const name = node.outputs[0] ?? "";
    for (const output of node.outputs) made.add(output);
    if (source === undefined || name === "") continue;
    const origin = renames.alias.get(source) ?? source;
    if (!outputs.has(name)) renames.alias.set(name, origin);
    else if (made.has(origin) && !outputs.has(origin) && !renames.claimed.has(origin))
      renames.claimed.set(origin, name);
    else continue;
    renames.removed.add(node);
  }
  return renames;
}

function renameOutputs(node: Node, claimed: ReadonlyMap<string, string>): Node {
  if (!node.outputs.some((name) => claimed.has(name))) return node;
  return { ...node, outputs: node.outputs.map((name) => claimed.get(name) ?? name) };
}
