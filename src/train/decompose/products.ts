/** Products of com.microsoft that hold a transposition, a factor, a sum or an activation besides. */
import { floatAttribute, intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion, Expansions } from "../expand.ts";
import type { Writer } from "../writer.ts";
import { activated } from "./activations.ts";
import { given, plus, single } from "./forms.ts";

/** Attributes but those that belong to the activation. */
const plainAttributes = ({ attributes }: Node): Node["attributes"] =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !name.startsWith("activation")));

/** Vectors have no axes to swap. */
function swapped(writer: Writer, value: string): string {
  const rank = writer.rank(value);
  if (rank < 2) return value;
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return writer.emit("Transpose", [value], { perm: [...axes.slice(0, -2), rank - 1, rank - 2] });
}

const fusedMatMul: Expansion = (node, writer) => {
  for (const name of ["transBatchA", "transBatchB"])
    if (intAttribute(node, name, 0) !== 0) writer.refuse(`${name} 1 has no plain form; transpose before it`);
  const [a, b] = ["transA", "transB"].map((name, index) => {
    const value = node.inputs[index]!;
    return intAttribute(node, name, 0) === 0 ? value : swapped(writer, value);
  });
  const product = writer.emit("MatMul", [a!, b!]);
  const alpha = floatAttribute(node, "alpha", 1);
  return [alpha === 1 ? product : writer.emit("Mul", [product, single(writer, alpha, writer.dtype(a!))])];
};

const fusedGemm: Expansion = (node, writer) => [
  activated(node, writer, writer.emit("Gemm", node.inputs, plainAttributes(node))),
];

const fusedConv: Expansion = (node, writer) => {
  const product = writer.emit(
    "Conv",
    node.inputs.slice(0, given(node, 2) === undefined ? 2 : 3),
    plainAttributes(node),
  );
  return [activated(node, writer, plus(writer, product, given(node, 3)))];
};

export const productExpansions: Expansions = {
  "com.microsoft.FusedMatMul": fusedMatMul,
  "com.microsoft.FusedGemm": fusedGemm,
  "com.microsoft.FusedConv": fusedConv,
};
