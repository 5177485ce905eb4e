/** Replaces nodes by several simpler ones: contrib ops before differentiation, fewbit's own training ops after it. */
import { subgraphs } from "../ir/attributes.ts";
import { mapSubgraphs, withGraph } from "../ir/edit.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import { add, append, opKey, startWriting, type Writer, type Writing, writerFor, written } from "./writer.ts";

/**
 * Writes what takes the place of `node`. Gives a value for each output in order; undefined = this output has no
 * replacement and must not be read.
 */
export type Expansion = (node: Node, writer: Writer) => readonly (string | undefined)[];

/** Expansions by op, the domain in front where it is not the default one ("com.microsoft.FastGelu"). */
export type Expansions = Readonly<Record<string, Expansion>>;

function replace(writing: Writing, node: Node, expansion: Expansion): void {
  const writer = writerFor(writing, "expansion", node);
  for (const [index, value] of expansion(node, writer).entries()) {
    const output = node.outputs[index] ?? "";
    if (output === "") continue;
    if (value === undefined) writer.refuse(`its output "${output}" has no counterpart; do not read it`);
    else add(writing, "Identity", [value], [output]);
  }
}

const isListed = (graph: Graph, table: Expansions): boolean =>
  graph.nodes.some(
    (node) => Object.hasOwn(table, opKey(node)) || subgraphs(node).some((inner) => isListed(inner.graph, table)),
  );

function expandGraph(graph: Graph, table: Expansions, around?: Writing): Graph {
  if (!isListed(graph, table)) return graph;
  const writing = startWriting(graph, "expanded", around);
  for (const node of graph.nodes) {
    const key = opKey(node);
    if (Object.hasOwn(table, key)) replace(writing, node, table[key]!);
    else
      append(
        writing,
        mapSubgraphs(node, (inner) => expandGraph(inner, table, writing)),
      );
  }
  return { ...written(writing), nodes: writing.added };
}

/**
 * The model with every node that has a row in `table` expanded, in its place, once, in sub-graphs too; what an expansion
 * writes is not looked at again. The same model when there is none.
 */
export const expand = (model: Model, table: Expansions): Model => withGraph(model, expandGraph(model.graph, table));
