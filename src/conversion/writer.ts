/** Collects the nodes and constants of the ONNX graph under fresh names. */
import { type AttributeInit, node as makeNode, tensor } from "../ir/build.ts";
import { freshNames } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { emptyArray } from "../numeric/convert.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";

/** Attributes by name, as `node()` takes them. */
export type Attributes = Readonly<Record<string, AttributeInit>>;

/** Adds a node of one output and answers its name. */
export type Emit = (op: string, inputs: readonly string[], attributes?: Attributes) => string;

/** An ONNX graph in the making; names of the TFLite graph stay free for the values that keep them. */
export interface Writer {
  readonly nodes: Node[];
  readonly tensors: Map<string, Tensor>;
  /** `label` is what the nodes and values are named after. */
  emit(label: string, op: string, inputs: readonly string[], count: number, attributes?: Attributes): readonly string[];
  list(values: readonly number[]): string;
  scalar(value: number, dtype: DType): string;
  /** A name nothing else has. */
  fresh(wish: string): string;
}

function filled(name: string, dtype: DType, shape: readonly number[], values: readonly number[]): Tensor {
  const data = emptyArray(dtype, values.length);
  const wide = DTYPES[dtype].bits === 64 && DTYPES[dtype].kind !== "float";
  for (const [i, value] of values.entries()) data[i] = wide ? BigInt(value) : value;
  return tensor(name, dtype, shape, data);
}

/** A writer for the graph that `source` becomes. */
export function writerFor(source: Graph): Writer {
  const fresh = freshNames(source);
  const nodes: Node[] = [];
  const tensors = new Map<string, Tensor>();
  const constants = new Map<string, string>();
  const constant = (wish: string, dtype: DType, shape: readonly number[], values: readonly number[]): string => {
    const key = `${dtype} ${shape.length} ${values.map((value) => (Object.is(value, -0) ? "-0" : value))}`;
    const found = constants.get(key) ?? fresh(wish);
    if (!constants.has(key)) tensors.set(found, filled(found, dtype, shape, values));
    constants.set(key, found);
    return found;
  };
  return {
    nodes,
    tensors,
    fresh,
    emit(label, op, inputs, count, attributes = {}) {
      const name = fresh(`${label}/${op}`);
      const outputs = count === 1 ? [name] : Array.from({ length: count }, (_, i) => fresh(`${name}_${i}`));
      nodes.push(makeNode(op, inputs, outputs, { name, attributes }));
      return outputs;
    },
    list: (values) => constant("list", "int64", [values.length], values),
    scalar: (value, dtype) => constant("scalar", dtype, [], [value]),
  };
}
