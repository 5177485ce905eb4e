/** Loops and recurrent layers written out, as long as the number of their steps is known when the graph is built. */
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Node } from "../../ir/model.ts";
import { add, append, startWriting, type Writing, writerFor } from "../writer.ts";
import { type Unrolling, unrollLoop, unrollScan } from "./loops.ts";
import { unrollRecurrent } from "./recurrent.ts";

export { type Body, inlineFunctions } from "./functions.ts";

/** Nodes of all iterations together; what would make more stays as it is, and differentiation refuses it by name. */
export const MAX_UNROLLED_NODES = 200_000;

/** Nodes one step of a recurrent layer is written with, at most. */
const STEP_NODES = 32;

type Unroll = (node: Node, by: Unrolling) => readonly string[] | undefined;

const recurrent: Unroll = (node, { writer, afford }) =>
  unrollRecurrent(node, writer, (steps) => afford(STEP_NODES * steps));

const ROWS: ReadonlyMap<string, Unroll> = new Map([
  ["Loop", unrollLoop],
  ["Scan", unrollScan],
  ...["RNN", "GRU", "LSTM"].map((op) => [op, recurrent] as const),
]);

const rowOf = ({ domain, op }: Node): Unroll | undefined => (domain === "" ? ROWS.get(op) : undefined);

/** Writes nodes, in the place of those that can be unrolled all their steps; `budget` is what is left of the limit. */
function visit(writing: Writing, nodes: readonly Node[], budget: { left: number }): void {
  for (const node of nodes) {
    const found = rowOf(node)?.(node, {
      ...{ writing, writer: writerFor(writing, "unrolling", node) },
      visit: (inner) => visit(writing, inner, budget),
      afford: (count) => {
        if (count > budget.left) return false;
        budget.left -= count;
        return true;
      },
    });
    if (found === undefined) append(writing, node);
    else
      for (const [index, output] of node.outputs.entries())
        if (output !== "") add(writing, "Identity", [found[index]!], [output]);
  }
}

/** The model with every Loop, Scan, RNN, GRU and LSTM of its main graph unrolled that can be; the same model when none can. */
export function unrollLoops(model: Model): Model {
  const { graph } = model;
  if (!graph.nodes.some(rowOf)) return model;
  const writing = startWriting(graph, "unrolled");
  visit(writing, graph.nodes, { left: MAX_UNROLLED_NODES });
  const kept = new Set(graph.nodes);
  if (writing.added.every((node) => kept.has(node))) return model;
  return withGraph(model, withTensors({ ...graph, nodes: writing.added }, [...writing.constants.values()]));
}
