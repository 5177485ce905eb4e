/** Normalizations of com.microsoft that add a residual first. */
import { floatAttribute } from "../../ir/attributes.ts";
import { float } from "../../ir/build.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion, Expansions } from "../expand.ts";
import { given, plus } from "./forms.ts";

/** What ONNX Runtime takes when the attribute is left out. */
const SKIP_EPSILON = 1e-12;

const epsilonOf = (node: Node) => ({ epsilon: float(floatAttribute(node, "epsilon", SKIP_EPSILON)), axis: -1 });

const isRead = (node: Node, index: number): boolean => (node.outputs[index] ?? "") !== "";

/** LayerNormalization of input + skip + bias; the statistics are outputs only where they are asked for. */
const skipLayerNorm: Expansion = (node, writer) => {
  const [input = "", skip = "", gamma = ""] = node.inputs;
  const sum = plus(writer, input, skip, given(node, 4));
  const scale = [gamma, ...(given(node, 3) === undefined ? [] : [node.inputs[3]!])];
  const count = isRead(node, 1) || isRead(node, 2) ? 3 : 1;
  const [y, mean, inverse] = writer.emitMany("LayerNormalization", [sum, ...scale], count, epsilonOf(node));
  return [y, mean, inverse, sum];
};

const skipSimplified: Expansion = (node, writer) => {
  const [input = "", skip = "", gamma = ""] = node.inputs;
  const sum = plus(writer, input, skip, given(node, 3));
  return [writer.emit("SimplifiedLayerNormalization", [sum, gamma], epsilonOf(node)), undefined, undefined, sum];
};

export const normExpansions: Expansions = {
  "com.microsoft.SkipLayerNormalization": skipLayerNorm,
  "com.microsoft.SkipSimplifiedLayerNormalization": skipSimplified,
};
