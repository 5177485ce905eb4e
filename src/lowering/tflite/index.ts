/** From a plan to a TFLite model: values become codes, weights too, with conversions only where codes and floats meet. */
import { withGraph } from "../../ir/edit.ts";
import type { Graph, Model, Node, ValueInfo } from "../../ir/model.ts";
import type { Form, NodePlan, Plan } from "../../ir/plan.ts";
import type { Stats } from "../../ir/stats.ts";
import { fail } from "../../numeric/errors.ts";
import { integerNode } from "./integer.ts";
import { openInput } from "./ports.ts";
import { type State, startState } from "./state.ts";
import { dequantizedNode, floatsOf, hybridNode } from "./stored.ts";

type Write = (state: State, node: Node, entry: NodePlan) => Promise<void>;

/** A node that computes in float reads floats. */
const inFloats = (state: State, node: Node): Node => ({
  ...node,
  inputs: node.inputs.map((name) => floatsOf(state, name)),
});

const WRITERS: Readonly<Partial<Record<Form, Write>>> = {
  integer: integerNode,
  hybrid: async (state, node, entry) => {
    state.nodes.push(await hybridNode(state, inFloats(state, node), entry));
  },
  dequantize: async (state, node, entry) => {
    state.nodes.push(await dequantizedNode(state, inFloats(state, node), entry));
  },
};

/** `model` must be the one the plan was made for. Statistics are needed when the plan has values to observe. */
export async function lowerTflite(model: Model, plan: Plan, stats: Stats | undefined): Promise<Model> {
  const state = startState(model, plan, stats);
  for (const { name } of model.graph.inputs) openInput(state, name);
  for (const node of model.graph.nodes) {
    const entry = state.plans.get(node);
    if (entry === undefined) state.nodes.push(inFloats(state, node));
    else
      await (WRITERS[entry.form] ?? fail("unsupported", `form "${entry.form}" is not for TFLite`))(state, node, entry);
  }
  return withGraph(model, finished(state));
}

function finished({ graph, nodes, tensors, types }: State): Graph {
  const port = (old: ValueInfo): ValueInfo => retyped(old, types.get(old.name));
  const outside = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const values = new Map([...graph.values].map(([name, old]) => [name, port(old)]));
  for (const [name, type] of types) if (!values.has(name) && !outside.has(name)) values.set(name, type);
  for (const name of tensors.keys()) values.delete(name);
  return {
    ...graph,
    nodes,
    values,
    inputs: graph.inputs.map(port),
    outputs: graph.outputs.map(port),
    tensors: new Map([...graph.tensors, ...tensors]),
  };
}

/** What the container knows besides (shape signatures) stays. */
const retyped = (old: ValueInfo, now: ValueInfo | undefined): ValueInfo => {
  if (now === undefined) return old;
  const { quantization: _, ...rest } = old;
  return { ...rest, ...now, ...(old.shape && { shape: old.shape }) };
};
