/** Copies of nodes whose values get names of their own, sub-graphs included: bodies of functions and loops. */
import { mapSubgraphs } from "../../ir/edit.ts";
import type { Graph, Node, Tensor, ValueInfo } from "../../ir/model.ts";

/** Old names -> new ones. A name that is not here is one of a graph around the copy and stays. */
export type Names = ReadonlyMap<string, string>;

type Fresh = (wish: string) => string;

/** Maps every name to a fresh one. */
function renamed(names: Names, defined: Iterable<string>, fresh: Fresh): Map<string, string> {
  const all = new Map(names);
  for (const name of defined) if (name !== "") all.set(name, fresh(name));
  return all;
}

/** The same type under another name. */
const infoOf = (info: ValueInfo, names: Names): ValueInfo => ({ ...info, name: names.get(info.name) ?? info.name });

/** Constants under new names. */
export const copyTensors = (tensors: Iterable<Tensor>, names: Names): readonly Tensor[] =>
  [...tensors].map((tensor) => ({ ...tensor, name: names.get(tensor.name) ?? tensor.name }));

function copyGraph(graph: Graph, outer: Names, fresh: Fresh): Graph {
  const starts = [...graph.inputs.map(({ name }) => name), ...graph.tensors.keys()];
  const { nodes, names } = copyNodes(graph.nodes, renamed(outer, starts, fresh), fresh);
  const tensors = copyTensors(graph.tensors.values(), names);
  const values = [...graph.values.values()].map((info) => infoOf(info, names));
  return {
    ...{ ...graph, nodes },
    inputs: graph.inputs.map((info) => infoOf(info, names)),
    outputs: graph.outputs.map((info) => infoOf(info, names)),
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    values: new Map(values.map((info) => [info.name, info])),
  };
}

/** Copies of nodes that read `names` where they read old ones, and the names of all values once they are made. */
export function copyNodes(nodes: readonly Node[], names: Names, fresh: Fresh) {
  const all = renamed(
    names,
    nodes.flatMap(({ outputs }) => outputs),
    fresh,
  );
  const map = (name: string) => all.get(name) ?? name;
  const copies = nodes.map((node) => ({
    ...mapSubgraphs(node, (graph) => copyGraph(graph, all, fresh)),
    name: node.name === "" ? "" : fresh(node.name),
    inputs: node.inputs.map(map),
    outputs: node.outputs.map(map),
  }));
  return { nodes: copies, names: all as Names };
}
