/**
 * AveragePool over small windows becomes a depthwise convolution: its equal weights are exact in 8 bits, and the engine's
 * integer pool is some 15 times slower (3x3 windows, ONNX Runtime 1.30 CPU, scripts/peers/qdq-speed.py).
 */
import { intAttribute, intsAttribute, stringAttribute } from "../ir/attributes.ts";
import { floatTensor } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { imageShapes } from "./image-shape.ts";
import type { Pass, PassContext } from "./pass.ts";

/** Windows up to this many elements; larger ones are mostly global pools, which are fast. */
const MAX_WINDOW = 25;
/** Weights a pool may add. */
const MAX_WEIGHTS = 65_536;

export const poolToConv: Pass = {
  name: "pool-to-conv",
  summary: "write small average pools as convolutions that run in integers",
  apply: (model, context) => withGraph(model, rewrite(model.graph, context)),
};

function rewrite(graph: Graph, context: PassContext): Graph {
  const shapeOf = imageShapes(graph, context);
  const fresh = freshNames(graph);
  const tensors = new Map<string, Tensor>();
  const nodes = graph.nodes.map((node) => {
    const window = smallWindow(node);
    const count = window && shapeOf(node.inputs[0]!)?.channels;
    if (!window || !count || count * elementCount(window) > MAX_WEIGHTS) return node;
    const weight = fresh(`${node.outputs[0]}_window`);
    tensors.set(weight, uniform(weight, count, window));
    return convolution(node, weight, count);
  });
  return tensors.size === 0 ? graph : withTensors({ ...graph, nodes }, [...tensors.values()]);
}

/** The window of a pool that divides by the same number everywhere; undefined for other nodes. */
function smallWindow(node: Node): readonly number[] | undefined {
  if (node.op !== "AveragePool" || node.domain !== "") return undefined;
  const window = intsAttribute(node, "kernel_shape");
  const padded = intsAttribute(node, "pads")?.some((count) => count !== 0) ?? false;
  const uneven =
    (padded && intAttribute(node, "count_include_pad", 0) === 0) ||
    intAttribute(node, "ceil_mode", 0) !== 0 ||
    !["NOTSET", "VALID"].includes(stringAttribute(node, "auto_pad", "NOTSET"));
  return window === undefined || uneven || elementCount(window) > MAX_WINDOW ? undefined : window;
}

const uniform = (name: string, count: number, window: readonly number[]): Tensor => {
  const size = elementCount(window);
  return floatTensor(name, [count, 1, ...window], new Float32Array(count * size).fill(1 / size));
};

function convolution(node: Node, weight: string, count: number): Node {
  const { ceil_mode, count_include_pad, ...attributes } = node.attributes;
  return {
    ...node,
    op: "Conv",
    inputs: [node.inputs[0]!, weight],
    attributes: { ...attributes, group: { type: "int", value: count } },
  };
}
