/** Makes a forward pass cheaper to train without changing what it computes. */
import { consumers, freshNames, producers } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";

const is = (node: Node | undefined, op: string): node is Node => node?.op === op && node.domain === "";

/** The Relu that `pool` and nobody else reads. */
function reluBefore(graph: Graph, kept: ReadonlySet<string>) {
  const [makers, readers] = [producers(graph), consumers(graph)];
  const seen = new Set([...kept, ...graph.outputs.map(({ name }) => name)]);
  return (pool: Node): Node | undefined => {
    const [value = ""] = pool.inputs;
    const relu = makers.get(value);
    const alone = pool.outputs.filter((name) => name !== "").length === 1 && readers.get(value)?.length === 1;
    return alone && !seen.has(value) && is(relu, "Relu") ? relu : undefined;
  };
}

/**
 * Puts Relu behind the max pooling that follows it: the largest of what Relu leaves is what Relu leaves of the largest, and
 * Relu and its gradient have fewer elements to see. Values named in `kept` stay. The same graph when there is no such pair.
 */
export function reluBehindPool(graph: Graph, kept: ReadonlySet<string>): Graph {
  const find = reluBefore(graph, kept);
  const pools = new Map(
    graph.nodes.flatMap((node) => {
      const relu = is(node, "MaxPool") ? find(node) : undefined;
      return relu ? [[node, relu] as const] : [];
    }),
  );
  if (pools.size === 0) return graph;
  const [gone, fresh, values] = [new Set(pools.values()), freshNames(graph), new Map(graph.values)];
  const nodes = graph.nodes.flatMap((node) => {
    if (gone.has(node)) return [];
    const relu = pools.get(node);
    if (relu === undefined) return [node];
    const pooled = fresh(`${node.outputs[0]}/pooled`);
    values.delete(node.inputs[0]!);
    return [
      { ...node, inputs: relu.inputs, outputs: [pooled] },
      { ...relu, inputs: [pooled], outputs: node.outputs.slice(0, 1) },
    ];
  });
  return { ...graph, nodes, values };
}
