/**
 * Moves Transposes down the graph, through every node that can work on another order of axes, until they meet their
 * inverse or a node that can't. Constants on the way are rearranged. Models that come from a container with channels
 * last have a pair of Transposes around every convolution; next to none are left.
 */
import { intsAttribute } from "../ir/attributes.ts";
import { intTensor, node as makeNode } from "../ir/build.ts";
import { freshNames, reads, withGraph } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { typedView } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { permuted } from "./lazy-constants.ts";
import type { Pass } from "./pass.ts";
import { keepsMemory, MOVES, type Moved, type MoveRow, type MoveSite, type Perm } from "./transpose-rules.ts";
import { constantsIn, declared, useCounts } from "./values.ts";

/** Axes, pads and shapes are short; no other constant is looked into. */
const MAX_PARAMETER_ELEMENTS = 128;
/** First operator set in which axes of Squeeze and bounds of Clip, Pad and Slice are inputs, as the rules expect. */
const LEAST_OPSET = 13;

/** A constant that took another order of axes: axes of length 1 in front up to the rank of `perm`, then transposed by it. */
export interface TurnedConstant {
  /** The constant it was. */
  readonly constant: string;
  readonly perm: Perm;
}

/** A graph without the Transposes that could go, and the constants that were rearranged, by their names now. */
export interface Untransposed {
  readonly graph: Graph;
  readonly turned: ReadonlyMap<string, TurnedConstant>;
  /** What has the elements of a transposed value, in another order of axes. */
  readonly sources: ReadonlyMap<string, string>;
}

/** A value whose Transpose was not written yet. */
interface Deferred {
  readonly source: string;
  readonly perm: Perm;
  /** Name of its node. */
  readonly name: string;
}

interface Work extends MoveSite {
  readonly nodes: Node[];
  readonly tensors: Map<string, Tensor>;
  readonly turned: Map<string, TurnedConstant>;
  readonly deferred: Map<string, Deferred>;
  /** Those written so far, by what they make. */
  readonly reshapes: Map<string, Node>;
  readonly written: Set<string>;
  readonly fresh: (wish: string) => string;
  readonly constant: (name: string) => Tensor | undefined;
  readonly uses: ReadonlyMap<string, number>;
}

export const cancelTransposes: Pass = {
  name: "cancel-transposes",
  summary: "move transpositions together until they undo each other",
  apply: (model) =>
    (model.opsets[""] ?? 0) < LEAST_OPSET ? model : withGraph(model, withoutTransposes(model.graph).graph),
};

const isIdentity = (perm: Perm): boolean => perm.every((axis, i) => axis === i);
const samePerm = (a: Perm, b: Perm): boolean => a.length === b.length && a.every((axis, i) => axis === b[i]);
const transposes = ({ nodes }: Graph): number =>
  nodes.filter(({ op, domain }) => op === "Transpose" && domain === "").length;

/** The main graph with fewer Transposes; the same graph where none can go. Expects operator set 13 or later. */
export function withoutTransposes(graph: Graph): Untransposed {
  const idle: Untransposed = { graph, turned: new Map(), sources: new Map() };
  if (transposes(graph) === 0) return idle;
  const work = begin(graph);
  for (const node of graph.nodes) visit(work, node);
  for (const { name } of graph.outputs) writeUnder(work, name);
  const next = finish(graph, work);
  if (transposes(next) >= transposes(graph)) return idle;
  const sources = new Map([...work.deferred].map(([name, { source }]) => [name, source]));
  return { graph: next, turned: work.turned, sources };
}

function begin(graph: Graph): Work {
  const info = declared(graph);
  const constant = constantsIn(graph);
  const fresh = freshNames(graph);
  const tensors = new Map<string, Tensor>();
  return {
    ...{
      fresh,
      constant,
      tensors,
      nodes: [],
      turned: new Map(),
      deferred: new Map(),
      reshapes: new Map(),
      written: new Set(),
    },
    uses: useCounts(graph),
    ints: (name) => intsIn(tensors.get(name) ?? constant(name)),
    dims: (name) => info(name)?.shape,
    list(values) {
      const name = fresh("axes");
      tensors.set(name, intTensor(name, values));
      return name;
    },
  };
}

function intsIn(tensor: Tensor | undefined): readonly number[] | undefined {
  if (tensor?.dtype !== "int64" || tensor.data.bytes === undefined) return undefined;
  if (elementCount(tensor.shape) > MAX_PARAMETER_ELEMENTS) return undefined;
  return Array.from(typedView(tensor.data.bytes, "int64"), Number);
}

function finish(graph: Graph, { nodes, tensors }: Work): Graph {
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const values = new Map([...graph.values].filter(([name]) => made.has(name) || graph.tensors.has(name)));
  for (const name of tensors.keys()) values.delete(name);
  return { ...graph, nodes, values, tensors: new Map([...graph.tensors, ...tensors]) };
}

function visit(work: Work, node: Node): void {
  const perm = node.op === "Transpose" && node.domain === "" ? intsAttribute(node, "perm") : undefined;
  const moved = perm === undefined ? move(work, node) : undefined;
  if (perm !== undefined) defer(work, node, perm);
  else if (moved === undefined) keep(work, asItIs(work, node));
  else put(work, node, moved);
}

function keep(work: Work, node: Node): void {
  work.nodes.push(node);
  if (node.op === "Reshape" && node.domain === "") work.reshapes.set(node.outputs[0]!, node);
}

/** Two Transposes in a row are one; behind a Reshape that can say the same it is none. */
function defer(work: Work, node: Node, perm: Perm): void {
  const before = work.deferred.get(node.inputs[0]!);
  const source = before?.source ?? node.inputs[0]!;
  const whole = before === undefined ? perm : perm.map((axis) => before.perm[axis]!);
  const shaped = reshapedTo(work, source, whole);
  const straight = whole.map((_, axis) => axis);
  const value = shaped === undefined ? { source, perm: whole } : { source: shaped, perm: straight };
  work.deferred.set(node.outputs[0]!, { ...value, name: node.name });
}

/** The value of a Reshape with its axes in another order, where only axes of length 1 move: a Reshape of its own. */
function reshapedTo(work: Work, source: string, perm: Perm): string | undefined {
  const maker = work.reshapes.get(source);
  const target = maker && work.ints(maker.inputs[1]!);
  if (target === undefined || target.length !== perm.length || target.includes(0)) return undefined;
  if (isIdentity(perm) || !keepsMemory(perm, target)) return undefined;
  const name = work.fresh(`${source}_turned`);
  const shape = work.list(perm.map((axis) => target[axis]!));
  work.nodes.push(makeNode("Reshape", [maker!.inputs[0]!, shape], [name], { name }));
  return name;
}

/** The node with all its Transposes before it. */
function asItIs(work: Work, node: Node): Node {
  for (const name of reads(node)) if (!node.inputs.includes(name)) writeUnder(work, name);
  const inputs = node.inputs.map((name) => read(work, name));
  return inputs.every((name, i) => name === node.inputs[i]) ? node : { ...node, inputs };
}

/** Writes the Transpose of a value where there is one; answers the name to read. */
function read(work: Work, name: string): string {
  const found = work.deferred.get(name);
  if (found === undefined || work.written.has(name)) return name;
  if (isIdentity(found.perm)) return found.source;
  work.nodes.push(
    makeNode("Transpose", [found.source], [name], { name: found.name, attributes: { perm: found.perm } }),
  );
  work.written.add(name);
  return name;
}

/** Makes sure that a value exists under its own name: for outputs and sub-graphs. */
function writeUnder(work: Work, name: string): void {
  const source = read(work, name);
  if (source === name) return;
  work.nodes.push(makeNode("Identity", [source], [name], { name: work.deferred.get(name)!.name }));
  work.written.add(name);
}

const permOf = ({ deferred }: Work, name: string): Perm | undefined => {
  const perm = deferred.get(name)?.perm;
  return perm === undefined || isIdentity(perm) ? undefined : perm;
};

/** The node on untransposed inputs, where its op and its inputs allow that. */
function move(work: Work, node: Node): Moved | undefined {
  const row = node.domain === "" ? MOVES.get(node.op) : undefined;
  if (row === undefined) return undefined;
  const data = row.data === "first" ? node.inputs.slice(0, 1) : node.inputs;
  const perm = data.map((name) => permOf(work, name)).find((found) => found !== undefined);
  if (perm === undefined || !data.every((name) => fits(work, name, perm))) return undefined;
  const moved = row.move(node, perm, work);
  return moved && { ...moved, node: onSources(work, moved.node, row, perm) };
}

/** Comes through the same Transpose, or is a constant that can be rearranged. */
function fits(work: Work, name: string, perm: Perm): boolean {
  const own = permOf(work, name);
  if (own !== undefined) return samePerm(own, perm);
  const tensor = work.constant(name);
  return tensor !== undefined && tensor.dtype !== "string" && tensor.shape.length <= perm.length;
}

function onSources(work: Work, node: Node, row: MoveRow, perm: Perm): Node {
  const inputs = node.inputs.map((name, i) => {
    if (row.data === "first" && i > 0) return read(work, name);
    return permOf(work, name) ? work.deferred.get(name)!.source : turnedConstant(work, node, name, perm);
  });
  return { ...node, inputs };
}

/** What broadcasts in the transposed order, in the order before; a constant nobody else reads keeps its name. */
function turnedConstant(work: Work, node: Node, name: string, perm: Perm): string {
  const tensor = work.constant(name)!;
  if (elementCount(tensor.shape) === 1 && node.op !== "Concat") return name;
  const back = perm.map((_, axis) => perm.indexOf(axis));
  const padded = { ...tensor, shape: [...perm.slice(tensor.shape.length).map(() => 1), ...tensor.shape] };
  const own = node.inputs.filter((input) => input === name).length === work.uses.get(name);
  const now = own ? name : work.fresh(`${name}_turned`);
  const turned = permuted(makeNode("Transpose", [name], [now], { attributes: { perm: back } }), [padded])!;
  work.tensors.set(now, turned);
  work.turned.set(now, { constant: name, perm: back });
  return now;
}

/** Writes a moved node; its outputs keep their names where they need no Transpose any more. */
function put(work: Work, node: Node, { node: moved, perm }: Moved): void {
  if (isIdentity(perm)) {
    work.nodes.push(moved);
    return;
  }
  const outputs = node.outputs.map((name) => {
    if (name === "") return name;
    const source = work.fresh(`${name}_before`);
    work.deferred.set(name, { source, perm, name: `${node.name}_transposed` });
    return source;
  });
  work.nodes.push({ ...moved, outputs });
}
