/** TensorFlow names what it fused after everything in it: "a/Relu;b/FusedBatchNormV3;c/Conv2D". The first part tells enough. */
import { freshNames } from "../ir/edit.ts";
import type { Graph } from "../ir/model.ts";

const BETWEEN = ";";

/** The first part of such a name. */
export const shortName = (name: string): string => name.split(BETWEEN).find((part) => part !== "") ?? "value";

/** A graph and what its inner values are called now, by what they were called. */
export interface Shortened {
  readonly graph: Graph;
  readonly short: ReadonlyMap<string, string>;
}

/** Nodes and inner values by the first part of their names; inputs, outputs and constants keep theirs. */
export function withShortNames(graph: Graph): Shortened {
  const fresh = freshNames(graph);
  const ends = new Set(graph.outputs.map(({ name }) => name));
  const made = graph.nodes.flatMap(({ outputs }) => outputs);
  const long = made.filter((name) => name.includes(BETWEEN) && !ends.has(name));
  const short = new Map(long.map((name) => [name, fresh(shortName(name))]));
  const now = (name: string): string => short.get(name) ?? name;
  const nodes = graph.nodes.map(({ name, inputs, outputs, ...rest }) => ({
    ...rest,
    name: name.includes(BETWEEN) ? (short.get(name) ?? fresh(shortName(name))) : name,
    inputs: inputs.map(now),
    outputs: outputs.map(now),
  }));
  const values = new Map([...graph.values.values()].map((info) => [now(info.name), { ...info, name: now(info.name) }]));
  return { graph: { ...graph, nodes, values }, short };
}
