/** Brings a model of any age and exporter to the form gradients are taken of. */
import { graph as makeGraph } from "../ir/build.ts";
import { graphs, mapGraphs, withGraph } from "../ir/edit.ts";
import type { FunctionDef, Graph, Model, Tensor } from "../ir/model.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { constantNodes } from "../passes/constant-nodes.ts";
import { raiseOpset } from "../passes/raise-opset.ts";
import { unlistInitializers } from "../passes/unlist-initializers.ts";
import { decompose } from "./decompose/index.ts";
import { type Body, inlineFunctions, unrollLoops } from "./unrolling/index.ts";

/**
 * Operator set of training graphs: the first with Gelu as one op (20), reductions with their axes as an input (18), sums in
 * scatters (16), and with 4-bit and blocked quantization (21), which models trained for it are written in afterwards.
 */
export const TRAINING_OPSET = 21;

/** Integers that can say something about shapes are few: a value has at most 64 axes. */
const MAX_KNOWN_ELEMENTS = 64;

const NO_CONTEXT = {};

/** Lengths, axes and trip counts have to be in memory when the graph is built. */
async function loaded(tensor: Tensor): Promise<Tensor> {
  const { dtype, shape, data } = tensor;
  const counts = DTYPES[dtype].kind === "int" || dtype === "bool";
  if (data.bytes !== undefined || !counts || elementCount(shape) > MAX_KNOWN_ELEMENTS) return tensor;
  return { ...tensor, data: bytesSource(await readAll(data)) };
}

/** The model with all small integer constants in memory, those of sub-graphs too. */
export async function withKnownIntegers(model: Model): Promise<Model> {
  const found = new Map<Tensor, Tensor>();
  for (const { graph } of graphs(model.graph))
    for (const tensor of graph.tensors.values()) {
      const next = await loaded(tensor);
      if (next !== tensor) found.set(tensor, next);
    }
  if (found.size === 0) return model;
  const swap = (graph: Graph): Graph =>
    [...graph.tensors.values()].some((tensor) => found.has(tensor))
      ? { ...graph, tensors: new Map([...graph.tensors].map(([name, tensor]) => [name, found.get(tensor) ?? tensor])) }
      : graph;
  return withGraph(model, mapGraphs(model.graph, swap));
}

/** The body of a function at an operator set; it may need constants then. */
async function bodyAt(made: FunctionDef, model: Model, opset: number): Promise<Body> {
  const ends = (names: readonly string[]) => names.map((name) => ({ name }));
  const graph = makeGraph({ inputs: ends(made.inputs), outputs: ends(made.outputs), nodes: made.nodes });
  const raised = await raiseOpset(opset).apply({ ...model, graph, opsets: made.opsets, functions: [] }, NO_CONTEXT);
  return { ...made, nodes: raised.graph.nodes, tensors: [...raised.graph.tensors.values()] };
}

/**
 * The model with its functions inlined: everything is raised to one operator set, the training one at least. The same model
 * when it has none.
 */
export async function withoutFunctions(model: Model): Promise<Model> {
  const { functions } = model;
  if (functions.length === 0) return model;
  const used = [model.opsets, ...functions.map(({ opsets }) => opsets)];
  const opset = Math.max(TRAINING_OPSET, ...used.map((opsets) => opsets[""] ?? 0));
  const main = await raiseOpset(opset).apply({ ...model, functions: [] }, NO_CONTEXT);
  const bodies: Body[] = [];
  for (const made of functions) bodies.push(await bodyAt(made, model, opset));
  const opsets = Object.assign({}, ...used, main.opsets) as Model["opsets"];
  return inlineFunctions({ ...main, functions, opsets }, bodies);
}

/**
 * The same function as a model that can be differentiated: of operator set 21 or later, its functions inlined, Constant nodes
 * made initializers, loops and recurrent layers of known length unrolled, and attention, rotary embeddings and other ops that
 * are functions themselves written out. Inputs, outputs and initializers keep their names; the same model when it has that
 * form. What can't follow is an error of code "unsupported" that names the node; a loop of unknown length stays, and is
 * refused when a gradient has to go through it.
 */
export async function normalizeForTraining(model: Model): Promise<Model> {
  const free = await unlistInitializers.apply(model, NO_CONTEXT);
  const raised = await raiseOpset(TRAINING_OPSET).apply(await withoutFunctions(free), NO_CONTEXT);
  const lifted = await constantNodes.apply(raised, NO_CONTEXT);
  return decompose(unrollLoops(await withKnownIntegers(lifted)));
}
