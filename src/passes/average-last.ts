/**
 * A product with averages over images becomes an average over products: the same numbers, but what is put on few codes are the
 * values of the image, whose roundings the average evens out, and no longer the averages themselves. Costs the product once
 * for each place of the image.
 */
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../ir/attributes.ts";
import { node as makeNode } from "../ir/build.ts";
import { freshNames, producers, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import { type ImageShape, imageShapes } from "./image-shape.ts";
import { permuted } from "./lazy-constants.ts";
import type { Pass, PassContext } from "./pass.ts";
import { constantsIn, forgetValues, useCounts } from "./values.ts";

export const averageLast: Pass = {
  name: "average-last",
  summary: "multiply first and average images then, where values have few codes",
  apply: (model, context) => withGraph(model, rewrite(model.graph, context)),
};

/** Batch, channels and at least one axis of places. */
const MIN_RANK = 3;

/** A pool, what makes a matrix of it, and the product that reads that. */
interface Site {
  readonly pool: Node;
  readonly flatten: Node;
  readonly product: Node;
  readonly weight: Tensor;
  readonly image: ImageShape;
}

function rewrite(graph: Graph, context: PassContext): Graph {
  const sites = sitesOf(graph, context);
  if (sites.length === 0) return graph;
  const fresh = freshNames(graph);
  const uses = useCounts(graph);
  const instead = new Map<Node, readonly Node[]>();
  const kernels = sites.map((site) => {
    const { name } = site.weight;
    const kernel = kernelOf(site, uses.get(name) === 1 ? name : fresh(`${name}_kernel`));
    for (const gone of [site.pool, site.flatten]) instead.set(gone, []);
    instead.set(site.product, multiplied(site, kernel.name, fresh));
    return kernel;
  });
  const nodes = graph.nodes.flatMap((node) => instead.get(node) ?? [node]);
  const gone = sites.flatMap(({ pool, flatten }) => [...pool.outputs, ...flatten.outputs]);
  return withTensors({ ...graph, nodes, values: forgetValues(graph.values, gone) }, kernels);
}

function sitesOf(graph: Graph, context: PassContext): readonly Site[] {
  const makers = producers(graph);
  const uses = useCounts(graph);
  const constant = constantsIn(graph);
  const shapeOf = imageShapes(graph, context);
  /** Whoever makes a value that one node reads, on no grid of its own. */
  const makerOf = (name: string) => (uses.get(name) === 1 && !graph.grids?.has(name) ? makers.get(name) : undefined);
  return graph.nodes.flatMap((product): readonly Site[] => {
    const weight = isPlainGemm(product) ? constant(product.inputs[1]!) : undefined;
    const flatten = makerOf(product.inputs[0] ?? "");
    const pool = flatten && makerOf(flatten.inputs[0] ?? "");
    if (weight?.dtype !== "float32" || weight.shape.length !== 2 || !pool || !makesMatrix(flatten, pool)) return [];
    const [rows, columns] = isTransposed(product) ? weight.shape.toReversed() : weight.shape;
    const bias = constant(product.inputs[2] ?? "");
    if (product.inputs[2] && (bias?.shape.length !== 1 || bias.shape[0] !== columns)) return [];
    const image = shapeOf(pool.inputs[0]!);
    if (image === undefined || image.rank < MIN_RANK) return [];
    // as many columns as channels: one average for each
    return image.channels === rows ? [{ pool, flatten, product, weight, image }] : [];
  });
}

const isTransposed = (product: Node): boolean => intAttribute(product, "transB", 0) !== 0;

const isPlainGemm = (node: Node): boolean =>
  node.op === "Gemm" &&
  node.domain === "" &&
  intAttribute(node, "transA", 0) === 0 &&
  floatAttribute(node, "alpha", 1) === 1 &&
  floatAttribute(node, "beta", 1) === 1;

/** A pool that gives each channel one number, as a matrix of [batch, channels]. */
function makesMatrix(flatten: Node, pool: Node): boolean {
  if (flatten.domain !== "" || pool.domain !== "") return false;
  const flat = flatten.op === "Flatten" && intAttribute(flatten, "axis", 1) === 1;
  if (pool.op === "GlobalAveragePool") return flat || flatten.op === "Reshape" || flatten.op === "Squeeze";
  return pool.op === "AveragePool" && flat && isUnpadded(pool);
}

const isUnpadded = (pool: Node): boolean =>
  (intsAttribute(pool, "pads")?.every((count) => count === 0) ?? true) &&
  ["NOTSET", "VALID"].includes(stringAttribute(pool, "auto_pad", "NOTSET"));

const TURN = makeNode("Transpose", [], ["turned"], { attributes: { perm: [1, 0] } });

/** The weight as one of a convolution, [outputs, channels, 1, ...]. */
function kernelOf({ product, weight, image }: Site, name: string): Tensor {
  const turned = isTransposed(product) ? weight : permuted(TURN, [weight])!;
  return { ...turned, name, shape: [...turned.shape, ...new Array<number>(image.rank - 2).fill(1)] };
}

function multiplied(
  { pool, flatten, product }: Site,
  kernel: string,
  fresh: (wish: string) => string,
): readonly Node[] {
  const [output] = product.outputs as [string];
  const [products, averages] = [fresh(`${output}_products`), fresh(`${output}_averages`)];
  const [, , ...bias] = product.inputs;
  return [
    makeNode("Conv", [pool.inputs[0]!, kernel, ...bias], [products], { name: product.name }),
    { ...pool, inputs: [products], outputs: [averages] },
    makeNode("Flatten", [averages], [output], { name: flatten.name }),
  ];
}
