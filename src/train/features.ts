/**
 * Feature distillation: beside what a model is trained towards, values inside of it learn to be what a teacher gives at the
 * same places (Romero et al., FitNets, arXiv:1412.6550). A teacher's values say more about a sample than its few scores.
 */
import { valueInfo } from "../ir/build.ts";
import { freshNames, withGraph } from "../ir/edit.ts";
import type { Graph, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { Lossy } from "./losses.ts";
import { knownTypes } from "./types.ts";
import { add, startWriting, type Writer, writerFor, written } from "./writer.ts";

/** A loss that reads a teacher's values, too: `features` says what it compares, and the inputs that take what it should be. */
export interface Featured extends Lossy {
  readonly features: ReadonlyMap<string, string>;
}

const TINY = 1e-12;

const meanSquare = ({ emit }: Writer, value: string): string =>
  emit("ReduceMean", [emit("Mul", [value, value])], { keepdims: 0 });

/** Mean squared error over the mean square of what a value should be. */
export function relativeError(writer: Writer, value: string, target: string): string {
  const { emit, scalar } = writer;
  const size = emit("Add", [meanSquare(writer, target), scalar(TINY, "float32")]);
  return emit("Div", [meanSquare(writer, emit("Sub", [value, target])), size]);
}

/** Inputs that take what `values` should be. */
export function targetInputs(graph: Graph, values: readonly string[], prefix: string): readonly ValueInfo[] {
  const types = knownTypes(graph);
  const fresh = freshNames(graph);
  return values.map((name) => {
    const { dtype = "float32", dims } = types.get(name) ?? {};
    if (dtype !== "float32") fail("unsupported", `loss: value "${name}" is ${dtype}, expected float32`);
    return valueInfo(fresh(`${prefix}/${name}`), "float32", dims);
  });
}

/** The loss plus `weight` times the mean of the relative errors of `values`. */
export function withFeatureLoss(lossy: Lossy, values: readonly string[], weight: number): Featured {
  const { graph } = lossy.model;
  const inputs = targetInputs(graph, values, "feature");
  const writing = startWriting({ ...graph, inputs: [...graph.inputs, ...inputs] }, "features");
  const writer = writerFor(writing, "loss of features");
  const { emit, scalar } = writer;
  const errors = values.map((name, index) => relativeError(writer, name, inputs[index]!.name));
  const share = emit("Mul", [emit("Sum", errors), scalar(weight / errors.length, "float32")]);
  const loss = freshNames(graph)("loss");
  add(writing, "Add", [lossy.loss, share], [loss]);
  const outputs = graph.outputs.map((info) => (info.name === lossy.loss ? valueInfo(loss, "float32", []) : info));
  return {
    ...lossy,
    ...{ model: withGraph(lossy.model, { ...written(writing), outputs }), loss },
    features: new Map(values.map((name, index) => [name, inputs[index]!.name])),
  };
}
