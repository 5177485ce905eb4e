/**
 * The bias of a MatMul over stacked matrices gets leading dimensions of one. The engine joins MatMul and Add into a float
 * Gemm only where the bias is a vector (MatMulAddFusion, ONNX Runtime 1.30); without that the product runs in integers
 * and hands out floats, which spares one rounding to 8 bits.
 */
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { type BiasedProduct, biasedProducts } from "./matmul-bias.ts";
import type { Pass, PassContext } from "./pass.ts";

export const widenBias: Pass = {
  name: "widen-bias",
  summary: "shape the bias of stacked matrix products so that the engine keeps them in integers",
  apply: (model, context) => withGraph(model, widen(model.graph, context)),
};

function widen(graph: Graph, context: PassContext): Graph {
  const fresh = freshNames(graph);
  const copies = new Map<string, Tensor>();
  const instead = new Map<Node, Node>();
  for (const { add, input, bias, rank } of biasedProducts(graph, context)) {
    if (rank === undefined || rank < 3) continue;
    const key = `${bias.name} ${rank}`;
    const copy = copies.get(key) ?? wide(bias, rank, fresh);
    copies.set(key, copy);
    instead.set(add, { ...add, inputs: add.inputs.map((name, index) => (index === input ? copy.name : name)) });
  }
  if (instead.size === 0) return graph;
  const nodes = graph.nodes.map((node) => instead.get(node) ?? node);
  return withTensors({ ...graph, nodes }, [...copies.values()]);
}

const wide = ({ name, dtype, shape, data }: BiasedProduct["bias"], rank: number, fresh: (wish: string) => string) => ({
  name: fresh(`${name}_wide`),
  dtype,
  shape: [...new Array<number>(rank - 1).fill(1), shape[0]!],
  data,
});
