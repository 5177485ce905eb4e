/** Is a model legal? Names, order, operator sets, sizes. Run on what was read, and in tests after every pass. */
import { byteLength, DTYPES, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { subgraphs } from "./attributes.ts";
import { findCycle } from "./cycle.ts";
import { nodeLabel } from "./edit.ts";
import type { FunctionDef, Graph, Model, Node, Tensor } from "./model.ts";

/** Complaints listed before the rest is only counted: nobody reads more, and a hostile file could cause a million. */
const MAX_COMPLAINTS = 50;

/** Names visible in a graph: its own so far, then those of the graphs around it. */
interface Scope {
  readonly names: Set<string>;
  readonly outer: Scope | undefined;
}

/** A name that was read before anything in sight made it. */
interface Missing {
  readonly name: string;
  readonly reader: string;
}

interface Complaints {
  readonly list: string[];
  /** How many are not in the list. */
  more: number;
}

interface Checking {
  readonly complaints: Complaints;
  readonly opsets: Readonly<Record<string, number>> | undefined;
  /** Domains already complained about. */
  readonly domains: Set<string>;
}

function complain({ complaints }: Pick<Checking, "complaints">, text: string): void {
  if (complaints.list.length < MAX_COMPLAINTS) complaints.list.push(text);
  else complaints.more++;
}

const visible = (scope: Scope | undefined, name: string): boolean =>
  scope !== undefined && (scope.names.has(name) || visible(scope.outer, name));

const describe = (node: Node): string => `node "${nodeLabel(node)}" (${node.op})`;

function tensorComplaint({ name, dtype, shape, data, strings }: Tensor): string | undefined {
  const bad = shape.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
  if (bad !== undefined) return `tensor "${name}" has a dimension of ${bad}; expected a whole number from 0 on`;
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count * Math.max(8, DTYPES[dtype].bits)))
    return `tensor "${name}" has shape [${shape}], whose size overflows; split it`;
  if (dtype === "string")
    return strings?.length === count
      ? undefined
      : `tensor "${name}" has ${strings?.length ?? 0} strings, but shape [${shape}] needs ${count}`;
  const needed = byteLength(dtype, count);
  return data.size === needed
    ? undefined
    : `tensor "${name}" has ${data.size} bytes, but ${dtype}[${shape}] needs ${needed}`;
}

const constants = (node: Node): readonly Tensor[] =>
  Object.values(node.attributes).flatMap((attribute) =>
    attribute.type === "tensor" ? [attribute.value] : attribute.type === "tensors" ? attribute.value : [],
  );

function checkTensors(tensors: Iterable<Tensor>, where: string, checking: Checking): void {
  for (const tensor of tensors) {
    const complaint = tensorComplaint(tensor);
    if (complaint) complain(checking, `${where}: ${complaint}`);
  }
}

function checkDomain(node: Node, checking: Checking): void {
  const { opsets, domains } = checking;
  if (opsets === undefined || Object.hasOwn(opsets, node.domain) || domains.has(node.domain)) return;
  domains.add(node.domain);
  const domain = node.domain || "ai.onnx";
  complain(
    checking,
    `${describe(node)} is of operator set "${domain}", which is not imported; import it with its version`,
  );
}

/** Inputs and constants of a graph; a constant may carry the name of an input, it is then its default. */
function startingScope(graph: Graph, where: string, outer: Scope | undefined, checking: Checking): Scope {
  const names = new Set<string>();
  for (const { name } of graph.inputs) {
    if (names.has(name)) complain(checking, `${where}: input "${name}" is there twice; names must differ`);
    names.add(name);
  }
  for (const name of [...graph.tensors.keys(), ...(graph.opaque ?? [])]) names.add(name);
  return { names, outer };
}

function checkOutputs(node: Node, scope: Scope, checking: Checking): void {
  for (const name of node.outputs) {
    if (name === "") continue;
    if (visible(scope, name))
      complain(checking, `${describe(node)} makes "${name}", which exists already; every value needs its own name`);
    scope.names.add(name);
  }
}

/** Checks a node against what is in sight; returns what it and its sub-graphs read too early or in vain. */
function checkNode(node: Node, scope: Scope, checking: Checking): readonly Missing[] {
  checkDomain(node, checking);
  checkTensors(constants(node), describe(node), checking);
  const missing: Missing[] = [];
  for (const name of node.inputs)
    if (name !== "" && !visible(scope, name)) missing.push({ name, reader: `${describe(node)} reads` });
  for (const { attribute, graph } of subgraphs(node))
    for (const inner of checkGraph(graph, `${describe(node)}, ${attribute}`, scope, checking)) missing.push(inner);
  checkOutputs(node, scope, checking);
  return missing;
}

/** Complains about values read before they are made: a cycle, or nodes in the wrong order. */
function complainAboutOrder(late: readonly Missing[], graph: Graph, where: string, checking: Checking): void {
  const cycle = findCycle(graph);
  if (cycle) {
    const way = cycle.map((node) => `"${nodeLabel(node)}"`).join(" -> ");
    complain(checking, `${where}: nodes feed each other in a cycle: ${way}; break it`);
    return;
  }
  for (const { name, reader } of late)
    complain(checking, `${where}: ${reader} "${name}" before it is made; put the nodes in topological order`);
}

/** Checks a graph and returns the names it expects from the graphs around it but did not find there yet. */
function checkGraph(graph: Graph, where: string, outer: Scope | undefined, checking: Checking): readonly Missing[] {
  checkTensors(graph.tensors.values(), where, checking);
  const scope = startingScope(graph, where, outer, checking);
  const missing = graph.nodes.flatMap((node) => checkNode(node, scope, checking));
  const late = missing.filter(({ name }) => scope.names.has(name));
  if (late.length > 0) complainAboutOrder(late, graph, where, checking);
  const outputs = graph.outputs.filter(({ name }) => !visible(scope, name));
  return [
    ...missing.filter(({ name }) => !scope.names.has(name)),
    ...outputs.map(({ name }) => ({ name, reader: `${where} gives` })),
  ];
}

function checkWhole(graph: Graph, where: string, checking: Checking): void {
  for (const { name, reader } of checkGraph(graph, where, undefined, checking))
    complain(checking, `${reader} "${name}", which no input, constant or node makes; correct the name or add it`);
}

/** A function's body as a graph. */
const bodyOf = ({ name, inputs, outputs, nodes }: FunctionDef): Graph => ({
  name,
  inputs: inputs.map((input) => ({ name: input })),
  outputs: outputs.map((output) => ({ name: output })),
  nodes,
  tensors: new Map(),
  values: new Map(),
});

function checkFunctions(functions: readonly FunctionDef[], complaints: Complaints, needsOpsets: boolean): void {
  const known = new Set<string>();
  for (const made of functions) {
    const key = JSON.stringify([made.domain, made.name, made.overload ?? ""]);
    if (known.has(key)) complain({ complaints }, `function "${made.name}" is there twice; names must differ`);
    known.add(key);
    const opsets = needsOpsets ? made.opsets : undefined;
    checkWhole(bodyOf(made), `function "${made.name}"`, { complaints, opsets, domains: new Set() });
  }
}

/**
 * What is illegal about a model, one sentence each; empty when nothing is. Names are unique in each graph and those
 * around it (sibling graphs may reuse them), values are made before they are read, outputs exist, operator sets are
 * imported, tensors have as much data as their shape says. Two nodes may have the same name, as in ONNX.
 */
export function checkModel(model: Model): readonly string[] {
  const complaints: Complaints = { list: [], more: 0 };
  const needsOpsets = model.container === "onnx";
  const opsets = needsOpsets ? model.opsets : undefined;
  checkWhole(model.graph, `graph "${model.graph.name}"`, { complaints, opsets, domains: new Set() });
  checkFunctions(model.functions, complaints, needsOpsets);
  return complaints.more === 0 ? complaints.list : [...complaints.list, `${complaints.more} more of this kind`];
}

/** The same model, or a `FewbitError` of code "graph" with what is illegal about it. */
export function assertLegal(model: Model): Model {
  const complaints = checkModel(model);
  if (complaints.length > 0) fail("graph", `the model is not legal: ${complaints.join("; ")}`);
  return model;
}
