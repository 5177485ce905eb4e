/** What the backward walk over a graph collects, and how a gradient rule writes into it. */

import { subgraphs } from "../ir/attributes.ts";
import { valueInfo } from "../ir/build.ts";
import { freeNames, reads } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import type { RuleContext } from "./rule.ts";
import { RULES } from "./rules/index.ts";
import { type Known, knownTypes } from "./types.ts";
import { add, opKey, scalar, type Writing, writerFor, written } from "./writer.ts";

/** Everything the backward walk collects. */
export interface Backward extends Writing {
  /** Values whose gradient somebody needs. */
  readonly needed: ReadonlySet<string>;
  /** Value -> its gradients, one for each way to the loss. */
  readonly parts: Map<string, string[]>;
  /** Forward nodes that got more outputs. */
  readonly changed: Map<Node, Node>;
}

const isFloat = (dtype: DType | undefined): boolean => dtype === undefined || DTYPES[dtype].kind === "float";

/** Values that change when one of `wrt` changes: floats, and codes that stand for floats, wherever those are moved to. */
export function dependents(
  graph: Graph,
  wrt: Iterable<string>,
  types: ReadonlyMap<string, Known>,
): ReadonlySet<string> {
  const found = new Set(wrt);
  const dtype = (name: string) => types.get(name)?.dtype;
  for (const node of graph.nodes) {
    const changing = reads(node).filter((name) => found.has(name));
    if (changing.length === 0) continue;
    const codes = new Set(changing.map(dtype).filter((read) => !isFloat(read)));
    const carries = (name: string) => isFloat(dtype(name)) || node.op === "QuantizeLinear" || codes.has(dtype(name));
    for (const name of node.outputs) if (name !== "" && carries(name)) found.add(name);
  }
  return found;
}

/** Adds zeros of the type and shape of a value under the name `output`. */
export function zerosLike(state: Writing, value: string, output: string): void {
  const [lengths] = add(state, "Shape", [value], [state.fresh(`${state.prefix}/shape`)]);
  add(state, "Expand", [scalar(state, 0, state.types.get(value)?.dtype ?? "float32"), lengths!], [output]);
}

/** Hands a gradient to the value it belongs to. */
function flow(state: Backward, value: string, gradient: string): void {
  if (!state.needed.has(value)) return;
  state.parts.set(value, [...(state.parts.get(value) ?? []), gradient]);
  likeInput(state, gradient, value);
}

/** Forward nodes, with the outputs they got, and all that was written behind them. */
export function differentiated(state: Backward): Graph {
  const whole = written(state);
  return { ...whole, nodes: whole.nodes.map((node) => state.changed.get(node) ?? node) };
}

/**
 * A sub-graph that runs the nodes of `graph` again and gives the gradients of `wanted`, values of the graphs around it, from
 * those of the outputs of `graph`. Both are branches beside each other, so their nodes may have the same names.
 */
function branchBackward(
  outer: Backward,
  graph: Graph,
  gradients: readonly (string | undefined)[],
  wanted: readonly string[],
): Graph {
  const types = knownTypes(graph, outer.types);
  const needed = dependents(graph, outer.needed, types);
  const { fresh, prefix } = outer;
  const collected = { added: [], constants: new Map(), parts: new Map(), changed: new Map() };
  const state: Backward = { graph, types, fresh, prefix, needed, ...collected };
  for (const [index, { name }] of graph.outputs.entries())
    if (gradients[index] !== undefined) flow(state, name, gradients[index]);
  for (const node of graph.nodes.toReversed()) differentiate(state, node);
  const outputs = wanted.map((name) => {
    const [found, output] = [total(state, name), fresh(`${prefix}/${name}`)];
    if (found === undefined) zerosLike(state, name, output);
    else add(state, "Identity", [found], [output]);
    return valueInfo(output, types.get(name)?.dtype);
  });
  return { ...differentiated(state), outputs };
}

/** The gradient of a value: the sum over all ways from it to the loss. */
export function total(state: Backward, value: string): string | undefined {
  const parts = state.parts.get(value) ?? [];
  if (parts.length < 2) return parts[0];
  const sum = add(state, "Sum", parts, [state.fresh(`grad/${value}`)])[0]!;
  state.parts.set(value, [sum]);
  return sum;
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

const contextOf = (state: Backward, node: Node): RuleContext => ({
  ...writerFor(state, "gradient", node),
  gradient: (output) => total(state, node.outputs[output] ?? ""),
  wants: (input) => state.needed.has(node.inputs[input] ?? ""),
  output: (index) => outputOf(state, node, index),
  captured: () => capturedBy(state, node),
  backward: (graph) => {
    const gradients = node.outputs.map((name) => total(state, name));
    return branchBackward(state, graph, gradients, capturedBy(state, node));
  },
  flow: (value, gradient) => flow(state, value, gradient),
});

/** Values that sub-graphs of a node read from around them and that somebody needs the gradient of. */
const capturedBy = ({ needed }: Backward, node: Node): readonly string[] =>
  [...new Set(subgraphs(node).flatMap(({ graph }) => freeNames(graph)))].filter((name) => needed.has(name));

/** A gradient is of the type and shape of what it belongs to, also where that does not follow from the ops that made it. */
function likeInput({ types }: Backward, gradient: string, input: string): void {
  const known = types.get(input);
  if (known !== undefined && types.get(gradient)?.dims === undefined) types.set(gradient, known);
}

const STEPS =
  "it has a gradient only with its steps written out; their number must be known and small, see normalizeForTraining";

/** Why an op has no rule of its own, where that helps. */
const NO_RULE: ReadonlyMap<string, string> = new Map(["Loop", "Scan", "RNN", "GRU", "LSTM"].map((op) => [op, STEPS]));

/** Runs the rule of one node and hands its gradients to the node's inputs. */
export function differentiate(state: Backward, node: Node): void {
  if (!node.outputs.some((name) => state.parts.has(name))) return;
  if (!reads(node).some((name) => state.needed.has(name))) return;
  const context = contextOf(state, node);
  const key = opKey(node);
  const rule =
    (Object.hasOwn(RULES, key) ? RULES[key] : undefined) ??
    context.refuse(NO_RULE.get(key) ?? "there is no gradient rule for this op; keep it out of the trained part");
  for (const [index, gradient] of rule(node, context).entries()) {
    const input = node.inputs[index] ?? "";
    if (gradient !== undefined) flow(state, input, gradient);
  }
}
