/** Models that were exported for batches of one length, for batches of any: the other way round than fix-batch.ts. */
import { intAttribute } from "../ir/attributes.ts";
import { tensor as makeTensor } from "../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Dim, Graph, Model, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { integers } from "./lazy-constants.ts";
import { constantsIn } from "./values.ts";

const BATCH = "batch";

/** The value with another length of its first axis. */
const beginning = (value: ValueInfo, length: Dim): ValueInfo =>
  value.shape === undefined || value.shape.length === 0
    ? value
    : { ...value, shape: [length, ...value.shape.slice(1)] };

/** Lengths of a reshape that leave the first open: what is left over, or as long as before. The same where they do already. */
function openLengths(lengths: readonly number[], batch: number): readonly number[] {
  const [first = -1, ...rest] = lengths;
  if (first < 1) return lengths;
  if (!rest.includes(-1)) return [-1, ...rest];
  return first === batch ? [0, ...rest] : lengths;
}

/** A length of 0 means none, and not as many as before. */
const isLiteral = (node: Node): boolean => intAttribute(node, "allowzero", 0) !== 0;

const reshape = (node: Node, shape: Tensor): Node => {
  const { allowzero: _, ...attributes } = node.attributes;
  return { ...node, attributes, inputs: [node.inputs[0]!, shape.name] };
};

/** Shapes of reshapes with an open first length, by node. */
async function openShapes(graph: Graph, batch: number): Promise<ReadonlyMap<Node, Tensor>> {
  const constant = constantsIn(graph);
  const fresh = freshNames(graph);
  const found = new Map<Node, Tensor>();
  for (const node of graph.nodes) {
    const shape = node.op === "Reshape" && node.domain === "" ? constant(node.inputs[1] ?? "") : undefined;
    const lengths = await integers(shape);
    if (shape === undefined || lengths === undefined || (isLiteral(node) && lengths.includes(0))) continue;
    const open = openLengths(lengths, batch);
    if (open === lengths) continue;
    const data = BigInt64Array.from(open, BigInt);
    found.set(node, makeTensor(fresh(`${shape.name}/open`), "int64", shape.shape, data));
  }
  return found;
}

/**
 * `model` for batches of any length where it was exported for those of `batch`: its inputs are open, and its reshapes take what
 * comes. Nodes keep their order and constants their names. Whether it still computes the same is for whoever runs it to see:
 * a model may mix its samples, or hold the length where this does not look.
 */
export async function openBatch(model: Model, batch: number): Promise<Model> {
  const { graph } = model;
  const shapes = await openShapes(graph, batch);
  const nodes = graph.nodes.map((node) => {
    const shape = shapes.get(node);
    return shape === undefined ? node : reshape(node, shape);
  });
  return withGraph(model, {
    ...withTensors(graph, [...shapes.values()]),
    nodes,
    inputs: graph.inputs.map((value) => beginning(value, BATCH)),
    outputs: graph.outputs.map((value) => beginning(value, null)),
    values: new Map([...graph.values].map(([name, value]) => [name, beginning(value, null)])),
  });
}
