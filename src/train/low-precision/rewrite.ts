/** Products of a model that is trained, turned into products of 8-bit integers, forward and backward. */
import { floatAttribute, intAttribute, stringAttribute } from "../../ir/attributes.ts";
import { intTensor, node as makeNode, valueInfo } from "../../ir/build.ts";
import { freshNames, nodeLabel, withGraph, withTensors } from "../../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../ir/model.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { NOISE } from "../step.ts";
import { type Known, knownTypes } from "../types.ts";
import { range } from "./columns.ts";
import type { WeightFormatName } from "./formats.ts";
import { NOISE_LENGTH } from "./gradient-codes.ts";

/** How a model is trained in integers. */
export interface LowPrecisionOptions {
  /** Initializers that are trained. */
  readonly parameters: readonly string[];
  /** Grid of the weights; int8 by default. */
  readonly format?: WeightFormatName;
  /** Gradients are products of integers too; true by default. */
  readonly backward?: boolean;
  /** Gradients are rounded up and down at random instead of to the nearest; true by default. */
  readonly stochastic?: boolean;
  /** Labels of nodes that stay in float32; by default the last product, whose outputs are the model's scores. */
  readonly keep?: ReadonlySet<string>;
  /** Labels of nodes that stay in float32 besides. */
  readonly alsoKeep?: ReadonlySet<string>;
}

/** A product that is one of integers now. */
export interface IntegerNode {
  readonly node: string;
  readonly weight: string;
  /** Axis of the weight along which its scales lie. */
  readonly axis: number;
}

/** A model whose products are integers; it runs only after `trainingStep` has expanded it. */
export interface IntegerProducts {
  readonly model: Model;
  readonly integer: readonly IntegerNode[];
  /** Nodes with trained weights that stay in float32, and why. */
  readonly kept: readonly { readonly node: string; readonly reason: string }[];
}

/** ReduceMax takes its axes as an input from here on. */
const MIN_OPSET = 18;
/** Values a window of a convolution must see for its rows to be worth making. */
const MIN_WINDOW = 32;

/** What is known around the node that is rewritten. */
interface Site {
  readonly node: Node;
  readonly label: string;
  readonly known: ReadonlyMap<string, Known>;
  readonly options: LowPrecisionOptions;
  readonly salt: number;
  readonly fresh: (wish: string) => string;
}

interface Rewritten {
  readonly nodes: readonly Node[];
  readonly axis: number;
  /** What the integer node makes; of the shape of what the rewritten node made. */
  readonly product: string;
  readonly tensors?: readonly Tensor[];
}

/** Gives the nodes that take the place of one, or in words why it stays. */
type Rewrite = (site: Site) => Rewritten | string;

const noiseOf = ({ stochastic = true, backward = true }: LowPrecisionOptions): readonly string[] =>
  stochastic && backward ? [`${NOISE}/gradients`] : [];

function integerNode({ node, label, options, salt }: Site, op: string, output: string, attributes: Node["attributes"]) {
  const [x = "", weight = ""] = node.inputs;
  const own = { format: options.format ?? "int8", backward: options.backward === false ? 0 : 1, salt };
  const inputs = [x, weight, ...noiseOf(options)];
  const made = makeNode(op, inputs, [output], { name: label, domain: "fewbit", attributes: own });
  return { ...made, attributes: { ...attributes, ...made.attributes } };
}

const matMul: Rewrite = (site) => {
  const { node, known } = site;
  if (known.get(node.inputs[1]!)?.rank !== 2) return "its weight is no matrix";
  if ((known.get(node.inputs[0]!)?.rank ?? 0) < 2) return "it is not known to read a matrix";
  const product = node.outputs[0]!;
  return { nodes: [integerNode(site, "Int8MatMul", product, {})], axis: 1, product };
};

const gemm: Rewrite = (site) => {
  const { node, fresh } = site;
  if (intAttribute(node, "transA", 0) !== 0) return "transA has no integer form";
  if (floatAttribute(node, "alpha", 1) !== 1 || floatAttribute(node, "beta", 1) !== 1)
    return "alpha and beta have no integer form";
  const transB = intAttribute(node, "transB", 0);
  const [output = "", bias = ""] = [node.outputs[0], node.inputs[2]];
  const product = bias === "" ? output : fresh(`${output}/product`);
  const integer = integerNode(site, "Int8MatMul", product, { transB: { type: "int", value: transB } });
  const add = makeNode("Add", [product, bias], [output], { name: fresh(`${site.label}/bias`) });
  return { nodes: bias === "" ? [integer] : [integer, add], axis: 1 - transB, product };
};

/** Attributes of Conv that Int8Conv reads. */
const STEPS = ["strides", "dilations", "pads"];

const conv: Rewrite = (site) => {
  const { node, fresh, known } = site;
  if (intAttribute(node, "group", 1) !== 1) return "the products of its groups are too small to be faster in integers";
  if (!["NOTSET", "VALID"].includes(stringAttribute(node, "auto_pad", "NOTSET"))) return "its pads are not written out";
  const shape = known.get(node.inputs[1]!)?.shape;
  if (shape === undefined || elementCount(shape.slice(1)) < MIN_WINDOW)
    return `its windows see fewer than ${MIN_WINDOW} values, which is slower in integers`;
  const [output = "", bias = ""] = [node.outputs[0], node.inputs[2]];
  const product = bias === "" ? output : fresh(`${output}/product`);
  const attributes = Object.entries(node.attributes).filter(([name]) => STEPS.includes(name));
  const integer = integerNode(site, "Int8Conv", product, Object.fromEntries(attributes));
  if (bias === "") return { nodes: [integer], axis: 0, product };
  const column = fresh(`${bias}/column`);
  const axes = intTensor(fresh(`${site.label}/axes`), range(1, shape.length - 1));
  const nodes = [
    integer,
    makeNode("Unsqueeze", [bias, axes.name], [column], { name: fresh(`${site.label}/column`) }),
    makeNode("Add", [product, column], [output], { name: fresh(`${site.label}/bias`) }),
  ];
  return { nodes, axis: 0, product, tensors: [axes] };
};

/** By op of the default domain. */
const REWRITES: Readonly<Record<string, Rewrite>> = { MatMul: matMul, Gemm: gemm, Conv: conv };

const isProduct = (node: Node, parameters: ReadonlySet<string>): boolean =>
  node.domain === "" && Object.hasOwn(REWRITES, node.op) && parameters.has(node.inputs[1] ?? "");

/** The product that nothing trained comes behind. */
function lastProduct(graph: Graph, parameters: ReadonlySet<string>): ReadonlySet<string> {
  const last = graph.nodes.findLast((node) => isProduct(node, parameters));
  return new Set(last ? [nodeLabel(last)!] : []);
}

/** The model with its products turned into integer ones. */
export function withIntegerProducts(model: Model, options: LowPrecisionOptions): IntegerProducts {
  const { graph, opsets } = model;
  if ((opsets[""] ?? 0) < MIN_OPSET)
    fail("unsupported", `low precision: the model is of opset ${opsets[""] ?? "?"}, expected ${MIN_OPSET} or later`);
  const parameters = new Set(options.parameters);
  const keep = options.keep ?? lastProduct(graph, parameters);
  const [known, fresh] = [knownTypes(graph), freshNames(graph)];
  const integer: IntegerNode[] = [];
  const kept: { node: string; reason: string }[] = [];
  const values = new Map(graph.values);
  const tensors: Tensor[] = [];
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (!isProduct(node, parameters)) return [node];
    const label = nodeLabel(node)!;
    const site: Site = { node, label, known, options, salt: 211 * integer.length, fresh };
    const found = keep.has(label) || options.alsoKeep?.has(label) ? "kept in float32" : REWRITES[node.op]!(site);
    if (typeof found === "string") {
      kept.push({ node: label, reason: found });
      return [node];
    }
    const dims = known.get(node.outputs[0]!)?.dims;
    if (dims !== undefined) values.set(found.product, valueInfo(found.product, "float32", dims));
    tensors.push(...(found.tensors ?? []));
    integer.push({ node: label, weight: node.inputs[1]!, axis: found.axis });
    return found.nodes;
  });
  if (integer.length === 0) return { model, integer, kept };
  const noise = noiseOf(options).map((name) => valueInfo(name, "float32", [NOISE_LENGTH]));
  const made = withTensors({ ...graph, nodes, values, inputs: [...graph.inputs, ...noise] }, tensors);
  return { model: withGraph(model, made), integer, kept };
}
