/**
 * Tables of sines and cosines that rows are picked of by position (Su et al., arXiv:2104.09864): nobody says so in a file, but
 * what they are for shows. Two of them are multiplied with, and the two products are added or subtracted.
 */
import { consumers, producers } from "../../ir/edit.ts";
import type { Graph, Node } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";

/** Ops that put elements in other places beside those that the op table says so of. */
const MOVING = new Set(["Concat", "Cast"]);

const moves = (node: Node): boolean =>
  MOVING.has(node.op) || (node.op !== "Gather" && ONNX.row(node)?.static(node).as === "same-scale");

type Readers = ReadonlyMap<string, readonly Node[]>;

/** A value and all that holds its elements in other places. */
function placesOf(value: string, readers: Readers): ReadonlySet<string> {
  const found = new Set([value]);
  for (const name of found)
    for (const node of readers.get(name) ?? []) if (moves(node)) for (const output of node.outputs) found.add(output);
  return found;
}

/** Names of the tables. */
export function rotaryTables(graph: Graph): ReadonlySet<string> {
  const [readers, made] = [consumers(graph), producers(graph)];
  const picks = graph.nodes.filter(({ op, inputs }) => op === "Gather" && graph.tensors.has(inputs[0] ?? ""));
  const rows = new Map(picks.map((node) => [node, placesOf(node.outputs[0]!, readers)] as const));
  const all = new Set([...rows.values()].flatMap((names) => [...names]));
  const isProduct = (name: string): boolean =>
    made.get(name)?.op === "Mul" && made.get(name)!.inputs.some((input) => all.has(input));
  const meet = ({ op, inputs }: Node): boolean => (op === "Add" || op === "Sub") && inputs.every(isProduct);
  const turns = (node: Node): boolean => node.op === "Mul" && (readers.get(node.outputs[0]!) ?? []).every(meet);
  const found = picks.filter((node) => {
    const uses = [...rows.get(node)!].flatMap((name) => readers.get(name) ?? []).filter((use) => !moves(use));
    return uses.length > 0 && uses.every(turns);
  });
  return new Set(found.map(({ inputs }) => inputs[0]!));
}
