/**
 * Folds a per-channel scale and shift into the weights before it: BatchNormalization at inference (Ioffe and Szegedy,
 * arXiv:1502.03167, section 3.1), Mul, Div, Add and Sub by constants. Convolutions and Gemm take them; sums are made in
 * double precision, when the weight is read.
 */

import { weightAt } from "../ir/dialect.ts";
import { freshNames, mapGraphs, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { ONNX } from "../ir/onnx-ops.ts";
import { affineOf } from "./affine.ts";
import { foldable, folded, type Linear, scaledGrid } from "./linear.ts";
import type { Pass } from "./pass.ts";
import { type FindConstant, forgetValues, useCounts, visibleConstants } from "./values.ts";

export const foldBatchNorm: Pass = {
  name: "fold-batch-norm",
  summary: "fold batch normalization and per-channel scales and shifts into the convolution or Gemm before them",
  async apply(model) {
    const visible = visibleConstants(model);
    const fresh = freshNames(model.graph);
    const scaled: Scaled[] = [];
    const graph = mapGraphs(model.graph, (inner, scope) => foldIn(inner, visible(scope), fresh, scaled));
    return withGraph(model, await withScaledGrids(graph, scaled));
  },
};

/** A weight of the main graph that is on a grid and was multiplied. */
interface Scaled {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly factors: () => Promise<Float64Array>;
}

/** Grids follow the factors of their weights, which have to be read for that. */
async function withScaledGrids(graph: Graph, scaled: readonly Scaled[]): Promise<Graph> {
  const grids = new Map<string, Tensor["grid"]>();
  for (const { tensor, axis, factors } of scaled) {
    const grid = grids.has(tensor.name) ? grids.get(tensor.name) : tensor.grid;
    grids.set(tensor.name, grid && scaledGrid(grid, axis, await factors()));
  }
  const changed = [...grids].flatMap(([name, grid]): readonly Tensor[] => {
    const tensor = graph.tensors.get(name);
    if (tensor === undefined) return [];
    const { grid: _, ...plain } = tensor;
    return [grid === undefined ? plain : { ...plain, grid }];
  });
  return changed.length === 0 ? graph : withTensors(graph, changed);
}

/** What lies on a grid of its own is more than a step on the way: it counts as read by others too. */
const withoutGrids = (uses: ReadonlyMap<string, number>, { grids }: Graph): ReadonlyMap<string, number> =>
  grids === undefined ? uses : new Map([...uses].map(([name, count]) => [name, grids.has(name) ? count + 1 : count]));

interface Folding {
  readonly nodes: (Node | undefined)[];
  /** Value -> index of the node that makes it, for nodes that can take an affine function. */
  readonly linear: Map<string, number>;
  readonly added: Map<string, Tensor>;
  readonly gone: string[];
  readonly scaled: Scaled[];
}

/** One walk in order: a folded node takes the output name of what it swallowed, so chains fold too. */
function foldIn(graph: Graph, constant: FindConstant, fresh: (wish: string) => string, scaled: Scaled[]): Graph {
  const uses = withoutGrids(useCounts(graph), graph);
  const state: Folding = { nodes: [...graph.nodes], linear: new Map(), added: new Map(), gone: [], scaled };
  const find: FindConstant = (name) => state.added.get(name) ?? constant(name);
  const onlyHere = (name: string) => state.added.has(name) || (uses.get(name) === 1 && graph.tensors.has(name));
  for (const [index, node] of graph.nodes.entries()) {
    if (foldable(node, find) !== undefined) state.linear.set(node.outputs[0]!, index);
    else swallow(state, index, node, { find, uses, rename: (name) => (onlyHere(name) ? name : fresh(name)) });
  }
  if (state.gone.length === 0) return graph;
  const nodes = state.nodes.filter((node) => node !== undefined);
  const values = forgetValues(graph.values, state.gone);
  return withTensors({ ...graph, nodes, values }, [...state.added.values()]);
}

/** Axis of the output channels in the weight; -1 where the op table has none. */
const channelAxis = (node: Node): number => weightAt(ONNX, node, 1)?.axis(node, 2) ?? -1;

interface Around {
  readonly find: FindConstant;
  readonly uses: ReadonlyMap<string, number>;
  /** Name of the folded copy of a constant: its own where nobody else reads it. */
  readonly rename: (name: string) => string;
}

function swallow(state: Folding, index: number, node: Node, { find, uses, rename }: Around): void {
  const source = node.inputs.find((name) => state.linear.has(name) && uses.get(name) === 1);
  const target = source === undefined ? undefined : state.linear.get(source);
  if (source === undefined || target === undefined) return;
  const before = state.nodes[target]!;
  const linear = foldable(before, find) as Linear;
  const affine = affineOf(node, source, linear, find);
  if (affine === undefined) return;
  const { node: after, tensors } = folded(linear, affine, node.outputs[0]!, rename);
  for (const tensor of tensors) state.added.set(tensor.name, tensor);
  const [weight] = tensors;
  if (affine.scale && weight?.grid)
    state.scaled.push({ tensor: weight, axis: channelAxis(after), factors: affine.scale });
  state.nodes[target] = after;
  state.nodes[index] = undefined;
  state.gone.push(source);
  state.linear.delete(source);
  state.linear.set(node.outputs[0]!, target);
}
