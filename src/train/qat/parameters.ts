/** Which constants of a model are its parameters: nobody says so in a file. */
import { consumers } from "../../ir/edit.ts";
import type { Graph, Node } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { opKey } from "../writer.ts";
import { rotaryTables } from "./rotary.ts";

/** Inputs with weights that the op table has no row for: biases apart from their products, gains of normalizations. */
const VECTORS: Readonly<Record<string, readonly number[]>> = {
  ...{
    PRelu: [1],
    BatchNormalization: [1, 2],
    LayerNormalization: [1, 2],
    InstanceNormalization: [1, 2],
    GroupNormalization: [1, 2],
  },
  ...{ RMSNormalization: [1], SimplifiedLayerNormalization: [1] },
  ...{ RNN: [3], GRU: [3], LSTM: [3, 7] },
  "com.microsoft.BiasGelu": [1],
  "com.microsoft.FastGelu": [1],
  "com.microsoft.FusedConv": [1, 2],
  "com.microsoft.FusedGemm": [1, 2],
  "com.microsoft.MultiHeadAttention": [3],
  "com.microsoft.SkipLayerNormalization": [2, 3, 4],
  "com.microsoft.SkipSimplifiedLayerNormalization": [2, 3],
};

/** Ops that may add or multiply a weight of their own: biases apart from products, gains, learned positions. */
const ELEMENTWISE = new Set(["Add", "Mul"]);

function slotsOf(node: Node): readonly number[] {
  const weights = ONNX.row(node)?.weights ?? [];
  const vectors = Object.hasOwn(VECTORS, opKey(node)) ? VECTORS[opKey(node)]! : [];
  return [...weights.flatMap(({ input, bias }) => (bias === undefined ? [input] : [input, bias])), ...vectors];
}

const isVector = (shape: readonly number[]): boolean => shape.filter((length) => length > 1).length === 1;

/** A table that is multiplied turns positions (rotary); one that is added in front of a Softmax hides them (a mask). */
const isTable = (op: string, shape: readonly number[], readers: readonly Node[]): boolean =>
  !isVector(shape) && (op === "Mul" || readers.some((reader) => reader.op === "Softmax"));

/**
 * Names of float32 weights, biases and gains of a graph, in the order its nodes read them. Numbers alone are no parameters,
 * nor is what is added or multiplied in front of the first weight (how images are normalized), nor tables of positions.
 */
export function parametersOf(graph: Graph): readonly string[] {
  const { nodes, tensors } = graph;
  const readers = consumers(graph);
  const rotary = rotaryTables(graph);
  const found = new Set<string>();
  /** Values that a weight had a part in. */
  const behind = new Set<string>();
  const shapeOf = (name: string): readonly number[] | undefined => {
    const tensor = rotary.has(name) ? undefined : tensors.get(name);
    return tensor?.dtype === "float32" && elementCount(tensor.shape) > 1 ? tensor.shape : undefined;
  };
  for (const node of nodes) {
    const weights = slotsOf(node).map((slot) => node.inputs[slot] ?? "");
    const isBehind = node.inputs.some((name) => behind.has(name));
    const own = ELEMENTWISE.has(opKey(node)) && isBehind ? node.inputs : [];
    const after = readers.get(node.outputs[0] ?? "") ?? [];
    for (const name of weights) if (shapeOf(name) !== undefined) found.add(name);
    for (const name of own) {
      const shape = shapeOf(name);
      if (shape !== undefined && !isTable(node.op, shape, after)) found.add(name);
    }
    if (isBehind || weights.some((name) => found.has(name))) for (const output of node.outputs) behind.add(output);
  }
  return [...found];
}
