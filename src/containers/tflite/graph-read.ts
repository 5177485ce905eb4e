/** TFLite subgraphs to graphs. */
import type { Graph, ValueInfo } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { nodeExtra, type TfliteGraphExtra, tensorExtra } from "./extra.ts";
import { uniqueNames } from "./names.ts";
import { readNode } from "./node-read.ts";
import type { Typed } from "./op-version.ts";
import { inList, type Reading } from "./reading.ts";
import type { Table } from "./schema.ts";
import { type ReadTensor, readTensor } from "./tensor-read.ts";

type Raw = Table<"SubGraph">;

/** Numbers of tensors that are inputs or that an operator gives. */
const made = ({ inputs = [], operators = [] }: Raw): ReadonlySet<number> =>
  new Set([...inputs, ...operators.flatMap(({ outputs = [] }) => outputs)]);

/** Type of a value, for the versions of ops. */
const typed = ({ info, tensor }: ReadTensor): Typed => {
  const isSparse = tensorExtra(info).asRead?.sparsity !== undefined;
  return isSparse ? { ...(tensor ?? info), isSparse } : (tensor ?? info);
};

/** Names that something refers to. */
function referred({ inputs, outputs, nodes }: Graph, tensors: readonly ReadTensor[]): ReadonlySet<string> {
  const io = [...inputs, ...outputs].map(({ name }) => name);
  const inner = nodes.flatMap((node) => [...node.inputs, ...node.outputs, ...(nodeExtra(node).intermediates ?? [])]);
  const blocks = tensors.flatMap(({ info }) => [tensorExtra(info).scales ?? "", tensorExtra(info).zeroPoints ?? ""]);
  return new Set([...io, ...inner, ...blocks]);
}

/** Inner values: neither constants nor inputs nor outputs. */
function innerValues(tensors: readonly ReadTensor[], io: readonly ValueInfo[]): Graph["values"] {
  const outside = new Set(io.map(({ name }) => name));
  const inner = tensors.filter(({ info, tensor }) => tensor === undefined && !outside.has(info.name));
  return new Map(inner.map(({ info }) => [info.name, info]));
}

function extraOf(raw: Raw, graph: Graph, names: readonly string[], tensors: readonly ReadTensor[]): TfliteGraphExtra {
  const asRead = { ...raw, ...(raw.tensors && { tensors: [] }), ...(raw.operators && { operators: [] }) };
  const seen = referred(graph, tensors);
  return { asRead, order: names, unused: names.filter((name) => !seen.has(name)) };
}

/** A constant without a noun, or state that ops keep: made by nobody, but there. */
const opaque = (tensors: readonly ReadTensor[], isMade: ReadonlySet<number>): readonly string[] =>
  tensors.flatMap(({ info, isOpaque }, index) => (isOpaque && !isMade.has(index) ? [info.name] : []));

/** Reads subgraph `index` of a file. */
export function readGraph(reading: Reading, raw: Raw, index: number): Graph {
  const where = `subgraph ${index}`;
  const { tensors: rawTensors = [], operators = [], inputs = [], outputs = [] } = raw;
  const names = uniqueNames(rawTensors.map(({ name }) => name));
  const isMade = made(raw);
  const tensors = rawTensors.map((tensor, at) => readTensor(reading, tensor, names, at, isMade.has(at), where));
  const info = (what: string) => (at: number) =>
    tensors[inList(at, tensors.length, `an ${what} of ${where}`, "tensors")]!.info;
  const byName = new Map(tensors.map((tensor) => [tensor.info.name, typed(tensor)]));
  const types = (name: string): Typed | undefined => byName.get(name);
  const io = { inputs: inputs.map(info("input")), outputs: outputs.map(info("output")) };
  const graph: Graph = {
    name: raw.name ?? "",
    ...io,
    nodes: operators.map((operator, at) => readNode(reading, operator, at, names, types, where)),
    tensors: new Map(tensors.flatMap(({ tensor }) => (tensor ? [[tensor.name, tensor]] : []))),
    values: innerValues(tensors, [...io.inputs, ...io.outputs]),
  };
  const names_ = opaque(tensors, isMade);
  return { ...graph, ...(names_.length > 0 && { opaque: names_ }), extra: extraOf(raw, graph, names, tensors) };
}

/** All graphs of a file; there is at least one. */
export function readGraphs(reading: Reading): readonly [Graph, ...Graph[]] {
  const [main, ...rest] = (reading.root.subgraphs ?? []).map((raw, index) => readGraph(reading, raw, index));
  if (main === undefined) return fail("format", "tflite: the file has no subgraph; it is truncated or not a model");
  return [main, ...rest];
}
