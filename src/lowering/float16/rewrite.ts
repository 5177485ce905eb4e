/** Rewrites graphs so that every float32 value is a half where its node computes in halves; Casts stand in between. */

import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { intAttribute, tensorAttribute } from "../../ir/attributes.ts";
import { node as makeNode, tensor as makeTensor } from "../../ir/build.ts";
import { mapSubgraphs } from "../../ir/edit.ts";
import type { Attribute, Graph, Node, Tensor, ValueInfo } from "../../ir/model.ts";
import { ANY_TYPE_OPS, FLOAT32_INPUTS } from "./ops.ts";
import type { GraphTypes } from "./types.ts";
import { type Clamp, halfTensor } from "./values.ts";

type Precision = "float16" | "float32";

/** The names under which a value exists in each precision; constants get theirs when first asked for. */
interface Entry {
  readonly names: { [P in Precision]?: string };
  readonly constant: boolean;
}

/** What all graphs of a model share. */
export interface Rewrite {
  readonly kept: ReadonlySet<Node>;
  readonly clamp: Clamp;
  readonly fresh: (wish: string) => string;
}

interface Frame {
  readonly graph: Graph;
  readonly types: GraphTypes;
  /** Precision of the graph's inputs and outputs. */
  readonly io: Precision;
  readonly entries: Map<string, Entry>;
  readonly nodes: Node[];
  readonly find: (name: string) => Entry | undefined;
}

const SUFFIX: Readonly<Record<Precision, string>> = { float16: "_fp16", float32: "_fp32" };
const OTHER = { float16: "float32", float32: "float16" } as const;

const cast = ({ fresh }: Pick<Rewrite, "fresh">, from: string, to: string, precision: Precision): Node =>
  makeNode("Cast", [from], [to], { name: fresh(`${to}_cast`), attributes: { to: ELEMENT_TYPES[precision].code } });

/** The graph in halves. `io` is what its inputs and outputs are; `outer` finds values of the graphs around it. */
export function rewriteGraph(
  rewrite: Rewrite,
  graph: Graph,
  types: GraphTypes,
  io: Precision,
  outer: (name: string) => Entry | undefined = () => undefined,
): Graph {
  const entries = firstEntries(graph, types, io);
  const frame: Frame = { graph, types, io, entries, nodes: [], find: (name) => entries.get(name) ?? outer(name) };
  for (const node of graph.nodes) rewriteNode(rewrite, frame, node);
  const outputs = graph.outputs.map((output) => {
    const name = types.of(output.name) === "float32" ? want(rewrite, frame, output.name, io) : output.name;
    return retyped({ ...output, name }, io);
  });
  return {
    ...graph,
    inputs: graph.inputs.map((input) => retyped(input, io)),
    outputs,
    nodes: frame.nodes,
    tensors: tensorsOf(rewrite, frame),
    values: valuesOf(frame),
  };
}

const retyped = (value: ValueInfo, dtype: Precision): ValueInfo =>
  value.dtype === "float32" && dtype !== "float32" ? { ...value, dtype } : value;

/** Inputs and constants. A constant that is also an output of the graph keeps its name for it. */
function firstEntries(graph: Graph, types: GraphTypes, io: Precision): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  for (const tensor of graph.tensors.values())
    if (tensor.dtype === "float32")
      entries.set(tensor.name, { names: outputs.has(tensor.name) ? { [io]: tensor.name } : {}, constant: true });
  for (const { name } of graph.inputs)
    if (types.of(name) === "float32") entries.set(name, { names: { [io]: name }, constant: false });
  return entries;
}

/** The name of a value in a precision; a Cast is added where it does not exist yet. */
function want(rewrite: Rewrite, frame: Frame, name: string, precision: Precision): string {
  const entry = frame.find(name);
  const known = entry?.names[precision];
  if (entry === undefined || known !== undefined) return known ?? name;
  const other = entry.names[OTHER[precision]];
  const made = other === undefined ? name : rewrite.fresh(`${name}${SUFFIX[precision]}`);
  if (entry.constant) entry.names[precision] = made;
  else {
    frame.nodes.push(cast(rewrite, other ?? name, made, precision));
    frame.entries.set(name, { names: { ...entry.names, [precision]: made }, constant: false });
  }
  return made;
}

/** A value as it is: for ops that take any type. */
function asIs(rewrite: Rewrite, frame: Frame, name: string): string {
  const names = frame.find(name)?.names ?? {};
  return names.float32 ?? names.float16 ?? want(rewrite, frame, name, "float32");
}

/** A CastLike whose type is known is a Cast: ONNX Runtime 1.30 stumbles over the former in half precision. */
function withoutCastLike(node: Node, { types }: Frame): Node {
  const like = node.op === "CastLike" ? types.of(node.inputs[1] ?? "") : undefined;
  if (like === undefined) return node;
  const attributes: Node["attributes"] = { to: { type: "int", value: ELEMENT_TYPES[like].code } };
  return { ...node, op: "Cast", inputs: node.inputs.slice(0, 1), attributes };
}

function rewriteNode(rewrite: Rewrite, frame: Frame, original: Node): void {
  const precision: Precision = rewrite.kept.has(original) ? "float32" : "float16";
  const node = withoutCastLike(original, frame);
  const inputs = node.inputs.map((name, index) => {
    if (name === "") return name;
    if (ANY_TYPE_OPS.has(node.op)) return asIs(rewrite, frame, name);
    const fixed = FLOAT32_INPUTS[node.op]?.includes(index) === true;
    return want(rewrite, frame, name, fixed ? "float32" : precision);
  });
  const body = mapSubgraphs(node, (graph) => {
    const types = frame.types.inner.get(graph) ?? frame.types;
    return rewriteGraph(rewrite, graph, types, precision, frame.find);
  });
  const after: Node[] = [];
  const outputs = node.outputs.map((name) => producedName(rewrite, frame, name, precision, after));
  const attributes = precision === "float32" ? body.attributes : halfAttributes(body, rewrite.clamp);
  frame.nodes.push({ ...body, inputs, outputs, attributes }, ...after);
}

/** An output of the graph in the wrong precision is made under a new name and cast to its own. */
function producedName(rewrite: Rewrite, frame: Frame, name: string, precision: Precision, after: Node[]): string {
  if (name === "" || frame.types.of(name) !== "float32") return name;
  const isOutput = frame.graph.outputs.some((output) => output.name === name);
  if (!isOutput || precision === frame.io) {
    frame.entries.set(name, { names: { [precision]: name }, constant: false });
    return name;
  }
  const made = rewrite.fresh(`${name}${SUFFIX[precision]}`);
  after.push(cast(rewrite, made, name, frame.io));
  frame.entries.set(name, { names: { [precision]: made, [frame.io]: name }, constant: false });
  return made;
}

type AttributeFix = (node: Node, clamp: Clamp) => Readonly<Record<string, Attribute>>;

/** Attributes that name the type or hold the value of an output. */
const ATTRIBUTES: Readonly<Record<string, AttributeFix>> = {
  Cast: (node) =>
    intAttribute(node, "to", 0) === ELEMENT_TYPES.float32.code
      ? { to: { type: "int", value: ELEMENT_TYPES.float16.code } }
      : {},
  ConstantOfShape(node, clamp) {
    const value = tensorAttribute(node, "value") ?? makeTensor("value", "float32", [1], Float32Array.of(0));
    return value.dtype === "float32" ? { value: { type: "tensor", value: halfTensor(value, clamp) } } : {};
  },
};

function halfAttributes(node: Node, clamp: Clamp): Node["attributes"] {
  const fix = Object.hasOwn(ATTRIBUTES, node.op) ? ATTRIBUTES[node.op] : undefined;
  return fix === undefined ? node.attributes : { ...node.attributes, ...fix(node, clamp) };
}

/** Constants in the precisions that were asked for; one that nothing reads stays as it was. */
function tensorsOf({ clamp }: Rewrite, { graph, entries, io }: Frame): ReadonlyMap<string, Tensor> {
  const tensors = [...graph.tensors.values()].flatMap((tensor): readonly Tensor[] => {
    const entry = entries.get(tensor.name);
    if (entry === undefined) return [tensor];
    if (!entry.constant) return [io === "float16" ? halfTensor(tensor, clamp) : tensor];
    const { float16, float32 } = entry.names;
    const single = float32 === undefined ? [] : [float32 === tensor.name ? tensor : { ...tensor, name: float32 }];
    const half = float16 === undefined ? [] : [halfTensor({ ...tensor, name: float16 }, clamp)];
    return (float16 ?? float32) ? [...half, ...single] : [tensor];
  });
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

function valuesOf({ graph, entries }: Frame): ReadonlyMap<string, ValueInfo> {
  const kept = [...graph.values.values()].map((value): ValueInfo => {
    const names = entries.get(value.name)?.names;
    return names?.float16 === value.name ? retyped(value, "float16") : value;
  });
  return new Map(kept.map((value) => [value.name, value]));
}
