/** Turns Constant nodes into initializers (ONNX operator Constant: value, value_float, value_ints, ...). */
import { mapGraphs, withGraph, withTensors } from "../ir/edit.ts";
import type { Attribute, Graph, Node, Tensor } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import type { Pass } from "./pass.ts";

export const constantNodes: Pass = {
  name: "constant-nodes",
  summary: "make initializers of Constant nodes",
  apply: (model) =>
    withGraph(
      model,
      mapGraphs(model.graph, (graph) => toInitializers(graph, () => true)),
    ),
};

const isMatrix = ({ dtype, shape }: Tensor): boolean => DTYPES[dtype].kind === "float" && shape.length >= 2;

/** For contracts that leave everything else of a model as it is. */
export const weightConstants: Pass = {
  name: "weight-constants",
  summary: "make initializers of Constant nodes that hold weights",
  apply: (model) =>
    withGraph(
      model,
      mapGraphs(model.graph, (graph) => toInitializers(graph, isMatrix)),
    ),
};

const utf8 = (values: readonly Uint8Array[]) => ({ data: bytesSource(new Uint8Array(0)), strings: values });
const raw = (array: Float32Array | BigInt64Array) => ({ data: bytesSource(new Uint8Array(array.buffer)) });

type Payload = Omit<Tensor, "name">;

const scalarOr = (values: readonly unknown[], scalar: boolean): readonly number[] => (scalar ? [] : [values.length]);

const floatPayload = (values: readonly number[], scalar: boolean): Payload => ({
  dtype: "float32",
  shape: scalarOr(values, scalar),
  ...raw(Float32Array.from(values)),
});

const intPayload = (values: readonly (number | bigint)[], scalar: boolean): Payload => ({
  dtype: "int64",
  shape: scalarOr(values, scalar),
  ...raw(BigInt64Array.from(values, BigInt)),
});

const stringPayload = (values: readonly Uint8Array[], scalar: boolean): Payload => ({
  dtype: "string",
  shape: scalarOr(values, scalar),
  ...utf8(values),
});

/** By attribute type; a sparse value (`opaque`) stays a node. */
const PAYLOADS: { readonly [T in Attribute["type"]]?: (value: never) => Payload } = {
  tensor: (value: Tensor) => value,
  float: (value: number) => floatPayload([value], true),
  floats: (value: readonly number[]) => floatPayload(value, false),
  int: (value: number | bigint) => intPayload([value], true),
  ints: (value: readonly (number | bigint)[]) => intPayload(value, false),
  string: (value: Uint8Array) => stringPayload([value], true),
  strings: (value: readonly Uint8Array[]) => stringPayload(value, false),
};

/** The tensor a Constant node stands for; undefined for other nodes and for sparse values. */
export function constantOf(node: Node): Tensor | undefined {
  const name = node.outputs[0] ?? "";
  if (node.op !== "Constant" || node.domain !== "" || name === "") return undefined;
  const attribute = Object.entries(node.attributes).find(([key]) => key.startsWith("value"))?.[1];
  const payload = attribute && PAYLOADS[attribute.type]?.(attribute.value as never);
  return payload && { ...payload, name };
}

/** A graph output stays a node: engines want outputs, of sub-graphs above all, to be made by nodes. */
function toInitializers(graph: Graph, wanted: (tensor: Tensor) => boolean): Graph {
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const found = new Map<Node, Tensor>();
  for (const node of graph.nodes) {
    const tensor = constantOf(node);
    if (tensor !== undefined && !outputs.has(tensor.name) && wanted(tensor)) found.set(node, tensor);
  }
  if (found.size === 0) return graph;
  const nodes = graph.nodes.filter((node) => !found.has(node));
  return withTensors({ ...graph, nodes }, [...found.values()]);
}
