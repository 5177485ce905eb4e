/** Which constants of a model are its parameters: nobody says so in a file. */
import type { Graph, Node } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
import { elementCount } from "../../numeric/dtypes.ts";

/** Inputs of ops that add or multiply one number a channel: biases apart from their products, gains of normalizations. */
const VECTORS: Readonly<Record<string, readonly number[]>> = {
  ...{ Add: [0, 1], Mul: [0, 1], PRelu: [1] },
  ...{
    BatchNormalization: [1, 2],
    LayerNormalization: [1, 2],
    InstanceNormalization: [1, 2],
    GroupNormalization: [1, 2],
  },
  RMSNormalization: [1],
};

function slotsOf(node: Node): readonly number[] {
  const weights = ONNX.row(node)?.weights ?? [];
  const vectors = node.domain === "" && Object.hasOwn(VECTORS, node.op) ? VECTORS[node.op]! : [];
  return [...weights.flatMap(({ input, bias }) => (bias === undefined ? [input] : [input, bias])), ...vectors];
}

/** Names of float32 weights, biases and gains of a graph, in the order its nodes read them; numbers alone are no parameters. */
export function parametersOf({ nodes, tensors }: Graph): readonly string[] {
  const names = nodes.flatMap((node) => slotsOf(node).map((slot) => node.inputs[slot] ?? ""));
  return [...new Set(names)].filter((name) => {
    const tensor = tensors.get(name);
    return tensor?.dtype === "float32" && elementCount(tensor.shape) > 1;
  });
}
