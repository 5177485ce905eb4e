/** Is a TFLite model legal? What the general check does not know: versions, quantization, shared buffers, other graphs. */
import { checkModel } from "../../ir/check.ts";
import { nodeLabel } from "../../ir/edit.ts";
import type { Graph, Model, Node } from "../../ir/model.ts";
import type { ByteSource } from "../../ir/source.ts";
import { checkQuantization } from "./check-quantization.ts";
import { checkSparsity } from "./check-sparsity.ts";
import { OP_CODES } from "./code-plan.ts";
import { nodeExtra, tensorExtra, tfliteExtra } from "./extra.ts";
import { type Typed, typedValues } from "./graph-types.ts";
import { OPS } from "./ops.ts";

/** Complaints listed before the rest is only counted: nobody reads more, and a hostile file could cause a million. */
const MAX_COMPLAINTS = 50;

function* versionComplaints(node: Node, where: string): Generator<string> {
  const { version, asRead } = nodeExtra(node);
  const written = version ?? (asRead?.op === node.op ? asRead.version : undefined);
  const { newest = 1 } = OPS[OP_CODES.get(node.op) ?? -1] ?? {};
  if (written === undefined || node.domain !== "" || (written >= 1 && written <= newest)) return;
  yield `${where} has version ${written} of ${node.op}; versions 1 to ${newest} are known, so it is damaged or newer than this fewbit`;
}

/** Attributes that are numbers of graphs. */
const REFERENCE = /(^|_)subgraph(_index|_indices)?$/;

/** Numbers of the graphs that a node runs. */
const called = (node: Node): readonly number[] =>
  node.domain !== ""
    ? []
    : Object.entries(node.attributes).flatMap(([key, { type, value }]) => {
        if (!REFERENCE.test(key)) return [];
        return type === "int" || type === "ints" ? [value].flat().map(Number) : [];
      });

function* nodeComplaints(node: Node, graphs: number, place: string): Generator<string> {
  const where = `${place}: node "${nodeLabel(node)}"`;
  if (node.domain === "" && !OP_CODES.has(node.op)) yield `${where} is ${node.op}, which is no builtin op of TFLite`;
  yield* versionComplaints(node, where);
  for (const index of called(node))
    if (!(index >= 0 && index < graphs)) yield `${where} runs subgraph ${index}, but there are ${graphs}`;
}

const dataOf = (typed: Typed): ByteSource | undefined => ("data" in typed ? typed.data : tensorExtra(typed).data);

/** Complains about bytes that are read as two types. */
function* sharedComplaint(typed: Typed, types: Map<ByteSource, Typed>, where: string): Generator<string> {
  const data = dataOf(typed);
  if (data === undefined || data.size === 0) return;
  const first = types.get(data);
  if (first === undefined) types.set(data, typed);
  else if (first.dtype !== typed.dtype)
    yield `${where}: "${first.name}" (${first.dtype}) and "${typed.name}" (${typed.dtype}) share a buffer; bytes can't be of two types`;
}

function* graphComplaints(
  graph: Graph,
  index: number,
  count: number,
  types: Map<ByteSource, Typed>,
): Generator<string> {
  const where = `subgraph ${index}`;
  const known = typedValues(graph);
  for (const node of graph.nodes) yield* nodeComplaints(node, count, where);
  for (const typed of known.values()) {
    yield* sharedComplaint(typed, types, where);
    yield* checkQuantization(typed, known, `${where}: "${typed.name}"`);
    yield* checkSparsity(typed, `${where}: "${typed.name}"`);
  }
}

/** Complains about graphs that run each other without end. */
function* recursionComplaints(graphs: readonly Graph[]): Generator<string> {
  const state = new Map<number, "open" | "done">();
  const visit = (index: number): boolean => {
    if (state.get(index) === "open") return true;
    if (state.has(index) || graphs[index] === undefined) return false;
    state.set(index, "open");
    const loops = graphs[index].nodes.some((node) => called(node).some(visit));
    state.set(index, "done");
    return loops;
  };
  for (const index of graphs.keys())
    if (visit(index)) {
      yield `subgraph ${index} runs itself without end, directly or through others`;
      return;
    }
}

function* signatureComplaints(model: Model, graphs: readonly Graph[]): Generator<string> {
  for (const { key = "", subgraph, inputs = [], outputs = [] } of tfliteExtra(model).signatures ?? []) {
    const graph = graphs[subgraph];
    if (graph === undefined) yield `signature "${key}" is of subgraph ${subgraph}, but there are ${graphs.length}`;
    else {
      const known = typedValues(graph);
      const lost = [...inputs, ...outputs].find(({ value }) => !known.has(value));
      if (lost) yield `signature "${key}" names "${lost.value}", which is no tensor of subgraph ${subgraph}`;
    }
  }
}

function* complaints(model: Model): Generator<string> {
  const { subgraphs } = tfliteExtra(model);
  const graphs = [model.graph, ...subgraphs];
  for (const graph of graphs) yield* checkModel({ ...model, graph });
  const types = new Map<ByteSource, Typed>();
  for (const [index, graph] of graphs.entries()) yield* graphComplaints(graph, index, graphs.length, types);
  yield* recursionComplaints(graphs);
  yield* signatureComplaints(model, graphs);
}

/**
 * What is illegal about a TFLite model, one sentence each; empty when nothing is: everything `checkModel` looks at, in all
 * graphs, and versions of ops, quantization, sparsity, buffers of two types, numbers of graphs, signatures.
 */
export function checkTflite(model: Model): readonly string[] {
  const found: string[] = [];
  let more = 0;
  for (const text of complaints(model)) {
    if (found.length < MAX_COMPLAINTS) found.push(text);
    else more++;
  }
  return more === 0 ? found : [...found, `${more} more of this kind`];
}
