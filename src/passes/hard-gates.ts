/**
 * Hard gates behind a product as Clips of what the product gives, which the grid behind them does in integers: the engine has no
 * integer kernel for HardSigmoid and HardSwish, nor for products with a number. A gate f clip(x + s, 0, h) is clip(fx + fs, 0, fh),
 * f in the product's weights and bias; times x it is u clip(u + ks, 0, kh) with k = sqrt(f) and u = kx.
 */
import { floatTensor, node as makeNode } from "../ir/build.ts";
import { freshNames, producers, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { BOUNDS_ARE_INPUTS } from "./clamps.ts";
import { type Gate, gatesIn } from "./gates.ts";
import { foldable } from "./linear.ts";
import type { Pass } from "./pass.ts";
import { constantsIn, useCounts } from "./values.ts";

export const hardGates: Pass = {
  name: "hard-gates",
  summary: "write hard sigmoids and swishes behind products as Clips, which run in integers",
  apply: async (model) =>
    (model.opsets[""] ?? 0) < BOUNDS_ARE_INPUTS ? model : withGraph(model, await rewrite(model.graph)),
};

async function rewrite(graph: Graph): Promise<Graph> {
  const isAlone = behindProducts(graph);
  const gates = (await gatesIn(graph)).filter(isAlone);
  if (gates.length === 0) return graph;
  const fresh = freshNames(graph);
  const numbers: Tensor[] = [];
  // one each: where the engine orders axes anew, constants that several nodes read cost a node
  const number = (value: number): string => {
    const name = fresh("number");
    numbers.push(floatTensor(name, [], [value]));
    return name;
  };
  const instead = new Map<Node, readonly Node[]>();
  for (const gate of gates) {
    for (const node of gate.nodes) instead.set(node, []);
    instead.set(gate.nodes.at(-1)!, clipped(gate, number, fresh));
  }
  const nodes = graph.nodes.flatMap((node) => instead.get(node) ?? [node]);
  return withTensors({ ...graph, nodes }, numbers);
}

/** Whether a gate reads a product that nobody else reads, on no grid of its own. */
function behindProducts(graph: Graph): (gate: Gate) => boolean {
  const [makers, uses, constant] = [producers(graph), useCounts(graph), constantsIn(graph)];
  return ({ source, nodes }) => {
    const maker = makers.get(source);
    const own = nodes.flatMap(({ inputs }) => inputs).filter((name) => name === source).length;
    if (maker === undefined || graph.grids?.has(source) || uses.get(source) !== own) return false;
    return foldable(maker, constant) !== undefined;
  };
}

function clipped(
  { source, output, shift, high, factor, times }: Gate,
  number: (value: number) => string,
  fresh: (wish: string) => string,
): readonly Node[] {
  const scale = times ? Math.sqrt(factor) : factor;
  const [scaled, shifted] = [fresh(`${output}_scaled`), fresh(`${output}_shifted`)];
  const gate = times ? fresh(`${output}_gate`) : output;
  return [
    makeNode("Mul", [source, number(scale)], [scaled]),
    makeNode("Add", [scaled, number(shift * scale)], [shifted]),
    makeNode("Clip", [shifted, number(0), number(high * scale)], [gate]),
    ...(times ? [makeNode("Mul", [scaled, gate], [output])] : []),
  ];
}
