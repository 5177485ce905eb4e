/** Element types of all values of a graph: declared ones, and what each op makes of its inputs. */

import { dtypeOf } from "../../containers/onnx/dtypes.ts";
import { intAttribute, subgraphs, tensorAttribute } from "../../ir/attributes.ts";
import type { Graph, Node } from "../../ir/model.ts";
import type { DType } from "../../numeric/dtypes.ts";

/** Types by value name; a name of a graph around this one is looked up there. */
export interface GraphTypes {
  of(name: string): DType | undefined;
  /** Types inside the sub-graphs of this graph's nodes. */
  readonly inner: ReadonlyMap<Graph, GraphTypes>;
}

type Known = DType | undefined;
/** One output: type of that input, a fixed type, or computed. */
type Output = number | DType | ((node: Node, input: (index: number) => Known) => Known);

const coded =
  (attribute: string, otherwise: DType | number): Output =>
  (node, input) => {
    const code = intAttribute(node, attribute, 0);
    if (code !== 0) return dtypeOf(code, `${node.op} "${node.name}"`);
    return typeof otherwise === "number" ? input(otherwise) : otherwise;
  };

const constantType: Output = (node) => {
  const [first] = Object.keys(node.attributes).filter((name) => name.startsWith("value"));
  if (first === undefined || first === "value") return tensorAttribute(node, "value")?.dtype;
  return CONSTANT_TYPES[first];
};

const CONSTANT_TYPES: Readonly<Record<string, DType>> = {
  value_float: "float32",
  value_floats: "float32",
  value_int: "int64",
  value_ints: "int64",
  value_string: "string",
  value_strings: "string",
};

const row = (ops: string, ...outputs: readonly Output[]): readonly (readonly [string, readonly Output[]])[] =>
  ops.split(" ").map((op) => [op, outputs] as const);

/** Ops whose outputs don't all have the type of the first input; a missing entry stands for input 0. */
const OUTPUTS: ReadonlyMap<string, readonly Output[]> = new Map([
  ...row("ArgMax ArgMin NonMaxSuppression NonZero SequenceLength Shape Size", "int64"),
  ...row("And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not OptionalHasElement Or Xor", "bool"),
  ...row("MaxPool TopK", 0, "int64"),
  ...row("Unique", 0, "int64", "int64", "int64"),
  ...row("Dropout", 0, "bool"),
  ...row("LayerNormalization SimplifiedLayerNormalization", 0, "float32", "float32"),
  ...row("SkipLayerNormalization SkipSimplifiedLayerNormalization", 0, "float32", "float32", 0),
  ...row("EmbedLayerNormalization", 2, "int32", 2),
  ...row("Where CastLike DequantizeLinear", 1),
  ...row("OneHot GatherBlockQuantized", 2),
  ...row("Cast", coded("to", "float32")),
  ...row("Constant", constantType),
  ...row("ConstantOfShape", (node) => tensorAttribute(node, "value")?.dtype ?? "float32"),
  ...row("RandomNormal RandomUniform", coded("dtype", "float32")),
  ...row("Bernoulli EyeLike RandomNormalLike RandomUniformLike", coded("dtype", 0)),
  ...row("Multinomial", coded("dtype", "int32")),
  ...row("BlackmanWindow HammingWindow HannWindow MelWeightMatrix", coded("output_datatype", "float32")),
  ...row("ConvInteger MatMulInteger", "int32"),
  ...row("MatMulIntegerToFloat", 2),
  ...row("DynamicQuantizeLinear", "uint8", "float32", "uint8"),
  ...row("QuantizeLinear", (node, input) => input(2) ?? dtypeOf(intAttribute(node, "output_dtype", 2), node.op)),
  ...row("QLinearConv QLinearMatMul", 7),
]);

/** Types of a graph and of everything inside it; `outer` answers for captured names, `fed` types the graph's inputs. */
export function graphTypes(
  graph: Graph,
  outer: (name: string) => Known = () => undefined,
  fed: readonly Known[] = [],
): GraphTypes {
  const types = new Map<string, Known>();
  const inner = new Map<Graph, GraphTypes>();
  const of = (name: string): Known => (types.has(name) ? types.get(name) : outer(name));
  for (const [index, input] of graph.inputs.entries()) types.set(input.name, input.dtype ?? fed[index]);
  for (const tensor of graph.tensors.values()) types.set(tensor.name, tensor.dtype);
  const declared = new Map([...graph.values.values(), ...graph.outputs].map(({ name, dtype }) => [name, dtype]));
  for (const node of graph.nodes) {
    for (const sub of subgraphs(node)) inner.set(sub.graph, graphTypes(sub.graph, of, fedTypes(node, of)));
    const made = nodeTypes(node, of, inner);
    for (const [index, name] of node.outputs.entries())
      if (name !== "") types.set(name, declared.get(name) ?? made(index));
  }
  return { of, inner };
}

/** What a Loop or Scan hands to its body. */
function fedTypes(node: Node, of: (name: string) => Known): readonly Known[] {
  if (node.op === "Loop") return ["int64", "bool", ...node.inputs.slice(2).map(of)];
  return node.op === "Scan" ? node.inputs.map(of) : [];
}

function nodeTypes(
  node: Node,
  of: (name: string) => Known,
  inner: ReadonlyMap<Graph, GraphTypes>,
): (output: number) => Known {
  const input = (index: number): Known => of(node.inputs[index] ?? "");
  const [sub] = subgraphs(node);
  if (sub !== undefined) {
    const skipped = node.op === "Loop" ? 1 : 0;
    return (output) => inner.get(sub.graph)?.of(sub.graph.outputs[output + skipped]?.name ?? "");
  }
  const rules = OUTPUTS.get(node.op);
  return (output) => {
    const rule = rules?.[output] ?? 0;
    if (typeof rule === "string") return rule;
    return typeof rule === "function" ? rule(node, input) : input(rule);
  };
}

/** A graph and everything inside it, each with its types. */
export function* typedGraphs(
  graph: Graph,
  types: GraphTypes,
): Generator<{ readonly graph: Graph; readonly types: GraphTypes }> {
  yield { graph, types };
  for (const [sub, inner] of types.inner) yield* typedGraphs(sub, inner);
}
