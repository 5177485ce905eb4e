/**
 * HardSigmoid and HardSwish behind a product as Clips, which the grid behind them does in integers: the engine has no integer
 * kernel for either (MobileNetV3, arXiv:1905.02244). With k = sqrt(alpha), u = kx is what the product gives with its
 * weights times k, and
 *
 *     HardSigmoid: clip(alpha x + beta, 0, 1), alpha and beta in the product's weights and bias
 *     x HardSigmoid(x) = u clip(u + beta / k, 0, 1 / k)
 */
import { floatAttribute } from "../ir/attributes.ts";
import { floatTensor, node as makeNode } from "../ir/build.ts";
import { consumers, freshNames, producers, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../ir/model.ts";
import { BOUNDS_ARE_INPUTS } from "./clamps.ts";
import { foldable } from "./linear.ts";
import type { Pass } from "./pass.ts";
import { constantsIn, useCounts } from "./values.ts";

export const hardGates: Pass = {
  name: "hard-gates",
  summary: "write HardSigmoid and HardSwish behind products as Clips, which run in integers",
  apply: (model) => ((model.opsets[""] ?? 0) < BOUNDS_ARE_INPUTS ? model : withGraph(model, rewrite(model))),
};

/** HardSwish(x) = x HardSigmoid(x) with these (ONNX operator HardSwish-14); HardSigmoid's own defaults are others. */
const SWISH = { alpha: 1 / 6, beta: 0.5 };

/** A gate, alone or times what it reads, and the product before it. */
interface Site {
  readonly source: string;
  readonly output: string;
  readonly alpha: number;
  readonly beta: number;
  /** The gate multiplies what it reads. */
  readonly swish: boolean;
  /** Nodes it takes, the last makes the output. */
  readonly nodes: readonly Node[];
}

function rewrite({ graph }: Model): Graph {
  const sites = sitesOf(graph);
  if (sites.length === 0) return graph;
  const fresh = freshNames(graph);
  const numbers: Tensor[] = [];
  // one each: where the engine orders axes anew, constants that several nodes read cost a node
  const number = (value: number): string => {
    const name = fresh("number");
    numbers.push(floatTensor(name, [], [value]));
    return name;
  };
  const instead = new Map<Node, readonly Node[]>();
  for (const site of sites) {
    for (const node of site.nodes) instead.set(node, []);
    instead.set(site.nodes.at(-1)!, (site.swish ? swish : sigmoid)(site, number, fresh));
  }
  const nodes = graph.nodes.flatMap((node) => instead.get(node) ?? [node]);
  return withTensors({ ...graph, nodes }, numbers);
}

function sitesOf(graph: Graph): readonly Site[] {
  const makers = producers(graph);
  const readers = consumers(graph);
  const uses = useCounts(graph);
  const constant = constantsIn(graph);
  /** What a product gives to `count` readers, on no grid of its own. */
  const isProduct = (name: string, count: number): boolean => {
    const maker = makers.get(name);
    if (maker === undefined || graph.grids?.has(name) || uses.get(name) !== count) return false;
    return foldable(maker, constant) !== undefined;
  };
  return graph.nodes.flatMap((node): readonly Site[] => {
    const gate = gateOf(node);
    const [source, output] = [node.inputs[0] ?? "", node.outputs[0]!];
    if (gate === undefined) return [];
    if (isProduct(source, 1)) return [{ ...gate, source, output, nodes: [node] }];
    const product = uses.get(output) === 1 && !graph.grids?.has(output) ? readers.get(output)?.[0] : undefined;
    if (gate.swish || product?.op !== "Mul" || product.domain !== "" || !isProduct(source, 2)) return [];
    const isSwish = product.inputs.includes(source);
    return isSwish ? [{ ...gate, swish: true, source, output: product.outputs[0]!, nodes: [node, product] }] : [];
  });
}

/** What a node does as a gate. */
function gateOf(node: Node): Pick<Site, "alpha" | "beta" | "swish"> | undefined {
  if (node.domain !== "") return undefined;
  if (node.op === "HardSwish") return { ...SWISH, swish: true };
  const alpha = floatAttribute(node, "alpha", 0.2);
  return node.op === "HardSigmoid" && alpha > 0
    ? { alpha, beta: floatAttribute(node, "beta", 0.5), swish: false }
    : undefined;
}

type Name = (wish: string) => string;
type Num = (value: number) => string;

function sigmoid({ source, output, alpha, beta }: Site, number: Num, fresh: Name): readonly Node[] {
  const [scaled, shifted] = [fresh(`${output}_scaled`), fresh(`${output}_shifted`)];
  return [
    makeNode("Mul", [source, number(alpha)], [scaled]),
    makeNode("Add", [scaled, number(beta)], [shifted]),
    makeNode("Clip", [shifted, number(0), number(1)], [output]),
  ];
}

function swish({ source, output, alpha, beta }: Site, number: Num, fresh: Name): readonly Node[] {
  const root = Math.sqrt(alpha);
  const [scaled, shifted, gate] = [fresh(`${output}_scaled`), fresh(`${output}_shifted`), fresh(`${output}_gate`)];
  return [
    makeNode("Mul", [source, number(root)], [scaled]),
    makeNode("Add", [scaled, number(beta / root)], [shifted]),
    makeNode("Clip", [shifted, number(0), number(1 / root)], [gate]),
    makeNode("Mul", [scaled, gate], [output]),
  ];
}
