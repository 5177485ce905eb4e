/**
 * ReduceMean over all places of an image becomes GlobalAveragePool, which runs in integers: exporters write `x.mean((2, 3))`
 * as the former, in front of classifiers and in squeeze-and-excitation.
 */
import { intAttribute, intsAttribute } from "../ir/attributes.ts";
import { node as makeNode } from "../ir/build.ts";
import { freshNames, withGraph } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import { IMAGE_RANK, imageShapes } from "./image-shape.ts";
import { integers } from "./lazy-constants.ts";
import type { Pass, PassContext } from "./pass.ts";
import { constantsIn, type FindConstant } from "./values.ts";

export const meanToPool: Pass = {
  name: "mean-to-pool",
  summary: "write means over images as pools, which run in integers",
  apply: async (model, context) => withGraph(model, await rewrite(model.graph, context)),
};

async function rewrite(graph: Graph, context: PassContext): Promise<Graph> {
  const constant = constantsIn(graph);
  const shapeOf = imageShapes(graph, context);
  const fresh = freshNames(graph);
  const pool = async (node: Node): Promise<readonly Node[]> => {
    const isImage = node.op === "ReduceMean" && node.domain === "" && shapeOf(node.inputs[0]!)?.rank === IMAGE_RANK;
    if (!isImage || !(await coversPlaces(node, constant))) return [node];
    if (keepsAxes(node)) return [pooled(node, node.outputs[0]!)];
    // a grid of the mean's own belongs to what the pool gives, and not to a matrix made of it
    return graph.grids?.has(node.outputs[0]!) ? [node] : flattened(node, fresh(`${node.outputs[0]}_pooled`));
  };
  const nodes = (await Promise.all(graph.nodes.map(pool))).flat();
  return nodes.every((node, index) => node === graph.nodes[index]) ? graph : { ...graph, nodes };
}

const keepsAxes = (node: Node): boolean => intAttribute(node, "keepdims", 1) === 1;

/** Whether the mean is one over rows and columns. */
async function coversPlaces(node: Node, constant: FindConstant): Promise<boolean> {
  const axes = intsAttribute(node, "axes") ?? (await integers(constant(node.inputs[1] ?? "")));
  const places = new Set(axes?.map((axis) => (axis < 0 ? axis + IMAGE_RANK : axis)));
  return places.size === 2 && places.has(2) && places.has(3);
}

const pooled = ({ inputs, name }: Node, output: string): Node =>
  makeNode("GlobalAveragePool", [inputs[0]!], [output], { name });

const flattened = (node: Node, image: string): readonly Node[] => [
  pooled(node, image),
  makeNode("Flatten", [image], node.outputs),
];
