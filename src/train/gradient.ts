/**
 * Reverse-mode differentiation of a graph (Griewank and Walther, "Evaluating Derivatives", chapter 3): the backward pass
 * becomes plain ONNX nodes behind the forward ones, so that any engine that runs the model runs its training step.
 */
import { valueInfo } from "../ir/build.ts";
import { producers, withGraph } from "../ir/edit.ts";
import type { Model, ValueInfo } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { type Backward, dependents, differentiate, differentiated, total, zerosLike } from "./backward.ts";
import { type Known, knownTypes } from "./types.ts";
import { add, ELEMENTS, scalar, startWriting } from "./writer.ts";

/** ScatterElements with a sum (MaxPool, Gather, Slice) exists from here on. */
const MIN_OPSET = 16;

/** Ones of the shape of the loss: its elements are summed. */
function seed(state: Backward, loss: string, dtype: DType): void {
  const one = scalar(state, 1, dtype);
  const [shape] = add(state, "Shape", [loss], [state.fresh("grad/shape")]);
  state.parts.set(loss, [...add(state, "Expand", [one, shape!], [state.fresh(`grad/${loss}`)])]);
}

/** Names the gradient of a parameter; zeros where the loss does not depend on it. */
function finish(state: Backward, name: string, output: string): ValueInfo {
  const { dtype = "float32", shape } = state.types.get(name) ?? {};
  const found = total(state, name);
  if (found !== undefined) add(state, "Identity", [found], [output]);
  else zerosLike(state, name, output);
  const declared = state.graph.inputs.find((input) => input.name === name)?.shape ?? shape;
  return valueInfo(output, dtype, declared);
}

/** The dtype of the loss, after everything about the request was checked. */
function checkRequest(model: Model, loss: string, wrt: readonly string[], types: ReadonlyMap<string, Known>): DType {
  const { graph, opsets } = model;
  if (model.container !== "onnx") fail("unsupported", `gradient: the model is ${model.container}, expected onnx`);
  if ((opsets[""] ?? 0) < MIN_OPSET)
    fail(
      "unsupported",
      `gradient: the model is of opset ${opsets[""] ?? "?"}, expected ${MIN_OPSET} or later; raise it`,
    );
  const starts = new Set([...graph.inputs.map(({ name }) => name), ...graph.tensors.keys()]);
  if (!starts.has(loss) && !producers(graph).has(loss))
    fail("usage", `gradient: the model has no value "${loss}" to be the loss; name one of its outputs`);
  if (new Set(wrt).size !== wrt.length) fail("usage", "gradient: a name is asked for twice; name each value once");
  for (const name of wrt) {
    if (!starts.has(name))
      fail("usage", `gradient: "${name}" is neither an input nor an initializer; name one of those`);
    const dtype = types.get(name)?.dtype;
    if (dtype === undefined || !ELEMENTS.has(dtype))
      fail("unsupported", `gradient: "${name}" is of type ${dtype ?? "unknown"}, expected float32 or float64`);
  }
  return types.get(loss)?.dtype ?? fail("unsupported", `gradient: the type of "${loss}" is not known; declare it`);
}

/** Free names for the new outputs, `grad/` before the name each belongs to. */
function outputNames(wrt: readonly string[], fresh: (wish: string) => string): readonly string[] {
  return wrt.map((name) => {
    const output = `grad/${name}`;
    return fresh(output) === output
      ? output
      : fail("usage", `gradient: the model has a value "${output}" already; rename it`);
  });
}

/**
 * The model with its backward pass: one more output `grad/NAME` for each of `wrt` (inputs or initializers, float32 or
 * float64), of the same shape. A loss of several elements is summed. Other outputs stay. An op on the way without a rule
 * is an error of code "unsupported" that names the node.
 */
export function gradientGraph(model: Model, loss: string, wrt: readonly string[]): Model {
  const { graph } = model;
  const types = knownTypes(graph);
  const dtype = checkRequest(model, loss, wrt, types);
  const writing = startWriting(graph, "grad");
  const names = outputNames(wrt, writing.fresh);
  const needed = dependents(graph, wrt, types);
  const state: Backward = { ...writing, needed, parts: new Map(), changed: new Map() };
  if (state.needed.has(loss)) seed(state, loss, dtype);
  for (const node of graph.nodes.toReversed()) differentiate(state, node);
  const outputs = wrt.map((name, index) => finish(state, name, names[index]!));
  return withGraph(model, { ...differentiated(state), outputs: [...graph.outputs, ...outputs] });
}
