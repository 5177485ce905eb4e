/** Finds MatMul by a constant matrix whose only reader adds a constant vector. */
import type { Graph, Node, Tensor } from "../ir/model.ts";
import type { PassContext } from "./pass.ts";
import { constantsIn, declared, type FindConstant, useCounts } from "./values.ts";

export interface BiasedProduct {
  readonly product: Node;
  readonly add: Node;
  /** Input of `add` that is the bias. */
  readonly input: number;
  /** One number per column of the weight, shape [N]. */
  readonly bias: Tensor;
  /** Rank of the data, and so of the product; undefined when neither the model nor a run tells. */
  readonly rank: number | undefined;
}

export function biasedProducts(graph: Graph, { types }: PassContext): readonly BiasedProduct[] {
  const constant = constantsIn(graph);
  const uses = useCounts(graph);
  const info = declared(graph);
  const rank = (name: string) => info(name)?.shape?.length ?? types?.get(name)?.shape.length;
  const products = new Map<string, Node>();
  const found: BiasedProduct[] = [];
  for (const node of graph.nodes) {
    const name = node.outputs[0] ?? "";
    if (isProduct(node, constant) && uses.get(name) === 1 && !graph.grids?.has(name)) products.set(name, node);
    const input = node.op === "Add" && node.domain === "" ? 1 - node.inputs.findIndex((name) => products.has(name)) : 2;
    const product = products.get(node.inputs[1 - input] ?? "");
    const bias = constant(node.inputs[input] ?? "");
    if (product === undefined || bias?.shape.length !== 1) continue;
    if (bias.shape[0] === constant(product.inputs[1]!)!.shape[1])
      found.push({ product, add: node, input, bias, rank: rank(product.inputs[0]!) });
  }
  return found;
}

function isProduct(node: Node, constant: FindConstant): boolean {
  if (node.op !== "MatMul" || node.domain !== "") return false;
  const weight = constant(node.inputs[1]!);
  return weight?.dtype === "float32" && weight.shape.length === 2;
}
