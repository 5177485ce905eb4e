/** Raises the default operator set, rewriting ops whose signature or meaning changed on the way. */
import { freshNames, graphs, mapGraphs, nodeLabel, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { CHANGES, type ChangeSite } from "./opset-changes.ts";
import type { Pass } from "./pass.ts";
import { declared, type FindConstant, isUnread, visibleConstants } from "./values.ts";

/** Older files differ in too many ops, and no exporter in use writes them. */
const OLDEST = 7;

/** First operator set that needs each IR version (ONNX Versioning.md, "Released Versions"). */
const IR_VERSIONS: readonly (readonly [opset: number, ir: number])[] = [
  [9, 4],
  [10, 5],
  [11, 6],
  [12, 7],
  [15, 8],
  [19, 9],
  [21, 10],
  [23, 11],
  [24, 12],
  [25, 13],
];

const irVersion = (opset: number): number => IR_VERSIONS.findLast(([from]) => from <= opset)?.[1] ?? 3;

/** Versions at which some op changed. */
const VERSIONS = [...new Set(Object.values(CHANGES).flatMap((row) => Object.keys(row).map(Number)))].sort(
  (a, b) => a - b,
);

/**
 * The pass that brings a model to at least `opset`. Fails with code "unsupported" where an op can't follow; the message
 * names the node.
 */
export const raiseOpset = (opset: number): Pass => ({
  name: "raise-opset",
  summary: `bring the model to operator set ${opset}`,
  apply: (model) => raise(model, opset),
});

async function raise(model: Model, wanted: number): Promise<Model> {
  const from = model.opsets[""] ?? 0;
  if (from >= wanted || from === 0) return model;
  const remedy = `operator set ${wanted} is needed: export the model with ${wanted} or newer`;
  if (from < OLDEST) fail("unsupported", `operator set ${from} is too old to be brought up to date; ${remedy}`);
  if (model.functions.length > 0) fail("unsupported", `the model has functions at operator set ${from}; ${remedy}`);
  let current = model;
  for (const version of VERSIONS.filter((version) => version > from && version <= wanted))
    current = await step(current, version, remedy);
  const formatVersion = Math.max(current.formatVersion, irVersion(wanted));
  return { ...current, opsets: { ...current.opsets, "": wanted }, formatVersion };
}

/** What becomes of one graph. */
interface Rewrites {
  readonly nodes: Map<Node, readonly Node[]>;
  readonly tensors: Tensor[];
}

/** All graphs, from the version before `version` to `version`. Nodes that change hold no sub-graphs. */
async function step(model: Model, version: number, remedy: string): Promise<Model> {
  const fresh = freshNames(model.graph);
  const visible = visibleConstants(model);
  const rewrites = new Map<string, Rewrites>();
  for (const { scope, graph } of graphs(model.graph))
    rewrites.set(scope, await rewritesOf(graph, version, visible(scope), fresh, remedy));
  const perform = (graph: Graph, scope: string): Graph => {
    const { nodes, tensors } = rewrites.get(scope)!;
    if (nodes.size === 0) return graph;
    return withTensors({ ...graph, nodes: graph.nodes.flatMap((node) => nodes.get(node) ?? [node]) }, tensors);
  };
  return withGraph(model, mapGraphs(model.graph, perform));
}

async function rewritesOf(
  graph: Graph,
  version: number,
  constant: FindConstant,
  fresh: (wish: string) => string,
  remedy: string,
): Promise<Rewrites> {
  const rewrites: Rewrites = { nodes: new Map(), tensors: [] };
  const shared = { constant, fresh, info: declared(graph), unread: isUnread(graph) };
  for (const node of graph.nodes) {
    const row = node.domain === "" && Object.hasOwn(CHANGES, node.op) ? CHANGES[node.op] : undefined;
    const change = row?.[version];
    if (change === undefined) continue;
    const site: ChangeSite = {
      ...shared,
      add: (tensor) => rewrites.tensors[rewrites.tensors.push(tensor) - 1]!.name,
      refuse: (why) => fail("unsupported", `node "${nodeLabel(node)}" (${node.op}): ${why}; ${remedy}`),
    };
    rewrites.nodes.set(node, await change(node, site));
  }
  return rewrites;
}
