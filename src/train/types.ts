/**
 * Element types, ranks and shapes of the values of a graph, as far as the backward pass needs them: declared ones, and
 * those that follow from the ops in one walk.
 */
import { subgraphs } from "../ir/attributes.ts";
import type { Dim, Graph, Node, Tensor, ValueInfo } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { outputDtype } from "./output-dtypes.ts";
import { RANK_OF } from "./output-ranks.ts";
import { shapeRule } from "./shapes/index.ts";
import { type Dims, fixedShape } from "./shapes/lengths.ts";
import { inferValues, valuesOf } from "./shapes/values.ts";

/** What is known of a value; a field is absent where nothing tells it. */
export interface Known {
  readonly dtype?: DType;
  readonly rank?: number;
  /** Lengths of the axes; two of the same symbol are equal whenever the model runs. */
  readonly dims?: readonly Dim[];
  /** Only where every length is known. */
  readonly shape?: readonly number[];
  /** Elements of an integer value in order, where they are known: constants, and lengths of other values. */
  readonly values?: readonly Dim[];
}

const UNKNOWN: Known = {};

/** Open lengths get names of their own, so that values computed from this one element by element are known to be as long. */
const named = (name: string, dims: Dims): Dims => dims.map((dim, axis) => dim ?? `?${name}.${axis}`);

/** Everything that follows from a shape. */
const shaped = (dims: Dims): Known => {
  const shape = fixedShape(dims);
  return { rank: dims.length, dims, ...(shape && { shape }) };
};

const fromInfo = ({ name, dtype, shape }: ValueInfo): Known => ({
  ...(dtype && { dtype }),
  ...(shape && shaped(named(name, shape))),
});

/** fewbit's own ops that give values of the type and shape of what they take. */
const KEEPS_TYPE = new Set(["FakeQuantize", "StopGradient", "FirstMax"]);
const keepsType = ({ domain, op }: Node): boolean => domain === "fewbit" && KEEPS_TYPE.has(op);

/** As many open lengths as an output has axes, where at least that follows. */
function openDims(node: Node, index: number, inputs: readonly Known[]): Dims | undefined {
  const rank = index === 0 ? RANK_OF.get(node.op)?.(inputs, node) : undefined;
  return rank === undefined ? undefined : new Array<Dim>(rank).fill(null);
}

function inferred(node: Node, index: number, inputs: readonly Known[]): Known {
  if (keepsType(node)) return index === 0 ? (inputs[0] ?? UNKNOWN) : UNKNOWN;
  if (node.domain !== "") return UNKNOWN;
  const dtype = outputDtype(node, index, inputs);
  const found = shapeRule(node.op)?.(inputs, node)?.[index] ?? openDims(node, index, inputs);
  if (found === undefined) return dtype ? { dtype } : UNKNOWN;
  const values = index === 0 ? inferValues(node, dtype, inputs) : undefined;
  return { ...(dtype && { dtype }), ...shaped(named(node.outputs[index]!, found)), ...(values && { values }) };
}

/** A number says more than a symbol, and a symbol of the inputs more than one that was made up for this value. */
const betterDim = (declared: Dim, follows: Dim): Dim =>
  typeof declared === "number" || (typeof follows === "string" && follows.startsWith("?")) ? declared : follows;

/** A declared fact goes before an inferred one. */
function merged(follows: Known, declared: Known | undefined): Known {
  if (declared === undefined) return follows;
  const [a, b] = [declared.dims, follows.dims];
  if (a === undefined || b?.length !== a.length) return { ...follows, ...declared };
  return { ...follows, ...declared, ...shaped(a.map((dim, axis) => betterDim(dim, b[axis]!))) };
}

/** What is known of a constant. */
export function knownTensor(tensor: Tensor): Known {
  const values = valuesOf(tensor);
  return { dtype: tensor.dtype, ...shaped(tensor.shape), ...(values && { values }) };
}

/** What is true of a value that is one of two: lengths that differ are open. */
function either(name: string, a: Known, b: Known): Known {
  const dtype = a.dtype === b.dtype ? a.dtype : undefined;
  if (a.dims === undefined || a.dims.length !== b.dims?.length) return { ...(dtype && { dtype }) };
  const dims = a.dims.map((dim, axis) => (dim === b.dims![axis] ? dim : null));
  return { ...(dtype && { dtype }), ...shaped(named(name, dims)) };
}

/** Outputs of If, from those of its branches, which see all that is known around them. */
function branchOutputs(known: ReadonlyMap<string, Known>, node: Node): readonly Known[] {
  const found = subgraphs(node).map(({ graph }) => {
    const inner = knownTypes(graph, known);
    return graph.outputs.map(({ name }) => inner.get(name) ?? UNKNOWN);
  });
  return node.outputs.map((name, index) => {
    const [a = UNKNOWN, b = UNKNOWN] = found.map((outputs) => outputs[index] ?? UNKNOWN);
    return either(name, a, b);
  });
}

/** Adds what follows for the outputs of a node to what is known. */
export function learn(known: Map<string, Known>, node: Node): void {
  const inputs = node.inputs.map((name) => known.get(name) ?? UNKNOWN);
  const branches = node.op === "If" && node.domain === "" ? branchOutputs(known, node) : undefined;
  for (const [index, name] of node.outputs.entries())
    if (name !== "") known.set(name, merged(branches?.[index] ?? inferred(node, index, inputs), known.get(name)));
}

/** What is known of every value of a graph by name, `outer` ones included; a declared fact goes before an inferred one. */
export function knownTypes(graph: Graph, outer: ReadonlyMap<string, Known> = new Map()): Map<string, Known> {
  const known = new Map(outer);
  for (const [name, tensor] of graph.tensors) known.set(name, knownTensor(tensor));
  for (const info of [...graph.values.values(), ...graph.outputs])
    if (!graph.tensors.has(info.name)) known.set(info.name, fromInfo(info));
  // a constant that is an input too may be replaced by another
  for (const info of graph.inputs) {
    const tensor = graph.tensors.get(info.name);
    known.set(info.name, tensor ? { dtype: tensor.dtype, ...shaped(tensor.shape) } : fromInfo(info));
  }
  for (const node of graph.nodes) learn(known, node);
  return known;
}
