/** Activation functions of com.microsoft, and those that its fused products end with (ContribOperators of ONNX Runtime). */
import { floatAttribute, stringAttribute } from "../../ir/attributes.ts";
import { float } from "../../ir/build.ts";
import type { Attribute, Node } from "../../ir/model.ts";
import type { Expansion, Expansions } from "../expand.ts";
import type { Writer } from "../writer.ts";
import { given, plus, single } from "./forms.ts";

const gelu: Expansion = (node, { emit }) => [emit("Gelu", [node.inputs[0]!])];

const fastGelu: Expansion = (node, writer) => [
  writer.emit("Gelu", [plus(writer, node.inputs[0]!, given(node, 1))], { approximate: "tanh" }),
];

const biasGelu: Expansion = (node, writer) => [writer.emit("Gelu", [plus(writer, node.inputs[0]!, given(node, 1))])];

/** x * sigmoid(alpha * x) */
const quickGelu: Expansion = (node, writer) => {
  const { emit, dtype } = writer;
  const x = node.inputs[0]!;
  const alpha = single(writer, floatAttribute(node, "alpha", 1.702), dtype(x));
  return [emit("Mul", [x, emit("Sigmoid", [emit("Mul", [x, alpha])])])];
};

/** Names of the numbers an activation takes, in the order in which fused ops list them. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  Relu: [],
  Tanh: [],
  Sigmoid: [],
  LeakyRelu: ["alpha"],
  HardSigmoid: ["alpha", "beta"],
  Clip: ["min", "max"],
};

const FUSED = ["activation_alpha", "activation_beta", "activation_gamma"];

/** The numbers of the activation: a list, or attributes of their own. */
function numbersOf({ attributes }: Node): readonly number[] {
  const list: Attribute | undefined = attributes.activation_params;
  if (list?.type === "floats") return list.value;
  return FUSED.flatMap((name) => {
    const found: Attribute | undefined = attributes[name];
    return found?.type === "float" ? [found.value] : [];
  });
}

/** The activation a fused op ends with. */
export function activated(node: Node, writer: Writer, value: string): string {
  const name = stringAttribute(node, "activation", "");
  if (name === "") return value;
  const parameters = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name]! : writer.refuse(`its activation is ${name}`);
  const numbers = numbersOf(node);
  if (name === "Clip") {
    const bounds = numbers.map((number) => single(writer, number, writer.dtype(value)));
    return writer.emit("Clip", [value, ...bounds]);
  }
  const attributes = parameters.flatMap((key, index) =>
    numbers[index] === undefined ? [] : [[key, float(numbers[index])] as const],
  );
  return writer.emit(name, [value], Object.fromEntries(attributes));
}

export const activationExpansions: Expansions = {
  "com.microsoft.Gelu": gelu,
  "com.microsoft.FastGelu": fastGelu,
  "com.microsoft.BiasGelu": biasGelu,
  "com.microsoft.QuickGelu": quickGelu,
};
