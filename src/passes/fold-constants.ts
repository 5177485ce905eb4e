/**
 * Evaluates constant sub-expressions with the engine, wave by wave: all nodes whose inputs are known make one small
 * model. What would make the model notably bigger stays a node.
 */
import { onnxModel } from "../ir/build.ts";
import { graphs, mapGraphs, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Model, NDArray, Node, Tensor } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import { bytesOf } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { isEvaluable, outputBound } from "./growth.ts";
import { asView, permuted } from "./lazy-constants.ts";
import type { Pass, PassContext } from "./pass.ts";
import { type FindConstant, forgetValues, visibleConstants } from "./values.ts";

/** Elements a node may add to the model beyond those it reads. */
const MAX_ADDED_ELEMENTS = 65_536;
/** Elements of anything that is evaluated at once; larger weights are only reshaped and transposed, lazily. */
const MAX_EVALUATED_ELEMENTS = 4_194_304;

type Evaluate = NonNullable<PassContext["evaluate"]>;

export const foldConstants: Pass = {
  name: "fold-constants",
  summary: "evaluate constant sub-expressions once",
  async apply(model, { evaluate }) {
    const visible = visibleConstants(model);
    const found = new Map<string, Folded>();
    for (const { scope, graph } of graphs(model.graph))
      found.set(scope, await fold(model, graph, visible(scope), evaluate));
    const rewrite = (graph: Graph, scope: string): Graph => replaced(graph, found.get(scope));
    return withGraph(model, mapGraphs(model.graph, rewrite));
  },
};

/** Nodes that can go, and the initializers that take the place of what they made. */
interface Folded {
  readonly nodes: Set<Node>;
  readonly tensors: Map<string, Tensor>;
}

/** Evaluated nodes hold no sub-graphs, so they are the same objects when their graph's turn comes. */
function replaced(graph: Graph, folded: Folded | undefined): Graph {
  if (folded === undefined || folded.nodes.size === 0) return graph;
  const nodes = graph.nodes.filter((node) => !folded.nodes.has(node));
  const values = forgetValues(graph.values, folded.tensors.keys());
  return withTensors({ ...graph, nodes, values }, [...folded.tensors.values()]);
}

async function fold(model: Model, graph: Graph, constant: FindConstant, evaluate?: Evaluate): Promise<Folded> {
  const folded: Folded = { nodes: new Set(), tensors: new Map() };
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const find: FindConstant = (name) => folded.tensors.get(name) ?? constant(name);
  let open = graph.nodes.filter((node) => isEvaluable(node) && !node.outputs.some((name) => outputs.has(name)));
  for (let done = -1; done !== folded.nodes.size; ) {
    done = folded.nodes.size;
    const ready = open.filter((node) => node.inputs.every((name) => name === "" || find(name) !== undefined));
    const wave = await lazily(ready, find, folded);
    if (evaluate !== undefined) await evaluateWave(model, wave, find, folded, evaluate);
    const tried = new Set(ready);
    open = open.filter((node) => !tried.has(node));
  }
  return folded;
}

/** Takes the nodes whose result is a view of their input; gives back the others that are small enough. */
async function lazily(ready: readonly Node[], find: FindConstant, folded: Folded): Promise<readonly Node[]> {
  const rest: Node[] = [];
  for (const node of ready) {
    const inputs = node.inputs.map((name) => find(name));
    const view = (await asView(node, inputs)) ?? permuted(node, inputs);
    if (view !== undefined) {
      folded.nodes.add(node);
      folded.tensors.set(view.name, view);
    } else if (await isSmall(node, inputs)) rest.push(node);
  }
  return rest;
}

async function isSmall(node: Node, inputs: readonly (Tensor | undefined)[]): Promise<boolean> {
  if (inputs.some((tensor) => tensor !== undefined && !isPlain(tensor))) return false;
  const read = inputs.reduce((total, tensor) => total + elementCount(tensor?.shape ?? [0]), 0);
  const bound = await outputBound(node, inputs);
  return read <= MAX_EVALUATED_ELEMENTS && bound <= Math.min(read + MAX_ADDED_ELEMENTS, MAX_EVALUATED_ELEMENTS);
}

/** Dtypes that an engine hands out. */
const PLAIN = new Set(["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]);
const isPlain = ({ dtype }: Tensor): boolean => PLAIN.has(dtype);

async function evaluateWave(
  model: Model,
  wave: readonly Node[],
  find: FindConstant,
  folded: Folded,
  evaluate: Evaluate,
): Promise<void> {
  if (wave.length === 0) return;
  const results = await attempt(model, wave, find, evaluate);
  if (results === undefined) {
    if (wave.length > 1) for (const node of wave) await evaluateWave(model, [node], find, folded, evaluate);
    return;
  }
  for (const node of wave) {
    const names = node.outputs.filter((name) => name !== "");
    if (!names.every((name) => results[name] !== undefined)) continue;
    folded.nodes.add(node);
    for (const name of names) folded.tensors.set(name, toTensor(name, results[name]!));
  }
}

const toTensor = (name: string, { dtype, shape, data }: NDArray): Tensor => ({
  name,
  dtype,
  shape,
  data: bytesSource(bytesOf(data)),
});

/** A node the engine refuses is no reason to stop: the whole model will be run later and tell. */
async function attempt(model: Model, wave: readonly Node[], find: FindConstant, evaluate: Evaluate) {
  const inputs = new Set(wave.flatMap((node) => node.inputs).filter((name) => name !== ""));
  const outputs = wave.flatMap((node) => node.outputs).filter((name) => name !== "");
  const small = onnxModel(
    {
      inputs: [],
      outputs: outputs.map((name) => ({ name })),
      nodes: wave,
      tensors: [...inputs].map((name) => find(name)!),
    },
    { opsets: model.opsets, formatVersion: model.formatVersion },
  );
  return evaluate(small, {}).catch(() => undefined);
}
