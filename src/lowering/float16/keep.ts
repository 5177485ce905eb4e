/** Decides which nodes stay in float32. */

import { dtypeOf } from "../../containers/onnx/dtypes.ts";
import { intAttribute, subgraphs, tensorAttribute } from "../../ir/attributes.ts";
import { consumers, graphs, nodeLabel } from "../../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../ir/model.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { type Constants, constantsOf } from "../context.ts";
import { ANY_TYPE_OPS, FLOAT32_OPS, HALF_CONTRIB_OPS, LENGTH_OPS, PRECISE_OPS, scattersSums } from "./ops.ts";
import { type GraphTypes, typedGraphs } from "./types.ts";
import { type HalfLoss, halfLoss } from "./values.ts";

/** A float32 constant that a node reads which will compute in half precision. */
export interface ReadConstant {
  readonly tensor: Tensor;
  readonly loss: HalfLoss;
  /** Labels of the nodes that read it. */
  readonly readers: readonly string[];
}

export interface KeepRequest {
  readonly blockedOps: ReadonlySet<string>;
  readonly blockedNodes: ReadonlySet<string>;
  /** Keep only what the converters of transformers.js keep; large constants are clamped instead. */
  readonly asScripts: boolean;
}

export interface Kept {
  readonly nodes: ReadonlySet<Node>;
  /** Constants that become halves, or would have without `nodes`. */
  readonly constants: readonly ReadConstant[];
}

/** Domains whose ops follow the operator sets' rule: what takes float32 takes float16. */
const ONNX_DOMAINS: ReadonlySet<string> = new Set(["", "ai.onnx"]);

function blockedByName(model: Model, request: KeepRequest): (node: Node) => boolean {
  const functions = new Set(model.functions.map(({ domain, name }) => `${domain}:${name}`));
  return (node) => {
    if (request.blockedOps.has(node.op) || request.blockedNodes.has(nodeLabel(node))) return true;
    if (functions.has(`${node.domain}:${node.op}`)) return true;
    if (node.domain === "com.microsoft") return !HALF_CONTRIB_OPS.has(node.op);
    if (!ONNX_DOMAINS.has(node.domain)) return true;
    return FLOAT32_OPS.has(node.op) || scattersSums(node) || (!request.asScripts && PRECISE_OPS.has(node.op));
  };
}

/** A node that is kept keeps everything inside it. */
function addWithBody(kept: Set<Node>, node: Node): void {
  kept.add(node);
  for (const sub of subgraphs(node))
    for (const { graph } of graphs(sub.graph)) for (const inner of graph.nodes) kept.add(inner);
}

/** All nodes that stay in float32, and the constants that matter, each read once. */
export async function keepNodes(model: Model, types: GraphTypes, request: KeepRequest): Promise<Kept> {
  const kept = new Set<Node>();
  const blocked = blockedByName(model, request);
  for (const { graph } of graphs(model.graph))
    for (const node of graph.nodes) if (!kept.has(node) && blocked(node)) addWithBody(kept, node);
  const constants = await readConstants(model, kept);
  if (request.asScripts) return { nodes: kept, constants: constants.map(({ read }) => read) };
  for (const { read, nodes } of constants)
    if (read.loss.overflowing > 0) for (const node of nodes) addWithBody(kept, node);
  for (const graph of typedGraphs(model.graph, types)) keepLengths(graph.graph, graph.types, kept);
  return { nodes: kept, constants: constants.map(({ read }) => read) };
}

interface Found {
  readonly read: ReadConstant;
  readonly nodes: readonly Node[];
}

const ownConstant = (node: Node): Tensor | undefined =>
  node.op === "ConstantOfShape" ? tensorAttribute(node, "value") : undefined;

/** Constants of nodes that are not kept, by tensor. */
async function readConstants(model: Model, kept: ReadonlySet<Node>): Promise<readonly Found[]> {
  const readers = new Map<Tensor, Node[]>();
  const known: Constants = constantsOf(model);
  for (const { scope, graph } of graphs(model.graph))
    for (const node of graph.nodes) {
      if (kept.has(node) || ANY_TYPE_OPS.has(node.op)) continue;
      const inputs = node.inputs.map((name) => (name === "" ? undefined : known.find(scope, name)?.tensor));
      for (const tensor of [...inputs, ownConstant(node)])
        if (tensor?.dtype === "float32") readers.set(tensor, [...(readers.get(tensor) ?? []), node]);
    }
  const found: Found[] = [];
  for (const [tensor, nodes] of readers)
    found.push({ nodes, read: { tensor, loss: await halfLoss(tensor), readers: nodes.map(nodeLabel) } });
  return found;
}

/** Constants above this many elements are weights, no matter what reads them. */
const MAX_LENGTH_CONSTANT = 1024;

const castsToFloat = (node: Node): boolean => (dtypeOf(intAttribute(node, "to", 1), "Cast") ?? "").startsWith("float");

/** Lengths, positions and angles that only exact ops, integers and shapes come from stay exact. Last nodes first. */
function keepLengths(graph: Graph, types: GraphTypes, kept: Set<Node>): void {
  const readers = consumers(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const exact = (node: Node): boolean =>
    kept.has(node) || (ANY_TYPE_OPS.has(node.op) && !(node.op === "Cast" && castsToFloat(node)));
  const small = (name: string): boolean => elementCount(graph.tensors.get(name)?.shape ?? []) <= MAX_LENGTH_CONSTANT;
  for (const node of [...graph.nodes].reverse()) {
    if (kept.has(node) || node.domain !== "" || !LENGTH_OPS.has(node.op)) continue;
    const floats = node.outputs.filter((name) => types.of(name) === "float32");
    if (floats.length === 0 || floats.some((name) => outputs.has(name)) || !node.inputs.every(small)) continue;
    const reading = floats.flatMap((name) => readers.get(name) ?? []);
    if (reading.length > 0 && reading.every(exact)) kept.add(node);
  }
}
