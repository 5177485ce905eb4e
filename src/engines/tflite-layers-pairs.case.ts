/** Layers of two values. */
import { tensor } from "../ir/build.ts";
import type { DType } from "../numeric/dtypes.ts";
import { type Attributes, coded, type LayerCase, layer, NONE, randomData, ZERO } from "./tflite-layers-build.case.ts";

interface PairInit {
  /** Zero points of all three; otherwise each has its own. */
  readonly zero?: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly y: readonly number[];
  readonly scales?: readonly [number, number, number];
  readonly attributes?: Attributes;
}

export function pair(
  op: string,
  dtype: DType,
  name: string,
  { a, b, y, scales, zero, attributes = NONE }: PairInit,
): LayerCase {
  const [za, zy] = zero === undefined ? ZERO[dtype]! : [zero, zero];
  const [sa, sb, sy] = scales ?? (dtype === "int16" ? [0.00021, 0.00033, 0.00047] : [0.0213, 0.0471, 0.0593]);
  const zb = dtype === "int16" || zero !== undefined ? za : za + 4;
  return layer(`${dtype} ${name}`, op, {
    inputs: [coded("a", dtype, a, sa, za), coded("b", dtype, b, sb, zb)],
    outputs: [coded("y", dtype, y, sy, zy)],
    attributes,
  });
}

export const pairCases = (op: string, dtype: DType): readonly LayerCase[] => [
  pair(op, dtype, "same shapes", { a: [2, 5, 6, 7], b: [2, 5, 6, 7], y: [2, 5, 6, 7] }),
  pair(op, dtype, "RELU", { a: [1, 300], b: [1, 300], y: [1, 300], attributes: { fused_activation_function: "RELU" } }),
  pair(op, dtype, "channels broadcast", { a: [2, 5, 6, 7], b: [7], y: [2, 5, 6, 7] }),
  pair(op, dtype, "both broadcast", { a: [2, 1, 6, 1], b: [1, 5, 1, 7], y: [2, 5, 6, 7] }),
  pair(op, dtype, "one element", { a: [1], b: [3, 50], y: [3, 50] }),
];

export const constantPair = (op: string): LayerCase => {
  const { model } = pair(op, "int8", "", {
    a: [2, 5, 7],
    b: [7],
    y: [2, 5, 7],
    attributes: op === "PRELU" ? {} : NONE,
  });
  const { graph } = model;
  const { name, quantization } = graph.inputs[1]!;
  const codes = { ...tensor(name, "int8", [7], randomData("int8", 7, 9)), quantization: quantization! };
  const inputs = graph.inputs.slice(0, 1);
  return {
    name: `${op} int8 with a constant`,
    model: { ...model, graph: { ...graph, inputs, tensors: new Map([[name, codes]]) } },
  };
};
