/** Removes nodes whose outputs nobody reads, and initializers that no node needs any more. */
import { mapGraphs, reads, withGraph } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import type { Pass } from "./pass.ts";
import { forgetValues } from "./values.ts";

export const dropUnused: Pass = {
  name: "drop-unused",
  summary: "remove nodes and initializers nothing depends on",
  apply: (model) => withGraph(model, mapGraphs(model.graph, prune)),
};

/** A node without any output can only be there for what else it does. */
const isWanted = (node: Node, live: ReadonlySet<string>): boolean =>
  node.outputs.some((name) => live.has(name)) || node.outputs.every((name) => name === "");

/** Tensors that hold the scales and zero points of other ones, which no node reads. */
const gridTensors = ({ tensors, values }: Graph, live: ReadonlySet<string>): readonly string[] =>
  [...tensors.values(), ...values.values()]
    .filter(({ name }) => live.has(name))
    .flatMap(({ quantization }) => [quantization?.blocks?.scales ?? "", quantization?.blocks?.zeroPoints ?? ""]);

function prune(graph: Graph): Graph {
  const live = new Set(graph.outputs.map((output) => output.name));
  const kept: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (!isWanted(node, live)) continue;
    kept.push(node);
    for (const name of reads(node)) live.add(name);
  }
  for (const { name } of graph.inputs) live.add(name);
  for (const name of gridTensors(graph, live)) live.add(name);
  const unused = [...graph.tensors.keys()].filter((name) => !live.has(name));
  if (kept.length === graph.nodes.length && unused.length === 0) return graph;
  const gone = new Set(kept);
  const lost = graph.nodes.filter((node) => !gone.has(node)).flatMap((node) => node.outputs);
  const tensors = new Map([...graph.tensors].filter(([name]) => live.has(name)));
  return { ...graph, nodes: kept.reverse(), tensors, values: forgetValues(graph.values, [...lost, ...unused]) };
}
