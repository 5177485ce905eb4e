/** Float Constant nodes as initializers, so that each reader can have the precision it needs. */
import { tensorAttribute } from "../../ir/attributes.ts";
import { floatTensor } from "../../ir/build.ts";
import { mapGraphs, withTensors } from "../../ir/edit.ts";
import type { Graph, Node, Tensor } from "../../ir/model.ts";

/** The float32 value of a Constant node under the name of its output. */
function constantTensor(node: Node): Tensor | undefined {
  const name = node.outputs[0] ?? "";
  if (node.op !== "Constant" || node.domain !== "" || name === "") return undefined;
  const { value_float: one, value_floats: many } = node.attributes;
  if (one?.type === "float") return floatTensor(name, [], [one.value]);
  if (many?.type === "floats") return floatTensor(name, [many.value.length], many.value);
  const tensor = tensorAttribute(node, "value");
  return tensor?.dtype === "float32" ? { ...tensor, name } : undefined;
}

/** The same graph with its float32 Constant nodes, and those of its sub-graphs, turned into initializers. */
export const liftConstants = (root: Graph): Graph =>
  mapGraphs(root, (graph) => {
    const lifted = new Map(graph.nodes.map((node) => [node, constantTensor(node)] as const));
    const tensors = [...lifted.values()].filter((tensor) => tensor !== undefined);
    if (tensors.length === 0) return graph;
    return withTensors({ ...graph, nodes: graph.nodes.filter((node) => lifted.get(node) === undefined) }, tensors);
  });
