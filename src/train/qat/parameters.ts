/** Which constants of a model are its parameters: nobody says so in a file. */
import type { Graph, Node } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { opKey } from "../writer.ts";

/** Inputs with weights that the op table has no row for: biases apart from their products, gains of normalizations. */
const VECTORS: Readonly<Record<string, readonly number[]>> = {
  ...{ Add: [0, 1], Mul: [0, 1], PRelu: [1] },
  ...{
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

function slotsOf(node: Node): readonly number[] {
  const weights = ONNX.row(node)?.weights ?? [];
  const vectors = Object.hasOwn(VECTORS, opKey(node)) ? VECTORS[opKey(node)]! : [];
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
