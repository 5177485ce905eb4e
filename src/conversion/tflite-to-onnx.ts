/** A TFLite model as ONNX: node by node through the table, then without the Transposes that channels last brought in. */
import { onnxModel } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import { withGraph } from "../ir/edit.ts";
import type { Dim, Graph, Model, Tensor, ValueInfo } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { withoutTransposes } from "../passes/cancel-transposes.ts";
import { dropIdentity } from "../passes/drop-identity.ts";
import { dropUnused } from "../passes/drop-unused.ts";
import { type Batch, batchOf } from "./batch.ts";
import { originsOf, settle } from "./constants.ts";
import { widenHalves } from "./half-constants.ts";
import { type Find, finder, rowOf } from "./lookup.ts";
import type { Origin } from "./origins.ts";
import { withShortNames } from "./short-names.ts";
import { convertNode, dimsOf, type Walk } from "./walk.ts";
import { writerFor } from "./writer.ts";

/** A converted model and what is to be known of it. */
export interface Converted {
  readonly model: Model;
  /** Where its initializers come from, by name; those that conversion itself needed are not in it. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** What has the elements of a TFLite value, perhaps with its axes in another order; some have no equal. */
  readonly values: ReadonlyMap<string, string>;
  /** Why the batch is as long as in the file; undefined when it is open. */
  readonly fixedBatch?: string;
}

/** Operator set of converted models; IR version 8 goes with it. */
const OPSET = 17;
const IR_VERSION = 8;
/** What the first axis of inputs and outputs is called when it is open. */
const BATCH = "N";
/** Integer constants up to this size are shapes, axes and lengths of parts. */
const MAX_KNOWN_ELEMENTS = 4096;

const isKnowable = ({ dtype, shape }: Tensor): boolean =>
  (dtype === "int32" || dtype === "int64") && elementCount(shape) <= MAX_KNOWN_ELEMENTS;

async function knownIntegers({ tensors }: Graph): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, readonly number[]>();
  for (const [name, tensor] of tensors)
    if (isKnowable(tensor)) found.set(name, Array.from(typedView(await readAll(tensor.data), tensor.dtype), Number));
  return found;
}

/** Shapes of the converted graph: the batch has a name where it is open. */
function shapeOf(find: Find, batch: Batch): (info: ValueInfo) => ValueInfo {
  return ({ name }) => {
    const { dtype, shape } = find(name)!;
    const rows = batch.states?.get(name);
    const first: Dim = rows?.rows === 1 && rows.inner === undefined ? BATCH : null;
    const open = shape && (rows === undefined ? shape : [first, ...shape.slice(1)]);
    return { name, ...(dtype && { dtype }), ...(open && { shape: open }) };
  };
}

/** The nodes and constants of a TFLite graph in ONNX. */
async function converted(graph: Graph) {
  const find = finder(graph);
  const integers = await knownIntegers(graph);
  const ints = (name: string): readonly number[] | undefined => integers.get(name);
  const batch = batchOf(graph, { dims: dimsOf(find), ints, rowOf });
  const walk: Walk = { find, ints, batch, writer: writerFor(graph), graph, turned: new Map() };
  for (const node of graph.nodes) convertNode(walk, node);
  const { nodes, tensors, perms } = settle(graph, walk.writer.nodes, walk.turned);
  const info = shapeOf(find, batch);
  const named = new Set(nodes.flatMap(({ outputs }) => outputs));
  const made: Graph = {
    name: graph.name,
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    nodes,
    tensors: new Map([...tensors.map((tensor) => [tensor.name, tensor] as const), ...walk.writer.tensors]),
    values: new Map(
      [...graph.values.values()].filter(({ name }) => named.has(name)).map((own) => [own.name, info(own)]),
    ),
  };
  return { graph: made, perms, batch };
}

/** Values by those of the TFLite graph. The one nearest to where it is made comes first, as all others follow from it. */
function equalsOf(
  { inputs, nodes }: Graph,
  finished: Graph,
  sources: ReadonlyMap<string, string>,
  short: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const ports = finished.inputs.map(({ name }) => name);
  const there = new Set([...ports, ...finished.nodes.flatMap(({ outputs }) => outputs)]);
  const all = [...inputs.map(({ name }) => name), ...nodes.flatMap(({ outputs }) => outputs)];
  return new Map(
    all.flatMap((name) => {
      const equals = [sources.get(name) ?? name, name].map((equal) => short.get(equal) ?? equal);
      const found = equals.find((equal) => there.has(equal));
      return found === undefined ? [] : [[name, found] as const];
    }),
  );
}

/** Nodes that were only needed on the way. */
async function cleaned(model: Model): Promise<Model> {
  return dropUnused.apply(await dropIdentity.apply(await dropUnused.apply(model, {}), {}), {});
}

/**
 * An ONNX model of operator set 17 that computes what the float TFLite model does. Inputs and outputs keep names, types and
 * shapes (channels last), the batch is open ("N") where every node allows that; weights keep their names,
 * nodes and inner values the first part of theirs. A node that
 * can't be converted is an error of code "unsupported" that names it; so are quantized models.
 */
export async function tfliteToOnnx(model: Model): Promise<Converted> {
  if (model.container !== "tflite")
    fail("usage", `a model in the container ${model.container} can't be converted; expected a TFLite model`);
  assertLegal(model);
  const { graph, perms, batch } = await converted(widenHalves(model.graph));
  const whole = onnxModel(graph, { opsets: { "": OPSET }, formatVersion: IR_VERSION });
  const tidy = await cleaned(whole);
  const { graph: straight, turned, sources } = withoutTransposes(tidy.graph);
  const untangled = await cleaned({ ...tidy, graph: straight });
  const { graph: named, short } = withShortNames(untangled.graph);
  const result = assertLegal(withGraph(untangled, named));
  return {
    model: result,
    origins: originsOf(model.graph, perms, turned, named),
    values: equalsOf(model.graph, named, sources, short),
    ...(batch.reason !== undefined && { fixedBatch: batch.reason }),
  };
}
