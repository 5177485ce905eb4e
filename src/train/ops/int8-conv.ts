/**
 * fewbit.Int8Conv: a convolution in 8-bit integers, as a product of its windows with the weight. Inputs: x [N, C, ..]; weight [O, C,
 * ..], float32; and, for gradients that are rounded at random, a vector of uniform numbers. Attributes: strides, dilations and
 * pads of Conv; `format` and `backward` as for Int8MatMul. Outputs: y; then what the gradients need again: the windows as rows
 * of codes, scale and zero point of x; codes and scales of the weight.
 */
import type { Node } from "../../ir/model.ts";
import type { Expansion } from "../expand.ts";
import { type Codes, formatOf, integerProduct, unsignedCodes, weightCodes } from "../low-precision/codes.ts";
import { columns, fromRows, range, stepsOf } from "../low-precision/columns.ts";
import type { Writer } from "../writer.ts";

/** Places of the outputs. */
export const INT8_CONV = { y: 0, windows: 1, scale: 2, zero: 3, weightCodes: 4, weightScale: 5 };

/** Shape of the weight of a convolution. */
export const weightShape = (writer: Writer, node: Node): readonly number[] =>
  writer.shape(node.inputs[1]!) ?? writer.refuse("the shape of its weight is not known; declare it");

/** A weight [O, C, ..] as a matrix of rows of taps and, faster, the axis `inner`; its columns are the other one. */
export function weightMatrix(writer: Writer, { codes, ...rest }: Codes, shape: readonly number[], inner: 0 | 1): Codes {
  const { emit, ints } = writer;
  const turned = emit("Transpose", [codes], { perm: [...range(2, shape.length), inner, 1 - inner] });
  return { ...rest, codes: emit("Reshape", [turned, ints([-1, shape[1 - inner]!])]) };
}

/** Int8Conv in plain ops. */
export const int8Conv: Expansion = (node, writer) => {
  const [x = "", weight = ""] = node.inputs;
  const shape = weightShape(writer, node);
  const steps = stepsOf(node, shape.slice(2));
  const { rows, windows } = columns(writer, unsignedCodes(writer, x), shape[1]!, steps);
  const codes = weightCodes(writer, weight, formatOf(node), 0);
  const product = integerProduct(writer, rows, weightMatrix(writer, codes, shape, 1));
  const y = fromRows(writer, product, windows, shape[0]!, shape.length);
  return [y, rows.codes, rows.scale, rows.zero, codes.codes, codes.scale];
};
