/** Removes nodes that hand an input on unchanged at inference. */
import { intAttribute, intsAttribute } from "../ir/attributes.ts";
import { graphs, mapGraphs, withGraph } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { forward } from "./forward.ts";
import type { Pass } from "./pass.ts";
import { declared, type FindConstant, isUnread, visibleConstants } from "./values.ts";

/** Parameters like pads and shapes have a few elements; anything longer is not looked at. */
const MAX_PARAMETER_BYTES = 4096;

interface Site {
  readonly model: Model;
  readonly constant: FindConstant;
  readonly info: (name: string) => ValueInfo | undefined;
  readonly unread: (names: readonly string[]) => boolean;
}

type Rule = (node: Node, site: Site) => boolean | Promise<boolean>;

async function parameter(tensor: Tensor | undefined): Promise<readonly number[] | undefined> {
  if (tensor === undefined || tensor.dtype === "string" || tensor.data.size > MAX_PARAMETER_BYTES) return undefined;
  return Array.from(typedView(await readAll(tensor.data), tensor.dtype), Number);
}

const isOmitted = (node: Node, input: number): boolean => (node.inputs[input] ?? "") === "";

/** Random only when told to train: by input from opset 12 on, by attribute before opset 7. */
const dropout: Rule = async (node, { model, constant, unread }) => {
  if ((model.opsets[""] ?? 0) < 7 || !unread(node.outputs.slice(1))) return false;
  if (isOmitted(node, 2)) return true;
  return (await parameter(constant(node.inputs[2]!)))?.[0] === 0;
};

/** TensorProto.DataType FLOAT; other types are never cast without need. */
const FLOAT32 = 1;
const cast: Rule = (node, { info }) =>
  intAttribute(node, "to", 0) === FLOAT32 && info(node.inputs[0]!)?.dtype === "float32";

const transpose: Rule = (node) => intsAttribute(node, "perm")?.every((axis, index) => axis === index) ?? false;

const pad: Rule = async (node, { constant }) => {
  const pads = node.inputs.length > 1 ? await parameter(constant(node.inputs[1]!)) : intsAttribute(node, "pads");
  return pads?.every((count) => count === 0) ?? false;
};

/** To the shape the value is declared to have, every dimension known and none empty. */
const reshape: Rule = async (node, { constant, info }) => {
  const shape = info(node.inputs[0]!)?.shape;
  const target = await parameter(constant(node.inputs[1] ?? ""));
  if (shape === undefined || target === undefined || shape.length !== target.length) return false;
  return shape.every((dim, index) => typeof dim === "number" && dim > 0 && dim === target[index]);
};

const onlyOne: Rule = (node) => node.inputs.length === 1;

const RULES: Readonly<Record<string, Rule>> = {
  Identity: () => true,
  Dropout: dropout,
  Cast: cast,
  Transpose: transpose,
  Pad: pad,
  Reshape: reshape,
  Concat: onlyOne,
  Sum: onlyOne,
  Mean: onlyOne,
  Max: onlyOne,
  Min: onlyOne,
};

export const dropIdentity: Pass = {
  name: "drop-identity",
  summary: "remove nodes that change nothing: Identity, Dropout, padding by nothing, transposition to the same order",
  async apply(model) {
    const visible = visibleConstants(model);
    const found = new Map<string, ReadonlyMap<Node, string>>();
    for (const { scope, graph } of graphs(model.graph))
      found.set(scope, await forwarding(model, graph, visible(scope)));
    return withGraph(model, dropIn(model.graph, found));
  },
};

async function forwarding(model: Model, graph: Graph, constant: FindConstant): Promise<ReadonlyMap<Node, string>> {
  const found = new Map<Node, string>();
  const site: Site = { model, constant, info: declared(graph), unread: isUnread(graph) };
  for (const node of graph.nodes) {
    const rule = node.domain === "" && Object.hasOwn(RULES, node.op) ? RULES[node.op] : undefined;
    if (rule !== undefined && !isOmitted(node, 0) && (await rule(node, site))) found.set(node, node.inputs[0]!);
  }
  return found;
}

/** None of these nodes holds sub-graphs, so they are the same objects when their graph's turn comes. */
const dropIn = (root: Graph, found: ReadonlyMap<string, ReadonlyMap<Node, string>>): Graph =>
  mapGraphs(root, (graph, scope) => forward(graph, found.get(scope) ?? new Map()));
