/** Losses as plain nodes behind a model's output. Each is a mean over samples, so that a short last batch counts fairly. */
import { valueInfo } from "../ir/build.ts";
import { freshNames, producers, withGraph } from "../ir/edit.ts";
import type { Dim, Graph, Model, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { add, startWriting, type Writer, writerFor, written } from "./writer.ts";

/** What a model is trained towards. */
export type LossSpec =
  /** Labels are class numbers, int64, of the shape of the output without its last axis. */
  | { readonly kind: "cross-entropy"; readonly smoothing?: number }
  /** Targets have the shape of the output. */
  | { readonly kind: "mse" }
  /**
   * Targets are a teacher's logits; needs no labels. Kullback-Leibler divergence at a temperature, times its square
   * (Hinton, Vinyals and Dean, arXiv:1503.02531).
   */
  | { readonly kind: "distillation"; readonly temperature?: number };

/** A model with a loss. */
export interface Lossy {
  readonly model: Model;
  /** Name of the scalar output to make small. */
  readonly loss: string;
  /** The input that takes labels or targets. */
  readonly target: ValueInfo;
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

/** Mean over everything but the last axis, along which is summed. */
const meanOfRows = ({ emit, ints }: Writer, value: string): string =>
  emit("ReduceMean", [emit("ReduceSum", [value, ints([CLASSES])], { keepdims: 0 })], { keepdims: 0 });

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
  const even = emit("Div", [scalar(smoothing, "float32"), emit("Cast", [depth], { to: 1 })]);
  return emit("Add", [emit("Mul", [exact, scalar(1 - smoothing, "float32")]), even]);
}

const crossEntropy = ({ writer, prediction, target }: LossSite, { smoothing = 0 }: { smoothing?: number }): string => {
  const { emit } = writer;
  const logs = emit("LogSoftmax", [prediction], { axis: CLASSES });
  return emit("Neg", [meanOfRows(writer, emit("Mul", [shares(writer, target, prediction, smoothing), logs]))]);
};

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
export const LOSSES: { readonly [K in LossSpec["kind"]]: LossRow<Extract<LossSpec, { kind: K }>> } = {
  "cross-entropy": { logits: true, labels: true, write: crossEntropy },
  mse: { logits: false, labels: false, write: squares },
  distillation: { logits: true, labels: false, write: divergence },
};

/** The scores in front of the Softmax that ends a model; the output itself where there is none. */
export function logitsOf(graph: Graph, output: string): string {
  const producer = producers(graph).get(output);
  return producer?.domain === "" && (producer.op === "Softmax" || producer.op === "LogSoftmax")
    ? producer.inputs[0]!
    : output;
}

/** What a loss compares with its targets: a teacher must hand out the same value. */
export const predictionOf = (graph: Graph, output: string, { kind }: LossSpec): string =>
  LOSSES[kind].logits ? logitsOf(graph, output) : output;

function outputNamed(graph: Graph, name: string | undefined): ValueInfo {
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

/**
 * The model with the scalar output `loss` and an input for targets in front of it; other outputs stay. `output` names the
 * output that is trained when there are several.
 */
export function withLoss(model: Model, spec: LossSpec, output?: string): Lossy {
  const { graph } = model;
  const row = LOSSES[spec.kind] as LossRow<LossSpec>;
  const trained = outputNamed(graph, output);
  const fresh = freshNames(graph);
  const [loss, name] = [fresh("loss"), fresh(row.labels ? "labels" : "target")];
  const shape: readonly Dim[] | undefined = row.labels ? trained.shape?.slice(0, -1) : trained.shape;
  const target = valueInfo(name, row.labels ? "int64" : "float32", shape);
  const writing = startWriting({ ...graph, inputs: [...graph.inputs, target] }, "loss");
  const prediction = predictionOf(graph, trained.name, spec);
  const value = row.write({ writer: writerFor(writing, `loss ${spec.kind}`), prediction, target: name }, spec);
  add(writing, "Identity", [value], [loss]);
  const whole = written(writing);
  const outputs = [...graph.outputs, valueInfo(loss, "float32", [])];
  return { model: withGraph(model, { ...whole, outputs }), loss, target };
}
