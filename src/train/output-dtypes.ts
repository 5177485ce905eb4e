/** Element types of the outputs of ops. */
import { dtypeOf } from "../containers/onnx/dtypes.ts";
import { intAttribute, tensorAttribute } from "../ir/attributes.ts";
import type { Node } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import type { Known } from "./types.ts";

type Inputs = readonly Known[];
type Infer = (inputs: Inputs, node: Node) => DType | undefined;

const always =
  (dtype: DType): Infer =>
  () =>
    dtype;

const BOOLEAN = [
  ...["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"],
  ...["Not", "And", "Or", "Xor", "IsNaN", "IsInf"],
];
const INTEGER = ["Shape", "Size", "NonZero", "ArgMax", "ArgMin"];

const filled: Infer = (_, node) => tensorAttribute(node, "value")?.dtype ?? "float32";

/** A Constant holds a tensor, or numbers or texts as attributes of their own. */
const held: Infer = (inputs, node) =>
  Object.keys(node.attributes).some((name) => name.startsWith("value_int")) ? "int64" : filled(inputs, node);

/** The dtype that a node may name in an attribute. */
const chosen =
  (attribute: string, otherwise: Infer): Infer =>
  (inputs, node) =>
    dtypeOf(intAttribute(node, attribute, 0), node.name) ?? otherwise(inputs, node);

const firstDtype: Infer = (inputs) => inputs[0]?.dtype;

/** Ops whose first output is not of the dtype of their first input. */
const DTYPE_OF: ReadonlyMap<string, Infer> = new Map<string, Infer>([
  ...BOOLEAN.map((op) => [op, always("bool")] as const),
  ...INTEGER.map((op) => [op, always("int64")] as const),
  ["Cast", (_, node) => dtypeOf(intAttribute(node, "to", 0), node.name)],
  ["Where", (inputs) => inputs[1]?.dtype],
  ["ConstantOfShape", filled],
  ["Constant", held],
  ...["EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli"].map(
    (op) => [op, chosen("dtype", firstDtype)] as const,
  ),
  ...["RandomNormal", "RandomUniform"].map((op) => [op, chosen("dtype", always("float32"))] as const),
  ["CastLike", (inputs) => inputs[1]?.dtype],
  ["QuantizeLinear", chosen("output_dtype", (inputs) => inputs[2]?.dtype ?? "uint8")],
  ["DequantizeLinear", chosen("output_dtype", (inputs) => inputs[1]?.dtype)],
  ["DynamicQuantizeLinear", always("uint8")],
  ...["MatMulInteger", "ConvInteger"].map((op) => [op, always("int32")] as const),
]);

const LATER_OUTPUTS: ReadonlyMap<string, DType | "first"> = new Map<string, DType | "first">([
  ...["MaxPool", "TopK"].map((op) => [op, "int64"] as const),
  ...["Split", "BatchNormalization", "LayerNormalization", "SoftmaxCrossEntropyLoss"].map(
    (op) => [op, "first"] as const,
  ),
  ["Dropout", "bool"],
]);

/** Indices and lengths come before the data in some ops (OneHot), but never decide the type when there is a float input. */
const floatFirst = (inputs: Inputs): DType | undefined =>
  (inputs.find(({ dtype }) => dtype?.startsWith("float")) ?? inputs[0])?.dtype;

/** Element type of the output of a node at an index; undefined where nothing tells it. */
export function outputDtype(node: Node, index: number, inputs: Inputs): DType | undefined {
  const later = index === 0 ? "first" : LATER_OUTPUTS.get(node.op);
  return later === "first" ? (DTYPE_OF.get(node.op) ?? floatFirst)(inputs, node) : later;
}
