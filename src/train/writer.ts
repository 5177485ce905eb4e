/** Writes plain nodes into a graph that is being extended: for gradients, expansions, losses and optimizers. */
import type { AttributeInit } from "../ir/build.ts";
import { intTensor, node as makeNode, tensor } from "../ir/build.ts";
import { freshNames, nodeLabel, withTensors } from "../ir/edit.ts";
import type { Dim, Graph, Node, Tensor, TypedArray } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { integers } from "./shapes/shape-rule.ts";
import { type Known, knownTensor, knownTypes, learn } from "./types.ts";

/** What code that writes nodes may ask and do. */
export interface Writer {
  /** Element type of a value; an error that names the node where nothing tells it. */
  dtype(value: string): DType;
  /** Number of dimensions of a value; an error that names the node where nothing tells it. */
  rank(value: string): number;
  /** Shape of a value, where every length is known. */
  shape(value: string): readonly number[] | undefined;
  /** Lengths of a value, open ones as symbols; undefined where not even its rank is known. */
  dims(value: string): readonly Dim[] | undefined;
  /** Elements of a small integer value, where all of them are known. */
  values(value: string): readonly number[] | undefined;
  /** A constant of the graph by name; undefined where the value is none. */
  constant(value: string): Tensor | undefined;
  /** Adds a node with one output and gives the name of that output. */
  emit(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, AttributeInit>>): string;
  /** Adds a node with several outputs. */
  emitMany(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: Readonly<Record<string, AttributeInit>>,
  ): readonly string[];
  /** Name of a constant int64 vector, or of an int64 scalar for a plain number. */
  ints(values: readonly number[] | number): string;
  /** Name of a constant scalar of a float dtype. */
  scalar(value: number, dtype: DType): string;
  /** Stops with an error of code "unsupported" that names the node. */
  refuse(why: string): never;
}

const arrayOf = (values: number[]): TypedArray => Float32Array.from(values);

/** Element types a gradient can have. */
export const ELEMENTS: ReadonlyMap<DType | undefined, (values: number[]) => TypedArray> = new Map<
  DType,
  typeof arrayOf
>([
  ["float32", arrayOf],
  ["float64", (values) => Float64Array.from(values)],
]);

/** A graph with what was written behind it so far. */
export interface Writing {
  readonly graph: Graph;
  /** Of all values, the written ones included. */
  readonly types: Map<string, Known>;
  readonly fresh: (wish: string) => string;
  /** In front of the names of what is written: "grad", "loss", "step". */
  readonly prefix: string;
  readonly added: Node[];
  readonly constants: Map<string, Tensor>;
}

/** Nothing written yet; a sub-graph is written within what is written around it. */
export const startWriting = (graph: Graph, prefix: string, around?: Writing): Writing => ({
  ...{ graph, prefix, types: knownTypes(graph, around?.types), fresh: around?.fresh ?? freshNames(graph) },
  ...{ added: [], constants: new Map() },
});

/** The graph with everything that was written behind its own nodes. */
export const written = ({ graph, added, constants }: Writing): Graph =>
  withTensors({ ...graph, nodes: [...graph.nodes, ...added] }, [...constants.values()]);

/** Adds a node as it is. */
export function append(writing: Writing, node: Node): void {
  writing.added.push(node);
  learn(writing.types, node);
}

/** Adds a node, of the private domain when its op has a dot in front ("fewbit.FakeQuantize"), and gives its outputs. */
export function add(
  writing: Writing,
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes = {},
): readonly string[] {
  const at = op.lastIndexOf(".");
  const init = { name: writing.fresh(`${writing.prefix}/${op}`), attributes, domain: op.slice(0, Math.max(at, 0)) };
  append(writing, makeNode(op.slice(at + 1), inputs, outputs, init));
  return outputs;
}

/** Name of a constant, shared by all who want the same one. */
function pooled(writing: Writing, key: string, make: (name: string) => Tensor): string {
  const found = writing.constants.get(key);
  if (found !== undefined) return found.name;
  const made = make(writing.fresh(`${writing.prefix}/constant`));
  writing.constants.set(key, made);
  writing.types.set(made.name, knownTensor(made));
  return made.name;
}

/** Name of a constant of one element, shared by all who want the same one. */
export function scalar(writing: Writing, value: number, dtype: DType, shape: readonly number[] = []): string {
  const make = ELEMENTS.get(dtype) ?? fail("unsupported", `gradients are made of float32 or float64, not ${dtype}`);
  return pooled(writing, `${dtype} ${value} ${shape}`, (name) => tensor(name, dtype, shape, make([value])));
}

/** How tables of rules name an op: "Conv", and with its domain when that is not the default one, "com.microsoft.Gelu". */
export const opKey = ({ domain, op }: Node): string => (domain === "" ? op : `${domain}.${op}`);

/** A fact about a value, or an error that says how to provide it. */
function fact<K extends keyof Known>(
  { types }: Writing,
  refuse: Writer["refuse"],
  value: string,
  key: K,
): NonNullable<Known[K]> {
  return (
    types.get(value)?.[key] ?? refuse(`the ${key} of "${value}" is not known; declare it in the model's value_info`)
  );
}

/** `what` names the work in errors ("gradient"); `node` the node it is about. */
export function writerFor(writing: Writing, what: string, node?: Node): Writer {
  const names = (op: string, count: number) =>
    Array.from({ length: count }, () => writing.fresh(`${writing.prefix}/${op}/out`));
  const refuse = (why: string): never =>
    fail("unsupported", `${what}: ${node ? `node "${nodeLabel(node)}" (${opKey(node)}): ` : ""}${why}`);
  const emitMany = (op: string, inputs: readonly string[], count: number, attributes?: Record<string, AttributeInit>) =>
    add(writing, op, inputs, names(op, count), attributes);
  return {
    dtype: (value) => fact(writing, refuse, value, "dtype"),
    rank: (value) => fact(writing, refuse, value, "rank"),
    shape: (value) => writing.types.get(value)?.shape,
    dims: (value) => writing.types.get(value)?.dims,
    constant: (value) => writing.graph.tensors.get(value),
    values: (value) => integers(writing.types.get(value)),
    emit: (op, inputs, attributes) => emitMany(op, inputs, 1, attributes)[0]!,
    emitMany,
    ints: (values) =>
      typeof values === "number"
        ? pooled(writing, `int64 ${values}`, (name) => intTensor(name, [values], []))
        : pooled(writing, `int64 [${values}]`, (name) => intTensor(name, values)),
    scalar: (value, dtype) => scalar(writing, value, dtype),
    refuse,
  };
}
