/**
 * fewbit.Int8MatMul: a product in 8-bit integers of rows with a weight matrix. Inputs: x [.., K]; weight [K, N], or [N, K]
 * with `transB` 1, float32; and, for gradients that are rounded at random, a vector of uniform numbers. `format` names the
 * grid of the weight; with `backward` 0 gradients are products of floats. Outputs: y; then what the gradients need again: codes,
 * scale and zero point of x; codes and scales of the weight.
 */
import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion } from "../expand.ts";
import { type Codes, formatOf, integerProduct, unsignedCodes, weightCodes } from "../low-precision/codes.ts";
import type { Writer } from "../writer.ts";

/** Places of the outputs. */
export const INT8_MATMUL = { y: 0, codes: 1, scale: 2, zero: 3, weightCodes: 4, weightScale: 5 };

/** 1 where the weight is [N, K]. */
export const transposedWeight = (node: Node): boolean => intAttribute(node, "transB", 0) !== 0;

/** Codes of a matrix with rows and columns swapped. */
export const flipped = ({ emit }: Writer, { codes, ...rest }: Codes): Codes => ({
  ...rest,
  codes: emit("Transpose", [codes], { perm: [1, 0] }),
});

/** Int8MatMul in plain ops. */
export const int8MatMul: Expansion = (node, writer) => {
  const [x = "", weight = ""] = node.inputs;
  const transB = transposedWeight(node);
  const left = unsignedCodes(writer, x);
  const right = weightCodes(writer, weight, formatOf(node), transB ? 0 : 1);
  const y = integerProduct(writer, left, transB ? flipped(writer, right) : right);
  return [y, left.codes, left.scale, left.zero, right.codes, right.scale];
};
