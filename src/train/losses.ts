/** Losses as plain nodes behind a model's output. Each is a mean over samples, so that a short last batch counts fairly. */
import { valueInfo } from "../ir/build.ts";
import { freshNames, producers, withGraph } from "../ir/edit.ts";
import type { Graph, Model, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { isFakeQuantize } from "./ops/fake-quantize.ts";
import { add, startWriting, type Writer, writerFor, written } from "./writer.ts";

/** What a model is trained towards, where it is one thing. */
export type SingleLoss =
  /**
   * Labels are class numbers, int64, of the shape of the output without its last axis. Places labelled `ignore` (padding)
   * count for nothing.
   */
  | { readonly kind: "cross-entropy"; readonly smoothing?: number; readonly ignore?: number }
  /** Targets have the shape of the output. */
  | { readonly kind: "mse" }
  /**
   * Targets are a teacher's logits; needs no labels. Kullback-Leibler divergence at a temperature, times its square
   * (Hinton, Vinyals and Dean, arXiv:1503.02531).
   */
  | { readonly kind: "distillation"; readonly temperature?: number };

/** Losses added up, each times its weight: labels and a teacher. At most one of them reads labels. */
export interface MixedLoss {
  readonly kind: "mix";
  readonly parts: readonly { readonly weight: number; readonly loss: SingleLoss }[];
}

/** What a model is trained towards. */
export type LossSpec = SingleLoss | MixedLoss;

/** A model with a loss. */
export interface Lossy {
  readonly model: Model;
  /** Name of the scalar output to make small. */
  readonly loss: string;
  /** The input that takes labels or targets; of a mix, that of its first part. */
  readonly target: ValueInfo;
  /** The inputs of all parts of a mix, in their order. */
  readonly targets: readonly ValueInfo[];
}

interface LossSite {
  readonly writer: Writer;
  /** The model's output; logits where the loss is over classes. */
  readonly prediction: string;
  readonly target: string;
}

interface LossRow<S> {
  /** Compares class scores: the Softmax at the end of a model is part of the loss. */
  readonly logits: boolean;
  readonly labels: boolean;
  readonly write: (site: LossSite, spec: S) => string;
}

const CLASSES = -1;
/** Number of float32 among ONNX element types. */
const FLOAT = 1;

const sumOfClasses = ({ emit, ints }: Writer, value: string): string =>
  emit("ReduceSum", [value, ints([CLASSES])], { keepdims: 0 });

/** Mean over everything but the last axis, along which is summed. */
const meanOfRows = (writer: Writer, value: string): string =>
  writer.emit("ReduceMean", [sumOfClasses(writer, value)], { keepdims: 0 });

/** The same over the places whose label is not `ignore`; 0 where there are none. */
function meanOfLabelled(writer: Writer, value: string, labels: string, ignore: number): string {
  const { emit, ints, scalar } = writer;
  const counted = emit("Cast", [emit("Not", [emit("Equal", [labels, ints(ignore)])])], { to: FLOAT });
  const total = emit("ReduceSum", [emit("Mul", [sumOfClasses(writer, value), counted])], { keepdims: 0 });
  const count = emit("Max", [emit("ReduceSum", [counted], { keepdims: 0 }), scalar(1, "float32")]);
  return emit("Div", [total, count]);
}

/** Shares of each class: 1 at the label, or a little of it spread over all classes (Szegedy et al., arXiv:1512.00567). */
function shares(writer: Writer, labels: string, logits: string, smoothing: number): string {
  const { emit, ints, scalar } = writer;
  const depth = emit("Gather", [emit("Shape", [logits]), ints(CLASSES)]);
  const ends = emit(
    "Concat",
    [emit("Unsqueeze", [scalar(0, "float32"), ints([0])]), emit("Unsqueeze", [scalar(1, "float32"), ints([0])])],
    { axis: 0 },
  );
  const exact = emit("OneHot", [labels, depth, ends], { axis: CLASSES });
  if (smoothing === 0) return exact;
  const even = emit("Div", [scalar(smoothing, "float32"), emit("Cast", [depth], { to: FLOAT })]);
  return emit("Add", [emit("Mul", [exact, scalar(1 - smoothing, "float32")]), even]);
}

function crossEntropy(
  { writer, prediction, target }: LossSite,
  { smoothing = 0, ignore }: { readonly smoothing?: number; readonly ignore?: number },
): string {
  const { emit } = writer;
  const logs = emit("LogSoftmax", [prediction], { axis: CLASSES });
  const likelihood = emit("Mul", [shares(writer, target, prediction, smoothing), logs]);
  const mean =
    ignore === undefined ? meanOfRows(writer, likelihood) : meanOfLabelled(writer, likelihood, target, ignore);
  return emit("Neg", [mean]);
}

const squares = ({ writer: { emit }, prediction, target }: LossSite): string => {
  const error = emit("Sub", [prediction, target]);
  return emit("ReduceMean", [emit("Mul", [error, error])], { keepdims: 0 });
};

const divergence = (
  { writer, prediction, target }: LossSite,
  { temperature = 1 }: { temperature?: number },
): string => {
  const { emit, scalar } = writer;
  const logs = (logits: string) =>
    emit("LogSoftmax", [emit("Div", [logits, scalar(temperature, "float32")])], { axis: CLASSES });
  const [teacher, student] = [logs(target), logs(prediction)];
  const rows = emit("Mul", [emit("Exp", [teacher]), emit("Sub", [teacher, student])]);
  return emit("Mul", [meanOfRows(writer, rows), scalar(temperature ** 2, "float32")]);
};

/** All losses by kind. */
export const LOSSES: { readonly [K in SingleLoss["kind"]]: LossRow<Extract<SingleLoss, { kind: K }>> } = {
  "cross-entropy": { logits: true, labels: true, write: crossEntropy },
  mse: { logits: false, labels: false, write: squares },
  distillation: { logits: true, labels: false, write: divergence },
};

/** The scores in front of the Softmax that ends a model, on a grid or not; the output itself where there is none. */
export function logitsOf(graph: Graph, output: string): string {
  const made = producers(graph);
  const last = made.get(output);
  const producer = last !== undefined && isFakeQuantize(last) ? made.get(last.inputs[0]!) : last;
  return producer?.domain === "" && (producer.op === "Softmax" || producer.op === "LogSoftmax")
    ? producer.inputs[0]!
    : output;
}

/** What a loss compares with its targets: a teacher must hand out the same value. */
export const predictionOf = (graph: Graph, output: string, { kind }: Pick<SingleLoss, "kind">): string =>
  LOSSES[kind].logits ? logitsOf(graph, output) : output;

/** The losses of a mix, or the only one. */
export const lossParts = (spec: LossSpec): MixedLoss["parts"] =>
  spec.kind === "mix" ? spec.parts : [{ weight: 1, loss: spec }];

/** The output that is trained: the one named, or the only one. */
export function trainedOutput({ graph }: Model, name?: string): ValueInfo {
  if (name === undefined && graph.outputs.length === 1) return graph.outputs[0]!;
  const names = graph.outputs.map((output) => output.name).join(", ");
  return (
    graph.outputs.find((output) => output.name === name) ??
    fail(
      "usage",
      `loss: ${name === undefined ? "the model has several outputs" : `no output "${name}"`}; name one of ${names}`,
    )
  );
}

function checkParts(parts: MixedLoss["parts"]): void {
  if (parts.length === 0) fail("usage", "loss: a mix of no losses; name at least one");
  if (parts.filter(({ loss }) => LOSSES[loss.kind].labels).length > 1)
    fail("usage", "loss: two losses of a mix read labels; there is one set of them");
}

/** The input a loss compares with: labels have no axis for classes. */
function targetOf({ shape }: ValueInfo, { kind }: SingleLoss, fresh: (wish: string) => string): ValueInfo {
  const { labels } = LOSSES[kind];
  const own = labels ? shape?.slice(0, -1) : shape;
  return valueInfo(fresh(labels ? "labels" : "target"), labels ? "int64" : "float32", own);
}

/**
 * The model with the scalar output `loss` and an input for targets in front of it ("labels" for class numbers, "target"
 * for values; a number behind it where the name is taken); other outputs stay. `output` names the output that is trained
 * when there are several.
 */
export function withLoss(model: Model, spec: LossSpec, output?: string): Lossy {
  const { graph } = model;
  const trained = trainedOutput(model, output);
  const parts = lossParts(spec);
  checkParts(parts);
  const fresh = freshNames(graph);
  const loss = fresh("loss");
  const targets = parts.map((part) => targetOf(trained, part.loss, fresh));
  const writing = startWriting({ ...graph, inputs: [...graph.inputs, ...targets] }, "loss");
  const values = parts.map(({ weight, loss: single }, index) => {
    const writer = writerFor(writing, `loss ${single.kind}`);
    const site = { writer, prediction: predictionOf(graph, trained.name, single), target: targets[index]!.name };
    const value = (LOSSES[single.kind] as LossRow<SingleLoss>).write(site, single);
    return weight === 1 ? value : writer.emit("Mul", [value, writer.scalar(weight, "float32")]);
  });
  add(writing, values.length === 1 ? "Identity" : "Sum", values, [loss]);
  const whole = written(writing);
  const outputs = [...graph.outputs, valueInfo(loss, "float32", [])];
  return { model: withGraph(model, { ...whole, outputs }), loss, target: targets[0]!, targets };
}
