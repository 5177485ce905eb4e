/** Graphs to TFLite subgraphs. */
import type { Graph, Node, ValueInfo } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { BufferPlan } from "./buffer-plan.ts";
import type { CodePlan } from "./code-plan.ts";
import { graphExtra, nodeExtra, tensorExtra } from "./extra.ts";
import { type Typed, typedValues } from "./graph-types.ts";
import { asReadOf, nodeTable, versionOf } from "./node-write.ts";
import type { Types } from "./op-version.ts";
import type { Table } from "./schema.ts";
import { isConstant, tensorTable } from "./tensor-write.ts";

/** A graph with everything decided that must be known before its tables can be made. */
export interface PlannedGraph {
  readonly graph: Graph;
  readonly where: string;
  readonly tensors: readonly Typed[];
  readonly index: (name: string) => number;
  /** Places of the tensors' buffers and of the nodes' codes, in order. */
  readonly buffers: readonly number[];
  readonly codes: readonly number[];
}

function blockNames(typed: Typed): readonly string[] {
  const { blocks } = typed.quantization ?? {};
  const { scales = "", zeroPoints = "" } = blocks ?? tensorExtra(typed);
  return [scales, zeroPoints];
}

const nodeNames = (node: Node): readonly string[] => [
  ...node.inputs,
  ...node.outputs,
  ...(nodeExtra(node).intermediates ?? []),
];

/** Names of the tensors to write, in order: as read, then new ones as they come up. Values nothing refers to are left out. */
function orderOf(graph: Graph, known: ReadonlyMap<string, Typed>, others: readonly string[]): readonly string[] {
  const { order = [], unused = [] } = graphExtra(graph);
  const io = [...graph.inputs, ...graph.outputs].map(({ name }) => name);
  const referred = new Set([...io, ...graph.nodes.flatMap(nodeNames), ...graph.tensors.keys(), ...others]);
  for (const name of [...referred, ...unused])
    for (const inner of blockNames(known.get(name) ?? { name })) referred.add(inner);
  referred.delete("");
  const wanted = new Set([...referred, ...unused.filter((name) => known.has(name))]);
  return [...new Set([...order.filter((name) => wanted.has(name)), ...wanted])];
}

function typedOf(name: string, known: ReadonlyMap<string, Typed>, where: string): Typed {
  return (
    known.get(name) ??
    fail("graph", `tflite: "${name}" of ${where} has no declared type; TFLite needs one for every value`)
  );
}

const typesOf =
  (known: ReadonlyMap<string, Typed>): Types =>
  (name) => {
    const typed = known.get(name);
    if (typed === undefined || isConstant(typed) || !tensorExtra(typed).asRead?.sparsity) return typed;
    return { ...typed, isSparse: true };
  };

const dataOf = (typed: Typed) => (isConstant(typed) ? typed.data : tensorExtra(typed).data);
const beforeOf = (typed: Typed): number | undefined => {
  const { asRead } = tensorExtra(typed);
  return asRead && (asRead.buffer ?? 0);
};

/** Decides the order of a graph's tensors and claims their buffers and its nodes' codes; `others` are names used elsewhere. */
export function planGraph(
  graph: Graph,
  where: string,
  others: readonly string[],
  buffers: BufferPlan,
  codes: CodePlan,
): PlannedGraph {
  const known = typedValues(graph);
  const names = orderOf(graph, known, others);
  const numbers = new Map(names.map((name, index) => [name, index]));
  const index = (name: string): number =>
    numbers.get(name) ??
    fail("graph", `tflite: ${where} has no value "${name}"; correct the name or declare the value`);
  const tensors = names.map((name) => typedOf(name, known, where));
  const types = typesOf(known);
  return {
    graph,
    where,
    tensors,
    index,
    buffers: tensors.map((typed) => buffers.claim(beforeOf(typed), dataOf(typed), typed.dtype ?? "")),
    codes: graph.nodes.map((node) => codes.claim(node, versionOf(node, types), asReadOf(node)?.code)),
  };
}

/** A list; absent where it was absent when read and is empty. */
const listOf = <T>(before: Table<"SubGraph"> | undefined, key: keyof Table<"SubGraph">, list: readonly T[]) =>
  before && before[key] === undefined && list.length === 0 ? {} : { [key]: list };

/** The table of a graph, once all graphs are planned. */
export function graphTable(planned: PlannedGraph, buffers: BufferPlan, codes: CodePlan): Table<"SubGraph"> {
  const { graph, where, index } = planned;
  const { asRead } = graphExtra(graph);
  const isNamed = asRead !== undefined && graph.name === (asRead.name ?? "");
  const tensors = planned.tensors.map((typed, at) =>
    tensorTable(typed, buffers.number(planned.buffers[at]!), index, where),
  );
  const operators = graph.nodes.map((node, at) => nodeTable(node, codes.number(planned.codes[at]!), index));
  const number = ({ name }: ValueInfo): number => index(name);
  return {
    ...asRead,
    ...(!isNamed && { name: graph.name }),
    ...listOf(asRead, "tensors", tensors),
    ...listOf(asRead, "operators", operators),
    ...listOf(asRead, "inputs", graph.inputs.map(number)),
    ...listOf(asRead, "outputs", graph.outputs.map(number)),
  };
}
