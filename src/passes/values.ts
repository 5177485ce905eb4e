/** What passes ask about the values of a graph, and renaming. */
import { graphs, mapSubgraphs, reads } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../ir/model.ts";

/** Finds the constant of a name that nodes of one graph read; undefined for anything computed or fed. */
export type FindConstant = (name: string) => Tensor | undefined;

/** Names a graph defines itself. */
export const definitions = (graph: Graph): ReadonlySet<string> =>
  new Set([
    ...graph.inputs.map((input) => input.name),
    ...graph.tensors.keys(),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);

/** An initializer that is also a graph input is a default value the caller may replace, so not a constant. */
export function constantsIn(graph: Graph, outside: FindConstant = () => undefined): FindConstant {
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  return (name) => {
    if (name === "" || inputs.has(name) || made.has(name)) return undefined;
    return graph.tensors.get(name) ?? outside(name);
  };
}

const parentScope = (scope: string): string | undefined =>
  scope === "" ? undefined : scope.includes("/") ? scope.slice(0, scope.lastIndexOf("/")) : "";

/** For each scope the constants its nodes can read: its own and those of the graphs around it. */
export function visibleConstants(model: Model): (scope: string) => FindConstant {
  const found = new Map<string, FindConstant>();
  for (const { scope, graph } of graphs(model.graph)) {
    const parent = parentScope(scope);
    found.set(scope, constantsIn(graph, parent === undefined ? undefined : found.get(parent)));
  }
  return (scope) => found.get(scope) ?? (() => undefined);
}

/** Declared type of a value of this graph: input, output or value_info. */
export function declared(graph: Graph): (name: string) => ValueInfo | undefined {
  const ends = new Map([...graph.outputs, ...graph.inputs].map((info) => [info.name, info]));
  return (name) => ends.get(name) ?? graph.values.get(name);
}

/** How often nodes and graph outputs read each value; captures by sub-graphs count once per node. */
export function useCounts(graph: Graph): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const node of graph.nodes) for (const name of reads(node)) count(name);
  for (const { name } of graph.outputs) count(name);
  return counts;
}

/** True when nothing reads these outputs of a node. */
export function isUnread(graph: Graph): (names: readonly string[]) => boolean {
  const read = new Set([...graph.nodes.flatMap(reads), ...graph.outputs.map((output) => output.name)]);
  return (names) => names.every((name) => name === "" || !read.has(name));
}

type Names = ReadonlyMap<string, string>;

/** The node reading other names, captures of its sub-graphs included; the same node when it reads none of them. */
export function renameReads(node: Node, names: Names): Node {
  const inner = mapSubgraphs(node, (graph) => renameFree(graph, names));
  if (!inner.inputs.some((name) => names.has(name))) return inner;
  return { ...inner, inputs: inner.inputs.map((name) => names.get(name) ?? name) };
}

function renameFree(graph: Graph, names: Names): Graph {
  const own = definitions(graph);
  const free = new Map([...names].filter(([name]) => !own.has(name)));
  if (free.size === 0) return graph;
  const nodes = graph.nodes.map((node) => renameReads(node, free));
  const outputs = graph.outputs.map((info) => (free.has(info.name) ? { ...info, name: free.get(info.name)! } : info));
  const same = nodes.every((node, index) => node === graph.nodes[index]);
  return same && outputs.every((info, index) => info === graph.outputs[index]) ? graph : { ...graph, nodes, outputs };
}

/** `values` without the declared types of these names. */
export function forgetValues(values: Graph["values"], names: Iterable<string>): Graph["values"] {
  const gone = [...names].filter((name) => values.has(name));
  if (gone.length === 0) return values;
  const left = new Map(values);
  for (const name of gone) left.delete(name);
  return left;
}
