/** Which nodes can be converted, and what is said about the others. */
import type { Graph, Node, Tensor, ValueInfo } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { declared } from "../passes/values.ts";
import { CONVERSIONS } from "./ops/index.ts";
import { type ConversionRow, refuse } from "./row.ts";

/** Marks of a quantized model. */
const QUANTIZING = new Set(["QUANTIZE", "DEQUANTIZE", "FAKE_QUANT"]);

const QUANTIZED = "quantized models have no equal in plain ONNX; convert the float model";

/** The row of a node; others are refused by name and op. */
export function rowOf(node: Node): ConversionRow {
  const row = node.domain === "" ? CONVERSIONS.get(node.op) : undefined;
  if (row !== undefined) return row;
  if (QUANTIZING.has(node.op)) return refuse(node, QUANTIZED);
  const known = [...CONVERSIONS.keys()].join(", ");
  return refuse(node, `${node.domain === "" ? "this op" : "a custom op"} can't be converted; known are ${known}`);
}

/** Element types that mean the same in both; strings and complex numbers have no kernels worth the name. */
const CONVERTIBLE = new Set<DType>([
  "float32",
  "float64",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
  "uint32",
  "bool",
]);

/** What the file says about a value or constant. */
export type Find = (name: string) => ValueInfo | Tensor | undefined;

/** Constants, inputs, outputs and inner values of a graph. */
export function finder(graph: Graph): Find {
  const info = declared(graph);
  return (name) => graph.tensors.get(name) ?? info(name);
}

/** Refuses nodes that compute with codes or in half precision. */
export function checkTypes(node: Node, find: Find): void {
  for (const name of [...node.inputs, ...node.outputs]) {
    const found = name === "" ? undefined : find(name);
    if (found?.quantization !== undefined && found.dtype !== "float32")
      refuse(node, `"${name}" is quantized; ${QUANTIZED}`);
    if (found?.dtype !== undefined && !CONVERTIBLE.has(found.dtype))
      refuse(node, `"${name}" holds ${found.dtype}; only models that compute in float32 can be converted`);
  }
}
