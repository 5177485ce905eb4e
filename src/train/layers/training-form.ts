/** Ops that do something else in training than at inference, written for training. */
import { floatTensor } from "../../ir/build.ts";
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Node } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { castTo, reshapeLike } from "../forms.ts";
import { chance, noise } from "../noise.ts";
import { append, startWriting, type Writer, type Writing, writerFor, written } from "../writer.ts";

/** A model as it is trained. */
export interface TrainingForm {
  readonly model: Model;
  /** For `StepOptions.follow`: running statistics and the number of the step, with the values that come next. */
  readonly follow: ReadonlyMap<string, string>;
}

interface Site {
  readonly node: Node;
  readonly writing: Writing;
  readonly writer: Writer;
  readonly follow: Map<string, string>;
  /** Name of the state that counts steps. */
  readonly counter: string;
  /** Index of the node: no other has it. */
  readonly salt: number;
}

/** Writes nodes in front of the one that takes the place of `site.node`. */
type Row = (site: Site, constants: ReadonlyMap<string, number>) => Node;

const f32 = "float32";
/** What errors call this work. */
const WHAT = "training form";

/** Normalizes by the batch; the running statistics follow it (ONNX operator BatchNormalization, training_mode 1). */
const batchNorm: Row = ({ node, writing, writer, follow }) => {
  const running = node.inputs.slice(3, 5);
  const next = running.map((name) => writing.fresh(`next ${name}`));
  for (const [index, name] of running.entries()) {
    if (follow.has(name)) writer.refuse(`its running statistics "${name}" belong to another node too`);
    follow.set(name, next[index]!);
  }
  const attributes = { ...node.attributes, training_mode: { type: "int", value: 1 } as const };
  return { ...node, attributes, outputs: [node.outputs[0]!, ...next] };
};

/** x times a mask of 0 and 1 / (1 - ratio). */
const dropout: Row = ({ node, writer, counter, salt }, constants) => {
  const [x = "", ratioName = ""] = node.inputs;
  const ratio = (ratioName === "" ? 0.5 : constants.get(ratioName)) ?? writer.refuse("its ratio must be a constant");
  if (!(ratio >= 0 && ratio < 1)) writer.refuse(`its ratio is ${ratio}, expected a number in [0, 1)`);
  const drawn = castTo(writer, chance(writer, noise(writer, x, counter, salt), 1 - ratio), f32);
  const mask = writer.emit("Mul", [reshapeLike(writer, drawn, x), writer.scalar(Math.fround(1 / (1 - ratio)), f32)]);
  return { ...node, op: "Mul", inputs: [x, mask], outputs: node.outputs.slice(0, 1) };
};

const ROWS: ReadonlyMap<string, Row> = new Map([
  ["BatchNormalization", batchNorm],
  ["Dropout", dropout],
]);

const rowOf = ({ domain, op }: Node): Row | undefined => (domain === "" ? ROWS.get(op) : undefined);

/** Constant scalars among the inputs of the nodes that are rewritten. */
async function scalarsOf({ graph }: Model): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const name of graph.nodes.filter(rowOf).flatMap(({ inputs }) => inputs)) {
    const tensor = graph.tensors.get(name);
    if (tensor?.dtype === f32 && tensor.shape.length === 0)
      found.set(name, decodeFloats(await readAll(tensor.data), f32)[0]!);
  }
  return found;
}

function rewrite(writing: Writing, counter: string, constants: ReadonlyMap<string, number>): Map<string, string> {
  const follow = new Map<string, string>();
  for (const [salt, node] of writing.graph.nodes.entries()) {
    const row = rowOf(node);
    const site = () => ({ ...{ node, writing, follow, counter, salt }, writer: writerFor(writing, WHAT, node) });
    append(writing, row ? row(site(), constants) : node);
  }
  return follow;
}

/** The counter as state, where something reads it. */
function withCounter(model: Model, writing: Writing, counter: string, follow: Map<string, string>): Model {
  const whole = { ...written(writing), nodes: writing.added };
  if (!whole.nodes.some(({ inputs }) => inputs.includes(counter))) return withGraph(model, whole);
  const writer = writerFor(writing, WHAT);
  follow.set(counter, writer.emit("Add", [counter, writer.scalar(1, f32)]));
  const start = floatTensor(counter, [], [0]);
  return withGraph(model, withTensors({ ...written(writing), nodes: writing.added }, [start]));
}

/**
 * The model with batch normalizations that use the statistics of the batch, and dropouts that draw. What is random follows
 * from the number of the step, which is part of the state. The same model when there is neither.
 */
export async function trainingForm(model: Model): Promise<TrainingForm> {
  const { graph } = model;
  if (model.container !== "onnx") fail("unsupported", `training form: the model is ${model.container}, expected onnx`);
  if (!graph.nodes.some(rowOf)) return { model, follow: new Map() };
  const writing = startWriting(graph, "train");
  const counter = writing.fresh("train/step");
  writing.types.set(counter, { dtype: f32, rank: 0, dims: [], shape: [] });
  const follow = rewrite(writing, counter, await scalarsOf(model));
  return { model: withCounter(model, writing, counter, follow), follow };
}
