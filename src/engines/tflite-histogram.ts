/** Which nodes of a TFLite graph compute in integers: its runtime rewrites no graph, so the file says it. */
import { tfliteExtra } from "../containers/tflite/index.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import { DTYPES, type DType, elementCount, isDType } from "../numeric/dtypes.ts";
import type { Arithmetic, OpHistogram } from "./contract.ts";
import { tally } from "./tally.ts";

/** Builtin ops that multiply matrices or convolve. */
const HEAVY: ReadonlySet<string> = new Set([
  "BATCH_MATMUL",
  "BIDIRECTIONAL_SEQUENCE_LSTM",
  "BIDIRECTIONAL_SEQUENCE_RNN",
  "CONV_2D",
  "CONV_3D",
  "CONV_3D_TRANSPOSE",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "LSTM",
  "RNN",
  "SVDF",
  "TRANSPOSE_CONV",
  "UNIDIRECTIONAL_SEQUENCE_LSTM",
  "UNIDIRECTIONAL_SEQUENCE_RNN",
]);

const isInteger = (dtype: string): boolean => isDType(dtype) && /^u?int$/.test(DTYPES[dtype].kind);

/**
 * Arithmetic of a name like "CONV_2D int8", "FULLY_CONNECTED float32xint8"; undefined for lighter ops and other names.
 * Float inputs meet integer weights after they were quantized on the way, so that is integer arithmetic too.
 */
export function tfliteArithmetic(name: string): Arithmetic | undefined {
  const [op = "", types = ""] = name.split(" ");
  if (!HEAVY.has(op)) return undefined;
  return types.split("x").some(isInteger) ? "integer" : "float";
}

function dtypes({ inputs, outputs, values, tensors }: Graph): ReadonlyMap<string, DType | undefined> {
  const typed = [...inputs, ...outputs, ...values.values(), ...tensors.values()];
  return new Map(typed.map(({ name, dtype }) => [name, dtype]));
}

/** The largest constant that is no vector: the weights of a node, where it has some. */
const weights = (node: Node, { tensors }: Graph) =>
  node.inputs
    .flatMap((name) => tensors.get(name) ?? [])
    .filter(({ shape }) => shape.length > 1)
    .sort((a, b) => elementCount(b.shape) - elementCount(a.shape))[0];

/** Op with the dtype of what flows in, and that of its weights where it is another one. */
function typedName(node: Node, graph: Graph, types: ReadonlyMap<string, DType | undefined>): string {
  const flows = node.inputs.find((name) => name !== "" && !graph.tensors.has(name)) ?? node.outputs[0] ?? "";
  const dtype = types.get(flows) ?? "?";
  const of = HEAVY.has(node.op) ? weights(node, graph)?.dtype : undefined;
  return `${node.op} ${of === undefined || of === dtype ? dtype : `${dtype}x${of}`}`;
}

/** Nodes of a TFLite model by op and type, those of sub-graphs included. */
export const countTypedOps = (model: Model): OpHistogram =>
  tally(
    [model.graph, ...tfliteExtra(model).subgraphs].flatMap((graph) => {
      const types = dtypes(graph);
      return graph.nodes.map((node) => typedName(node, graph, types));
    }),
  );
