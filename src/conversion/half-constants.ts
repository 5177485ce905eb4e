/** Files with float16 weights have a DEQUANTIZE behind each; the weights become float32 constants in its place. */
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { renameReads } from "../passes/values.ts";
import { asFloats } from "./origins.ts";

const isHalf = (tensor: Tensor | undefined): tensor is Tensor =>
  tensor?.dtype === "float16" && tensor.quantization === undefined;

/** The same graph when there are none. A constant keeps its name. */
export function widenHalves(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const isWidening = ({ op, inputs, outputs: made }: Node): boolean =>
    op === "DEQUANTIZE" && isHalf(graph.tensors.get(inputs[0] ?? "")) && !outputs.has(made[0] ?? "");
  const found = new Set(graph.nodes.filter(isWidening));
  if (found.size === 0) return graph;
  const names = new Map([...found].map(({ inputs, outputs: made }) => [made[0]!, inputs[0]!]));
  const tensors = new Map(graph.tensors);
  for (const name of names.values()) tensors.set(name, asFloats(graph.tensors.get(name)!, "float32"));
  const nodes = graph.nodes.filter((node) => !found.has(node)).map((node) => renameReads(node, names));
  return { ...graph, nodes, tensors };
}
