/**
 * A Gather of all elements of a vector in their order only gives them another shape: torch.export writes views of images with
 * channels last so (`as_strided` behind the last average of ConvNeXt and Swin).
 */
import { intAttribute } from "../ir/attributes.ts";
import { intTensor, node as makeNode } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Dim, Graph, Node, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import type { Pass } from "./pass.ts";
import { constantsIn, declared } from "./values.ts";

/** Longer lists of elements are not looked at. */
const MAX_ELEMENTS = 2 ** 20;

export const gatherToReshape: Pass = {
  name: "gather-to-reshape",
  summary: "write a Gather of everything in order as a Reshape",
  apply: async (model) => withGraph(model, await rewrite(model.graph)),
};

async function rewrite(graph: Graph): Promise<Graph> {
  const [info, constant] = [declared(graph), constantsIn(graph)];
  const shapes = new Map<Node, readonly number[]>();
  for (const node of graph.nodes) {
    if (node.op !== "Gather" || node.domain !== "") continue;
    const shape = await shapeOfAll(node, info(node.inputs[0]!)?.shape, constant(node.inputs[1]!));
    if (shape !== undefined) shapes.set(node, shape);
  }
  if (shapes.size === 0) return graph;
  const fresh = freshNames(graph);
  const tensors: Tensor[] = [];
  const nodes = graph.nodes.map((node) => {
    const shape = shapes.get(node);
    if (shape === undefined) return node;
    const tensor = intTensor(fresh(`${node.outputs[0]}_shape`), shape);
    tensors.push(tensor);
    return makeNode("Reshape", [node.inputs[0]!, tensor.name], node.outputs, { name: node.name });
  });
  return withTensors({ ...graph, nodes }, tensors);
}

/** The shape that a Gather gives a vector all of whose elements it takes in order. */
async function shapeOfAll(
  node: Node,
  data: readonly Dim[] | undefined,
  indices: Tensor | undefined,
): Promise<readonly number[] | undefined> {
  const isVector = data?.length === 1 && [0, -1].includes(intAttribute(node, "axis", 0));
  if (!isVector || indices === undefined || (indices.dtype !== "int64" && indices.dtype !== "int32")) return undefined;
  const count = elementCount(indices.shape);
  if (count !== data[0] || count > MAX_ELEMENTS || count === 0) return undefined;
  const values = typedView(await readAll(indices.data), indices.dtype);
  return values.every((value, at) => Number(value) === at) ? indices.shape : undefined;
}
