/** Models that were exported for batches of one length, for batches of any: the other way round than passes/fix-batch.ts. */
import { intAttribute } from "../ir/attributes.ts";
import { intTensor, node as makeNode } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { FunctionDef, Graph, Model, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { withKnownIntegers } from "./normalize.ts";
import { BATCH, type OpenAxis, openLengths, ROW_MAJOR, withOpenAxis } from "./open-lengths.ts";
import { fromFront } from "./shapes/lengths.ts";
import { integers } from "./shapes/shape-rule.ts";
import { type Known, knownTensor, knownTypes, learn } from "./types.ts";

/** Functions that stand for one node each, so that nodes keep their numbers. */
const DOMAIN = "fewbit.batch";

/** An input that begins with the samples. */
const openInput = (value: ValueInfo): ValueInfo =>
  value.shape === undefined || value.shape.length === 0 ? value : { ...value, shape: [BATCH, ...value.shape.slice(1)] };

/** What a batch changes is not known of computed values: a length may be one of samples at any axis. */
const anyLengths = (value: ValueInfo): ValueInfo =>
  value.shape === undefined ? value : { ...value, shape: value.shape.map(() => null) };

/** The graph on the way: what is known of its values, and where in them the batch is. */
interface State {
  readonly batch: number;
  readonly opset: number;
  readonly known: Map<string, Known>;
  readonly axes: Map<string, OpenAxis>;
  readonly fresh: (wish: string) => string;
  readonly tensors: Tensor[];
  readonly functions: FunctionDef[];
}

/** A constant of the graph with other lengths than `name`; answers what it is called. */
function lengthsInstead(state: State, name: string, lengths: readonly number[]): string {
  const tensor = intTensor(state.fresh(`${name}/open`), lengths);
  state.tensors.push(tensor);
  state.known.set(tensor.name, knownTensor(tensor));
  return tensor.name;
}

/** A reshape to lengths that are constants, of a value with the batch in it: what comes takes the place of the batch. */
function reshaped(state: State, node: Node): Node {
  const [data = "", shape = ""] = node.inputs;
  const axis = state.axes.get(data);
  const lengths = integers(state.known.get(shape));
  const found = axis && lengths && openLengths(lengths, axis, intAttribute(node, "allowzero", 0) !== 0, state.batch);
  if (found === undefined) return node;
  const { allowzero: _, ...attributes } = node.attributes;
  return { ...node, attributes, inputs: [data, lengthsInstead(state, shape, found)] };
}

/** Operator set in which Resize takes the lengths of some axes alone. */
const SOME_AXES = 18;

/** A Resize to lengths that are constants leaves that of the batch as it is. */
function resized(state: State, node: Node): Node {
  const { known, axes, batch, opset } = state;
  const [data = "", region = "", scales = "", sizes = ""] = node.inputs;
  const axis = axes.get(data)?.axis;
  const lengths = integers(known.get(sizes));
  if (axis === undefined || lengths?.[axis] !== batch || region !== "" || scales !== "") return node;
  if (opset < SOME_AXES || node.attributes.axes !== undefined) return node;
  const others = lengths.flatMap((_, at) => (at === axis ? [] : [at]));
  const left = others.map((at) => lengths[at]!);
  const attributes = { ...node.attributes, axes: { type: "ints", value: others } as const };
  return { ...node, attributes, inputs: [data, "", "", lengthsInstead(state, sizes, left)] };
}

/**
 * Constants of one sample beside computed values, as the class token of a vision transformer, are repeated for all of them: a
 * function that stands for a Concat. The same node where there are none.
 */
function joined(state: State, node: Node): Node {
  const { known, axes, opset } = state;
  const computed = node.inputs.findIndex((name) => axes.has(name));
  const { dims, axis } = axes.get(node.inputs[computed]!) ?? {};
  if (state.batch !== 1 || dims === undefined || axis === undefined || dims[axis] !== BATCH) return node;
  const along = intAttribute(node, "axis", 0);
  const isToken = (name: string) => !axes.has(name) && known.get(name)?.dims?.[axis] === 1;
  if (fromFront(along, dims.length) === axis || !node.inputs.some(isToken)) return node;
  const inputs = node.inputs.map((_, at) => `in${at}`);
  const all = inputs.map((name, at) => (isToken(node.inputs[at]!) ? `${name}/all` : name));
  const vector = (name: string, values: readonly number[]) =>
    makeNode("Constant", [], [name], { attributes: { value: intTensor(name, values) } });
  const made: FunctionDef = {
    ...{ name: `Concat${state.functions.length}`, domain: DOMAIN, inputs, outputs: ["out"], opsets: { "": opset } },
    nodes: [
      makeNode("Shape", [inputs[computed]!], ["lengths"]),
      vector("at", [axis]),
      makeNode("Gather", ["lengths", "at"], ["samples"], { attributes: { axis: 0 } }),
      vector("before", new Array(axis).fill(1)),
      vector("behind", new Array(dims.length - axis - 1).fill(1)),
      makeNode("Concat", ["before", "samples", "behind"], ["often"], { attributes: { axis: 0 } }),
      ...inputs.flatMap((name, at) => (all[at] === name ? [] : [makeNode("Expand", [name, "often"], [all[at]!])])),
      { ...node, inputs: all, outputs: ["out"] },
    ],
  };
  state.functions.push(made);
  return { ...node, op: made.name, domain: DOMAIN, attributes: {} };
}

/** Learns what a node makes, tokens as long as the samples beside them. */
function follow(state: State, written: Node, node: Node): void {
  const { known, axes } = state;
  if (node.domain === DOMAIN) {
    const lengths = node.inputs.map((name) => axes.get(name)).find(Boolean)!;
    const inputs = written.inputs.map((name) => (axes.has(name) ? name : `${name}/all`));
    for (const [at, name] of written.inputs.entries()) {
      const { dims, dtype } = known.get(name) ?? {};
      const repeated = dims?.map((dim, axis) => (axis === lengths.axis ? lengths.dims[axis]! : dim));
      if (!axes.has(name)) known.set(inputs[at]!, { ...(dtype && { dtype }), ...(repeated && { dims: repeated }) });
    }
    learn(known, { ...written, inputs });
  } else learn(known, node);
  const source = node.inputs.map((name) => axes.get(name)).find(Boolean);
  for (const name of node.outputs) {
    const dims = known.get(name)?.dims;
    const found = source && dims && withOpenAxis(dims, source, ROW_MAJOR.has(node.op));
    if (found !== undefined) axes.set(name, found);
  }
}

/** What is written in the place of a node of the default domain. */
const CHANGES: ReadonlyMap<string, (state: State, node: Node) => Node> = new Map([
  ["Reshape", reshaped],
  ["Resize", resized],
  ["Concat", joined],
]);

/** The graph with an open batch, and the functions that stand for some of its nodes. */
function opened({ graph, opsets }: Model, batch: number): Pick<State, "functions"> & { readonly graph: Graph } {
  const inputs = graph.inputs.map(openInput);
  const outputs = graph.outputs.map(anyLengths);
  const values = new Map([...graph.values].map(([name, value]) => [name, anyLengths(value)]));
  const open: Graph = { ...graph, inputs, outputs, values };
  const state: State = {
    ...{ batch, opset: opsets[""] ?? 0, fresh: freshNames(graph), tensors: [], functions: [] },
    known: knownTypes({ ...open, nodes: [] }),
    axes: new Map(inputs.map(({ name, shape = [] }) => [name, { dims: shape, axis: 0, before: 1 }])),
  };
  const nodes = graph.nodes.map((node) => {
    const change = node.domain === "" ? CHANGES.get(node.op) : undefined;
    const next = change?.(state, node) ?? node;
    follow(state, node, next);
    return next;
  });
  return { functions: state.functions, graph: withTensors({ ...open, nodes }, state.tensors) };
}

/**
 * `model` for batches of any length where it was exported for those of `batch`: its inputs are open, its reshapes take what
 * comes, and constants of one sample beside others are repeated. Nodes keep their order and constants their names. Whether
 * it still computes the same is for whoever runs it to see: a model may mix its samples, or hold the length where this does not
 * look.
 */
export async function openBatch(model: Model, batch: number): Promise<Model> {
  const { graph, functions } = opened(await withKnownIntegers(model), batch);
  const open = withGraph(model, graph);
  if (functions.length === 0) return open;
  return { ...open, functions: [...open.functions, ...functions], opsets: { ...open.opsets, [DOMAIN]: 1 } };
}
