/**
 * Reverse-mode differentiation of a graph (Griewank and Walther, "Evaluating Derivatives", chapter 3): the backward pass
 * becomes plain ONNX nodes behind the forward ones, so that any engine that runs the model runs its training step.
 */
import type { AttributeInit } from "../ir/build.ts";
import { intTensor, node as makeNode, tensor, valueInfo } from "../ir/build.ts";
import { freshNames, nodeLabel, producers, reads, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor, TypedArray, ValueInfo } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { RuleContext } from "./rule.ts";
import { RULES } from "./rules/index.ts";
import { type Known, knownTypes } from "./types.ts";

/** ScatterElements with a sum (MaxPool, Gather, Slice) exists from here on. */
const MIN_OPSET = 16;

const arrayOf = (values: number[]): TypedArray => Float32Array.from(values);

/** Element types a gradient can have. */
const ELEMENTS: ReadonlyMap<DType | undefined, (values: number[]) => TypedArray> = new Map<DType, typeof arrayOf>([
  ["float32", arrayOf],
  ["float64", (values) => Float64Array.from(values)],
]);

/** Everything the backward walk collects. */
interface Backward {
  readonly graph: Graph;
  readonly types: ReadonlyMap<string, Known>;
  readonly fresh: (wish: string) => string;
  /** Values whose gradient somebody needs. */
  readonly needed: ReadonlySet<string>;
  /** Value -> its gradients, one for each way to the loss. */
  readonly parts: Map<string, string[]>;
  /** Forward nodes that got more outputs. */
  readonly changed: Map<Node, Node>;
  readonly added: Node[];
  readonly constants: Map<string, Tensor>;
}

const isFloat = (dtype: DType | undefined): boolean => dtype === undefined || ELEMENTS.has(dtype);

/** Float values that change when one of `wrt` changes. */
function dependents(graph: Graph, wrt: readonly string[], types: ReadonlyMap<string, Known>): ReadonlySet<string> {
  const found = new Set(wrt);
  for (const node of graph.nodes) {
    if (!reads(node).some((name) => found.has(name))) continue;
    for (const name of node.outputs) if (name !== "" && isFloat(types.get(name)?.dtype)) found.add(name);
  }
  return found;
}

function add(state: Backward, op: string, inputs: readonly string[], outputs: readonly string[], attributes = {}) {
  state.added.push(makeNode(op, inputs, outputs, { name: state.fresh(`grad/${op}`), attributes }));
  return outputs;
}

/** Name of a constant, shared by all who want the same one. */
function pooled(state: Backward, key: string, make: (name: string) => Tensor): string {
  const found = state.constants.get(key) ?? make(state.fresh("grad/constant"));
  state.constants.set(key, found);
  return found.name;
}

function scalar(state: Backward, value: number, dtype: DType, shape: readonly number[] = []): string {
  const make = ELEMENTS.get(dtype) ?? fail("unsupported", `gradients are made of float32 or float64, not ${dtype}`);
  return pooled(state, `${dtype} ${value} ${shape}`, (name) => tensor(name, dtype, shape, make([value])));
}

/** The gradient of a value: the sum over all ways from it to the loss. */
function total(state: Backward, value: string): string | undefined {
  const parts = state.parts.get(value) ?? [];
  if (parts.length < 2) return parts[0];
  const sum = add(state, "Sum", parts, [state.fresh(`grad/${value}`)])[0]!;
  state.parts.set(value, [sum]);
  return sum;
}

const refusal = (node: Node, why: string): never =>
  fail("unsupported", `gradient: node "${nodeLabel(node)}" (${node.domain && `${node.domain}.`}${node.op}): ${why}`);

/** A fact about a value, or an error that says how to provide it. */
function fact<K extends keyof Known>(state: Backward, node: Node, value: string, key: K): NonNullable<Known[K]> {
  const found = state.types.get(value)?.[key];
  return found ?? refusal(node, `the ${key} of "${value}" is not known; declare it in the model's value_info`);
}

/** The forward node's output at an index; appended under a new name when it was left out. */
function outputOf(state: Backward, original: Node, index: number): string {
  const node = state.changed.get(original) ?? original;
  const found = node.outputs[index] ?? "";
  if (found !== "") return found;
  const outputs = Array.from({ length: Math.max(index + 1, node.outputs.length) }, (_, at) => node.outputs[at] ?? "");
  outputs[index] = state.fresh(`${node.outputs[0]}/${index}`);
  state.changed.set(original, { ...node, outputs });
  return outputs[index];
}

function contextOf(state: Backward, node: Node): RuleContext {
  const names = (op: string, count: number) => Array.from({ length: count }, () => state.fresh(`grad/${op}/out`));
  const emitMany = (op: string, inputs: readonly string[], count: number, attributes?: Record<string, AttributeInit>) =>
    add(state, op, inputs, names(op, count), attributes);
  return {
    gradient: (output) => total(state, node.outputs[output] ?? ""),
    wants: (input) => state.needed.has(node.inputs[input] ?? ""),
    output: (index) => outputOf(state, node, index),
    dtype: (value) => fact(state, node, value, "dtype"),
    rank: (value) => fact(state, node, value, "rank"),
    shape: (value) => state.types.get(value)?.shape,
    emit: (op, inputs, attributes) => emitMany(op, inputs, 1, attributes)[0]!,
    emitMany,
    ints: (values) =>
      typeof values === "number"
        ? pooled(state, `int64 ${values}`, (name) => intTensor(name, [values], []))
        : pooled(state, `int64 [${values}]`, (name) => intTensor(name, values)),
    scalar: (value, dtype) => scalar(state, value, dtype),
    refuse: (why) => refusal(node, why),
  };
}

/** Runs the rule of one node and hands its gradients to the node's inputs. */
function differentiate(state: Backward, node: Node): void {
  if (!node.outputs.some((name) => state.parts.has(name))) return;
  if (!reads(node).some((name) => state.needed.has(name))) return;
  const rule = node.domain === "" && Object.hasOwn(RULES, node.op) ? RULES[node.op] : undefined;
  if (rule === undefined) refusal(node, "there is no gradient rule for this op; keep it out of the trained part");
  else
    for (const [index, gradient] of rule(node, contextOf(state, node)).entries()) {
      const input = node.inputs[index] ?? "";
      if (gradient === undefined || !state.needed.has(input)) continue;
      state.parts.set(input, [...(state.parts.get(input) ?? []), gradient]);
    }
}

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
  else {
    const [lengths] = add(state, "Shape", [name], [state.fresh("grad/shape")]);
    add(state, "Expand", [scalar(state, 0, dtype), lengths!], [output]);
  }
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
  const fresh = freshNames(graph);
  const names = outputNames(wrt, fresh);
  const state: Backward = {
    ...{ graph, types, fresh, needed: dependents(graph, wrt, types) },
    ...{ parts: new Map(), changed: new Map(), added: [], constants: new Map() },
  };
  if (state.needed.has(loss)) seed(state, loss, dtype);
  for (const node of graph.nodes.toReversed()) differentiate(state, node);
  const outputs = wrt.map((name, index) => finish(state, name, names[index]!));
  const nodes = [...graph.nodes.map((node) => state.changed.get(node) ?? node), ...state.added];
  const whole = { ...graph, nodes, outputs: [...graph.outputs, ...outputs] };
  return withGraph(model, withTensors(whole, [...state.constants.values()]));
}
