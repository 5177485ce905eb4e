/** What the backward walk over a graph collects, and how a gradient rule writes into it. */
import type { AttributeInit } from "../ir/build.ts";
import { intTensor, node as makeNode, tensor } from "../ir/build.ts";
import { nodeLabel, reads } from "../ir/edit.ts";
import type { Graph, Node, Tensor, TypedArray } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { RuleContext } from "./rule.ts";
import { RULES } from "./rules/index.ts";
import type { Known } from "./types.ts";

const arrayOf = (values: number[]): TypedArray => Float32Array.from(values);

/** Element types a gradient can have. */
export const ELEMENTS: ReadonlyMap<DType | undefined, (values: number[]) => TypedArray> = new Map<
  DType,
  typeof arrayOf
>([
  ["float32", arrayOf],
  ["float64", (values) => Float64Array.from(values)],
]);

/** Everything the backward walk collects. */
export interface Backward {
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

/** Adds a node and gives its outputs. */
export function add(
  state: Backward,
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes = {},
) {
  state.added.push(makeNode(op, inputs, outputs, { name: state.fresh(`grad/${op}`), attributes }));
  return outputs;
}

/** Name of a constant, shared by all who want the same one. */
function pooled(state: Backward, key: string, make: (name: string) => Tensor): string {
  const found = state.constants.get(key) ?? make(state.fresh("grad/constant"));
  state.constants.set(key, found);
  return found.name;
}

/** Name of a constant of one element, shared by all who want the same one. */
export function scalar(state: Backward, value: number, dtype: DType, shape: readonly number[] = []): string {
  const make = ELEMENTS.get(dtype) ?? fail("unsupported", `gradients are made of float32 or float64, not ${dtype}`);
  return pooled(state, `${dtype} ${value} ${shape}`, (name) => tensor(name, dtype, shape, make([value])));
}

/** The gradient of a value: the sum over all ways from it to the loss. */
export function total(state: Backward, value: string): string | undefined {
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
export function differentiate(state: Backward, node: Node): void {
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
