/** Converts node by node; what the rows ask is answered here. */

import { ELEMENT_TYPES } from "../containers/onnx/dtypes.ts";
import { stringAttribute } from "../ir/attributes.ts";
import { node as makeNode } from "../ir/build.ts";
import { nodeLabel } from "../ir/edit.ts";
import type { Dim, Graph, Node } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { TurnedConstant } from "../passes/cancel-transposes.ts";
import type { Batch } from "./batch.ts";
import type { Dims } from "./batch-state.ts";
import { checkTypes, type Find, rowOf } from "./lookup.ts";
import { FUSED } from "./ops/index.ts";
import { refuse, type Site } from "./row.ts";
import { shortName } from "./short-names.ts";
import type { Writer } from "./writer.ts";

const numeric = (dim: Dim): number | null => (typeof dim === "string" ? null : dim);

/** Everything the rows ask about values, before any batch is opened. */
export function dimsOf(find: Find): (name: string) => Dims {
  return (name) =>
    find(name)?.shape?.map(numeric) ??
    fail("unsupported", `tflite: value "${name}" has no shape; convert needs shapes`);
}

/** One graph on its way. */
export interface Walk {
  readonly find: Find;
  readonly ints: (name: string) => readonly number[] | undefined;
  readonly batch: Batch;
  readonly writer: Writer;
  readonly graph: Graph;
  /** Constants in another order, by the name that stands for them so far. */
  readonly turned: Map<string, TurnedConstant>;
}

function siteFor(walk: Walk, node: Node): Site {
  const { find, ints, batch, writer, graph, turned } = walk;
  const label = nodeLabel(node);
  const short = shortName(label);
  const emitAll: Site["emitAll"] = (op, inputs, count, attributes) => writer.emit(short, op, inputs, count, attributes);
  const emit: Site["emit"] = (op, inputs, attributes) => emitAll(op, inputs, 1, attributes)[0]!;
  const batched = (name: string): boolean => batch.states?.has(name) ?? false;
  const dims = dimsOf(find);
  const optional = (index: number) => node.inputs[index] || undefined;
  return {
    ...{ node, ints, batched, emit, emitAll, optional },
    input: (index) =>
      optional(index) ?? fail("graph", `tflite: node "${label}" (${node.op}): input ${index} is missing`),
    dims: (name) => (batched(name) ? dims(name).with(0, null) : dims(name)),
    dtype: (name) => find(name)?.dtype ?? fail("unsupported", `tflite: value "${name}" has no type`),
    list: writer.list,
    scalar: (value, dtype = "float32") => writer.scalar(value, dtype),
    turned(name, perm) {
      if (!graph.tensors.has(name)) return emit("Transpose", [name], { perm });
      const alias = writer.fresh(`${name}_turned`);
      turned.set(alias, { constant: name, perm });
      return alias;
    },
    int64(name) {
      const values = ints(name);
      if (values !== undefined && find(name)!.shape!.length === 1) return writer.list(values);
      return find(name)?.dtype === "int64" ? name : emit("Cast", [name], { to: ELEMENT_TYPES.int64.code });
    },
  };
}

/** The activation a node carries, behind its first output. */
function activated(site: Site, values: readonly string[]): readonly string[] {
  const name = stringAttribute(site.node, "fused_activation_function", "NONE");
  if (name === "NONE") return values;
  if (rowOf(site.node).noActivation)
    refuse(site.node, `it carries ${name}, which runtimes apply or not; write it as an op of its own`);
  const row =
    FUSED.get(name) ?? refuse(site.node, `activation ${name} has no equal; known are ${[...FUSED.keys()].join(", ")}`);
  const of = {
    ...site,
    input: () => values[0]!,
    optional: () => undefined,
    node: { ...site.node, inputs: [values[0]!] },
  };
  return [row.convert(of) as string, ...values.slice(1)];
}

/** Converts one node; its results get the names they have in the file. */
export function convertNode(walk: Walk, node: Node): void {
  checkTypes(node, walk.find);
  const site = siteFor(walk, node);
  const first = walk.writer.nodes.length;
  const made = rowOf(node).convert(site);
  const values = activated(site, typeof made === "string" ? [made] : made);
  const names = new Map<string, string>();
  for (const [i, name] of node.outputs.entries()) {
    const value = values[i] ?? refuse(node, `it has ${node.outputs.length} outputs, expected ${values.length}`);
    if (isMadeSince(walk.writer, first, value) && !names.has(value)) names.set(value, name);
    else walk.writer.nodes.push(identity(value, name));
  }
  renameSince(walk.writer, first, names);
}

const identity = (value: string, name: string): Node =>
  makeNode("Identity", [value], [name], { name: `${name}/Identity` });

const isMadeSince = ({ nodes }: Writer, first: number, value: string): boolean =>
  nodes.slice(first).some(({ outputs }) => outputs.includes(value));

function renameSince({ nodes }: Writer, first: number, names: ReadonlyMap<string, string>): void {
  const rename = (own: readonly string[]) => own.map((name) => names.get(name) ?? name);
  for (let i = first; i < nodes.length; i++)
    nodes[i] = { ...nodes[i]!, inputs: rename(nodes[i]!.inputs), outputs: rename(nodes[i]!.outputs) };
}
