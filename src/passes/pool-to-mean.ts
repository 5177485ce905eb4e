/**
 * TFLite: an average over the whole image as MEAN. The integer AVERAGE_POOL_2D must keep the scale of what it reads, far
 * too coarse for averages; MEAN has one of its own (LiteRT 8-bit quantization specification).
 */
import { intAttribute, stringAttribute } from "../ir/attributes.ts";
import { node as makeNode, tensor } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import type { Pass } from "./pass.ts";
import { declared } from "./values.ts";

export const poolToMean: Pass = {
  name: "pool-to-mean",
  summary: "average whole images with MEAN, whose integer form has a scale of its own",
  apply: (model) => withGraph(model, rewritten(model.graph)),
};

/** One window that covers all rows and columns, and nothing done behind it. */
function isGlobal(graph: Graph): (node: Node) => boolean {
  const typeOf = declared(graph);
  return (node) => {
    if (node.op !== "AVERAGE_POOL_2D" || node.domain !== "") return false;
    const [, height, width] = typeOf(node.inputs[0]!)?.shape ?? [];
    const [, rows, columns] = typeOf(node.outputs[0]!)?.shape ?? [];
    const covers = intAttribute(node, "filter_height", 0) === height && intAttribute(node, "filter_width", 0) === width;
    return covers && rows === 1 && columns === 1 && isPlain(node);
  };
}

const isPlain = (node: Node): boolean =>
  stringAttribute(node, "padding", "SAME") === "VALID" &&
  stringAttribute(node, "fused_activation_function", "NONE") === "NONE";

function rewritten(graph: Graph): Graph {
  const wanted = graph.nodes.filter(isGlobal(graph));
  if (wanted.length === 0) return graph;
  const axes: Tensor = tensor(freshNames(graph)("image_axes"), "int32", [2], Int32Array.of(1, 2));
  const mean = ({ inputs, outputs }: Node): Node =>
    makeNode("MEAN", [inputs[0]!, axes.name], outputs, { attributes: { keep_dims: 1 } });
  const nodes = graph.nodes.map((node) => (wanted.includes(node) ? mean(node) : node));
  return withTensors({ ...graph, nodes }, [axes]);
}
