/** Short ways to make graphs in code: for passes, for lowerings, and for tests that need a small model. */
import type { DType } from "../numeric/dtypes.ts";
import type { Attribute, Dim, FunctionDef, Graph, Model, Node, Tensor, TypedArray, ValueInfo } from "./model.ts";
import { bytesSource } from "./source.ts";

const utf8 = new TextEncoder();

/** What `node()` accepts as an attribute: a plain number is an int when integral, write `float(1)` for 1.0. */
export type AttributeInit = number | bigint | string | readonly number[] | Tensor | Graph | Attribute;

/** A float attribute, also for whole numbers. */
export const float = (value: number): Attribute => ({ type: "float", value });
/** A list of floats as an attribute. */
export const floats = (value: readonly number[]): Attribute => ({ type: "floats", value });

const isAttribute = (init: object): init is Attribute => "type" in init && "value" in init;
const isGraph = (init: object): init is Graph => "nodes" in init;

function attribute(init: AttributeInit): Attribute {
  if (typeof init === "bigint") return { type: "int", value: init };
  if (typeof init === "number") return Number.isInteger(init) ? { type: "int", value: init } : float(init);
  if (typeof init === "string") return { type: "string", value: utf8.encode(init) };
  if (Array.isArray(init)) return init.every(Number.isInteger) ? { type: "ints", value: init } : floats(init);
  if (isAttribute(init)) return init;
  if (isGraph(init)) return { type: "graph", value: init };
  return { type: "tensor", value: init as Tensor };
}

/** What a node has besides op, inputs and outputs. */
export interface NodeInit {
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeInit>>;
}

/** A node: `node("Gemm", ["x", "w", "b"], ["y"], { attributes: { transB: 1 } })`. */
export const node = (op: string, inputs: readonly string[], outputs: readonly string[], init: NodeInit = {}): Node => ({
  name: init.name ?? "",
  op,
  domain: init.domain ?? "",
  inputs,
  outputs,
  attributes: Object.fromEntries(Object.entries(init.attributes ?? {}).map(([key, value]) => [key, attribute(value)])),
});

/** The type of a graph input, output or inner value; without a shape its rank is unknown. */
export const valueInfo = (name: string, dtype: DType = "float32", shape?: readonly Dim[]): ValueInfo =>
  shape === undefined ? { name, dtype } : { name, dtype, shape };

/** A tensor from a typed array of the dtype's own element type; sub-byte dtypes take their packed bytes. */
export const tensor = (name: string, dtype: DType, shape: readonly number[], data: TypedArray): Tensor => ({
  name,
  dtype,
  shape,
  data: bytesSource(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
});

/** A float32 tensor. */
export const floatTensor = (name: string, shape: readonly number[], values: ArrayLike<number>): Tensor =>
  tensor(name, "float32", shape, Float32Array.from(values));

/** An int64 tensor, by default a vector. */
export const intTensor = (
  name: string,
  values: readonly number[],
  shape: readonly number[] = [values.length],
): Tensor => tensor(name, "int64", shape, BigInt64Array.from(values, BigInt));

/** What `graph()` makes a graph of. */
export interface GraphInit {
  readonly name?: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly nodes: readonly Node[];
  readonly tensors?: readonly Tensor[];
  readonly values?: readonly ValueInfo[];
}

const byName = <T extends { readonly name: string }>(items: readonly T[]): ReadonlyMap<string, T> =>
  new Map(items.map((item) => [item.name, item]));

/** A graph; nodes must come in topological order. */
export const graph = (init: GraphInit): Graph => ({
  name: init.name ?? "graph",
  inputs: init.inputs,
  outputs: init.outputs,
  nodes: init.nodes,
  tensors: byName(init.tensors ?? []),
  values: byName(init.values ?? []),
});

/** What an ONNX model has besides its graph. */
export interface ModelInit {
  readonly opsets?: Readonly<Record<string, number>>;
  readonly functions?: readonly FunctionDef[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly formatVersion?: number;
}

/** An ONNX model; opset 17 and IR version 8 unless told. */
export const onnxModel = (main: Graph | GraphInit, init: ModelInit = {}): Model => ({
  container: "onnx",
  graph: "tensors" in main && main.tensors instanceof Map ? (main as Graph) : graph(main as GraphInit),
  opsets: init.opsets ?? { "": 17 },
  functions: init.functions ?? [],
  metadata: init.metadata ?? {},
  formatVersion: init.formatVersion ?? 8,
  producer: { name: "fewbit", version: "" },
});

/** A TFLite model, schema version 3; nodes are builtin ops named as in its schema: `node("CONV_2D", ...)`. */
export const tfliteModel = (main: GraphInit): Model => ({
  container: "tflite",
  graph: graph(main),
  opsets: {},
  functions: [],
  metadata: {},
  formatVersion: 3,
});
