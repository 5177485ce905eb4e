/** What the backward walk over a graph collects, and how a gradient rule writes into it. */
import { reads } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import type { RuleContext } from "./rule.ts";
import { RULES } from "./rules/index.ts";
import { add, opKey, type Writing, writerFor } from "./writer.ts";

/** Everything the backward walk collects. */
export interface Backward extends Writing {
  /** Values whose gradient somebody needs. */
  readonly needed: ReadonlySet<string>;
  /** Value -> its gradients, one for each way to the loss. */
  readonly parts: Map<string, string[]>;
  /** Forward nodes that got more outputs. */
  readonly changed: Map<Node, Node>;
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
});

/** A gradient is of the type and shape of what it belongs to, also where that does not follow from the ops that made it. */
function likeInput({ types }: Backward, gradient: string, input: string): void {
  const known = types.get(input);
  if (known !== undefined && types.get(gradient)?.dims === undefined) types.set(gradient, known);
}

/** Runs the rule of one node and hands its gradients to the node's inputs. */
export function differentiate(state: Backward, node: Node): void {
  if (!node.outputs.some((name) => state.parts.has(name))) return;
  if (!reads(node).some((name) => state.needed.has(name))) return;
  const context = contextOf(state, node);
  const key = opKey(node);
  const rule =
    (Object.hasOwn(RULES, key) ? RULES[key] : undefined) ??
    context.refuse("there is no gradient rule for this op; keep it out of the trained part");
  for (const [index, gradient] of rule(node, context).entries()) {
    const input = node.inputs[index] ?? "";
    if (gradient === undefined || !state.needed.has(input)) continue;
    state.parts.set(input, [...(state.parts.get(input) ?? []), gradient]);
    likeInput(state, gradient, input);
  }
}
