/**
 * MatMul of a matrix with a constant matrix, then Add of a constant vector, becomes Gemm: the engine would do that itself,
 * but after the choice of integer kernels, and the product would run in float.
 */
import { withGraph } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import type { Pass, PassContext } from "./pass.ts";
import { constantsIn, declared, type FindConstant, forgetValues, useCounts } from "./values.ts";

export const fuseMatMulAdd: Pass = {
  name: "fuse-matmul-add",
  summary: "join MatMul and the Add of its bias into Gemm where the data is a matrix",
  apply: (model, context) => withGraph(model, fuse(model.graph, context)),
};

interface Product {
  readonly node: Node;
  readonly columns: number;
}

function fuse(graph: Graph, context: PassContext): Graph {
  const constant = constantsIn(graph);
  const uses = useCounts(graph);
  const rank = rankOf(graph, context);
  const products = new Map<string, Product>();
  const fused = new Map<Node, Node | undefined>();
  for (const node of graph.nodes) {
    const product = asProduct(node, constant, rank);
    if (product !== undefined && uses.get(node.outputs[0]!) === 1) products.set(node.outputs[0]!, product);
    const found = asBias(node, products, constant);
    if (found === undefined) continue;
    fused.set(found.product, undefined);
    fused.set(node, gemm(found.product, node, found.bias));
  }
  if (fused.size === 0) return graph;
  const nodes = graph.nodes.flatMap((node) => (fused.has(node) ? (fused.get(node) ?? []) : [node]));
  const gone = [...fused].flatMap(([node, next]) => (next === undefined ? node.outputs : []));
  return { ...graph, nodes, values: forgetValues(graph.values, gone) };
}

function rankOf(graph: Graph, { types }: PassContext): (name: string) => number | undefined {
  const info = declared(graph);
  return (name) => info(name)?.shape?.length ?? types?.get(name)?.shape.length;
}

function asProduct(
  node: Node,
  constant: FindConstant,
  rank: (name: string) => number | undefined,
): Product | undefined {
  if (node.op !== "MatMul" || node.domain !== "") return undefined;
  const weight = constant(node.inputs[1]!);
  const isMatrix = weight?.dtype === "float32" && weight.shape.length === 2;
  return isMatrix && rank(node.inputs[0]!) === 2 ? { node, columns: weight.shape[1]! } : undefined;
}

function asBias(node: Node, products: ReadonlyMap<string, Product>, constant: FindConstant) {
  if (node.op !== "Add" || node.domain !== "") return undefined;
  const at = node.inputs.findIndex((name) => products.has(name));
  const product = products.get(node.inputs[at] ?? "");
  const bias = node.inputs[1 - at] ?? "";
  const shape = constant(bias)?.shape;
  if (product === undefined || shape?.length !== 1 || shape[0] !== product.columns) return undefined;
  return { product: product.node, bias };
}

const gemm = (product: Node, add: Node, bias: string): Node => ({
  ...product,
  op: "Gemm",
  inputs: [product.inputs[0]!, product.inputs[1]!, bias],
  outputs: add.outputs,
});
