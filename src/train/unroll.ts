/** Several training steps as one model: state goes from one to the next inside the engine, and over its border only once. */
import { subgraphs } from "../ir/attributes.ts";
import { withGraph } from "../ir/edit.ts";
import type { Graph, Model, Node, ValueInfo } from "../ir/model.ts";
import { nextOf, type TrainingStep } from "./step.ts";

/** `count` steps that run at once. */
export interface Unrolled {
  readonly model: Model;
  readonly count: number;
  /** Name of the model's input for the step's own input `name` of the step at `index`, from 0 on. */
  input(name: string, index: number): string;
  /** Outputs with the loss of each step. */
  readonly losses: readonly string[];
  /** Outputs with the norm of each step's gradients. */
  readonly norms: readonly string[];
  /** State input -> the output with its value after the last step. */
  readonly next: ReadonlyMap<string, string>;
}

/** What copies add to a name. */
const SUFFIX = /@\d+$/;

/**
 * Whether the step can be repeated inside one model: sub-graphs see names of the graph around them, so they can't move,
 * and no name may look like that of a copy.
 */
export const canUnroll = ({ model: { graph } }: TrainingStep): boolean =>
  graph.nodes.every((node) => subgraphs(node).length === 0 && !node.outputs.some((name) => SUFFIX.test(name))) &&
  !graph.inputs.some(({ name }) => SUFFIX.test(name));

/** One copy of the step's graph; constants are shared by all. */
function copyOf(graph: Graph, rename: (name: string) => string, suffix: string): readonly Node[] {
  return graph.nodes.map((node) => ({
    ...node,
    name: node.name === "" ? "" : `${node.name}${suffix}`,
    inputs: node.inputs.map((name) => (name === "" ? "" : rename(name))),
    outputs: node.outputs.map((name) => (name === "" ? "" : rename(name))),
  }));
}

/** `count` steps one behind the other; the step itself for one. Every step has its own batch, rate and numbers. */
export function unroll(step: TrainingStep, count: number): Unrolled {
  const { model, loss, norm, state } = step;
  const next = new Map(state.map(({ name }) => [name, nextOf(name)]));
  if (count === 1) return { model, count, input: (name) => name, losses: [loss], norms: [norm], next };
  const { graph } = model;
  const isState = new Set(next.keys());
  const suffixOf = (index: number): string => `@${index}`;
  /** Where a name of the step's own lives in the copy at an index. */
  const renamed = (name: string, index: number): string => {
    if (graph.tensors.has(name)) return name;
    if (!isState.has(name)) return `${name}${suffixOf(index)}`;
    return index === 0 ? name : `${next.get(name)}${suffixOf(index - 1)}`;
  };
  const indices = Array.from({ length: count }, (_, index) => index);
  const nodes = indices.flatMap((index) => copyOf(graph, (name) => renamed(name, index), suffixOf(index)));
  const at = (info: ValueInfo, index: number): ValueInfo => ({
    ...info,
    name: renamed(info.name, index),
    // equal symbols promise equal lengths, and the last batch of an epoch may be shorter
    ...(info.shape && { shape: info.shape.map((dim) => (typeof dim === "string" ? `${dim}${suffixOf(index)}` : dim)) }),
  });
  const fed = graph.inputs.filter(({ name }) => !isState.has(name));
  const inputs = [
    ...indices.flatMap((index) => fed.map((info) => at(info, index))),
    ...graph.inputs.filter(({ name }) => isState.has(name)),
  ];
  const numbers = new Set([loss, norm]);
  const outputs = [
    ...indices.flatMap((index) => graph.outputs.filter(({ name }) => numbers.has(name)).map((info) => at(info, index))),
    ...graph.outputs.filter(({ name }) => !numbers.has(name)).map((info) => at(info, count - 1)),
  ];
  return {
    model: withGraph(model, { ...graph, nodes, inputs, outputs, values: new Map() }),
    count,
    input: renamed,
    losses: indices.map((index) => renamed(loss, index)),
    norms: indices.map((index) => renamed(norm, index)),
    next: new Map(state.map(({ name }) => [name, renamed(nextOf(name), count - 1)])),
  };
}
