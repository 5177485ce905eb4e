/**
 * MatMul of a matrix with a constant matrix, then Add of a constant vector, becomes Gemm: the engine would do that itself,
 * but before it picks integer kernels, and the product would run in float.
 */
import { withGraph } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import { type BiasedProduct, biasedProducts } from "./matmul-bias.ts";
import type { Pass, PassContext } from "./pass.ts";
import { forgetValues } from "./values.ts";

export const fuseMatMulAdd: Pass = {
  name: "fuse-matmul-add",
  summary: "join MatMul and the Add of its bias into Gemm where the data is a matrix",
  apply: (model, context) => withGraph(model, fuse(model.graph, context)),
};

function fuse(graph: Graph, context: PassContext): Graph {
  const found = biasedProducts(graph, context).filter(({ rank }) => rank === 2);
  if (found.length === 0) return graph;
  const instead = new Map<Node, readonly Node[]>();
  for (const pair of found) {
    instead.set(pair.product, []);
    instead.set(pair.add, [gemm(pair)]);
  }
  const nodes = graph.nodes.flatMap((node) => instead.get(node) ?? [node]);
  const gone = found.flatMap(({ product }) => product.outputs);
  return { ...graph, nodes, values: forgetValues(graph.values, gone) };
}

const gemm = ({ product, add, bias }: BiasedProduct): Node => ({
  ...product,
  op: "Gemm",
  inputs: [product.inputs[0]!, product.inputs[1]!, bias.name],
  outputs: add.outputs,
});
