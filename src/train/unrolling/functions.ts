/** Calls of model-local functions (ONNX FunctionProto) replaced by the nodes of their bodies. */
import type { OnnxExtra, OpaqueAttribute } from "../../containers/onnx/reading.ts";
import { cursor, field, payload } from "../../containers/onnx/wire.ts";
import { subgraphs } from "../../ir/attributes.ts";
import { node as makeNode } from "../../ir/build.ts";
import { freshNames, mapSubgraphs, nodeLabel, withGraph, withTensors } from "../../ir/edit.ts";
import type { Attribute, FunctionDef, Graph, Model, Node, Tensor } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { copyNodes, copyTensors } from "./copy.ts";

/** A function whose body was brought to the operator set of the model. */
export interface Body extends FunctionDef {
  readonly tensors: readonly Tensor[];
}

/** A file of a few bytes can call functions that call functions, each many times. */
const MAX_INLINED_NODES = 1_000_000;

/** Functions may call each other, but none itself; deeper than this no exporter nests them. */
const MAX_CALLS = 100;

/** AttributeProto.ref_attr_name */
const REFERENCE = 21;

const utf8 = new TextDecoder();

/** FunctionProto.attribute_proto: attributes with a default. */
const DEFAULTS = 11;

const keyOf = ({ domain, op }: Pick<Node, "domain" | "op">): string => JSON.stringify([domain, op]);

/** The attribute of the call that an attribute of the body stands for; undefined where it is none of those. */
async function referenceOf(attribute: Attribute): Promise<string | undefined> {
  if (attribute.type !== "opaque") return undefined;
  const { onnx } = (attribute.value ?? {}) as Partial<OpaqueAttribute>;
  if (onnx === undefined) return undefined;
  const bytes = onnx instanceof Uint8Array ? onnx : await readAll(onnx);
  const at = cursor(bytes, 0, bytes.byteLength, 0);
  while (at.pos < at.end) {
    const found = field(at);
    if (found.id === REFERENCE) return utf8.decode(payload(found));
  }
  return undefined;
}

/** Every attribute of the nodes, those in sub-graphs included, that refers to one of the call. */
async function referencesOf(nodes: readonly Node[], found: Map<Attribute, string>): Promise<void> {
  for (const node of nodes) {
    for (const attribute of Object.values(node.attributes)) {
      const name = await referenceOf(attribute);
      if (name !== undefined) found.set(attribute, name);
    }
    for (const { graph } of subgraphs(node)) await referencesOf(graph.nodes, found);
  }
}

interface Inlining {
  readonly bodies: ReadonlyMap<string, Body>;
  readonly references: ReadonlyMap<Attribute, string>;
  readonly fresh: (wish: string) => string;
  /** Nodes made so far. */
  count: number;
}

const hasDefaults = ({ extra }: Body): boolean =>
  ((extra as OnnxExtra | undefined)?.fields ?? []).some(({ id }) => id === DEFAULTS);

/** A node of the body with the attributes of the call; those the call does not have are left out, as ONNX says. */
function filled(node: Node, call: Node, body: Body, by: Inlining): Node {
  const inner = mapSubgraphs(node, (graph) => ({
    ...graph,
    nodes: graph.nodes.map((each) => filled(each, call, body, by)),
  }));
  if (!Object.values(node.attributes).some((attribute) => by.references.has(attribute))) return inner;
  const entries = Object.entries(inner.attributes).flatMap(([name, attribute]) => {
    const from = by.references.get(attribute);
    if (from === undefined) return [[name, attribute] as const];
    const given = call.attributes[from];
    if (given === undefined && hasDefaults(body)) return refuse(call, `its attribute ${from} is left to its default`);
    return given === undefined ? [] : [[name, given] as const];
  });
  return { ...inner, attributes: Object.fromEntries(entries) };
}

const refuse = (node: Node, why: string): never =>
  fail(
    "unsupported",
    `inlining: node "${nodeLabel(node)}" (${node.op}): ${why}; export the model with functions inlined`,
  );

/** The body in place of its call; its constants go to `tensors`. */
function bodyOf(call: Node, body: Body, by: Inlining, tensors: Tensor[], depth: number): readonly Node[] {
  by.count += body.nodes.length;
  if (by.count > MAX_INLINED_NODES)
    fail("limit", `inlining: the model has more than ${MAX_INLINED_NODES} nodes with its functions inlined`);
  if (depth > MAX_CALLS) fail("limit", `inlining: function "${body.name}" is called more than ${MAX_CALLS} deep`);
  const names = new Map(body.inputs.map((name, index) => [name, call.inputs[index] ?? ""]));
  for (const { name } of body.tensors) names.set(name, by.fresh(name));
  tensors.push(...copyTensors(body.tensors, names));
  const nodes = body.nodes.map((node) => filled(node, call, body, by));
  const copy = copyNodes(nodes, names, by.fresh);
  const outputs = body.outputs.flatMap((name, index) => {
    const to = call.outputs[index] ?? "";
    return to === ""
      ? []
      : [makeNode("Identity", [copy.names.get(name) ?? name], [to], { name: by.fresh(`${to}/out`) })];
  });
  return [...inlined(copy.nodes, by, tensors, depth + 1), ...outputs];
}

function inlined(nodes: readonly Node[], by: Inlining, tensors: Tensor[], depth: number): readonly Node[] {
  return nodes.flatMap((node) => {
    const whole = mapSubgraphs(node, (graph) => inlinedGraph(graph, by, depth));
    const body = by.bodies.get(keyOf(node));
    return body === undefined ? [whole] : bodyOf(whole, body, by, tensors, depth);
  });
}

function inlinedGraph(graph: Graph, by: Inlining, depth: number): Graph {
  const tensors: Tensor[] = [];
  const nodes = inlined(graph.nodes, by, tensors, depth);
  const same = nodes.length === graph.nodes.length && nodes.every((node, index) => node === graph.nodes[index]);
  return same ? graph : withTensors({ ...graph, nodes }, tensors);
}

/** The model without functions: every call is replaced by the nodes of the function; `bodies` are those of `model.functions`. */
export async function inlineFunctions(model: Model, bodies: readonly Body[]): Promise<Model> {
  if (model.functions.length === 0) return model;
  const byKey = new Map(bodies.map((body) => [keyOf({ domain: body.domain, op: body.name }), body]));
  if (byKey.size !== bodies.length)
    fail("unsupported", "inlining: the model has overloaded functions; export it with functions inlined");
  const references = new Map<Attribute, string>();
  for (const { nodes } of bodies) await referencesOf(nodes, references);
  const by: Inlining = { bodies: byKey, references, fresh: freshNames(model.graph), count: 0 };
  return withGraph({ ...model, functions: [] }, inlinedGraph(model.graph, by, 0));
}
