/** MatMul and Gemm to MatMulInteger, which onnxruntime fuses to DynamicQuantizeMatMul or MatMulIntegerToFloat. */
import { floatAttribute, intAttribute } from "../ir/attributes.ts";
import { node } from "../ir/build.ts";
import { graphs } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import type { Scheme } from "../ir/scheme.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { channelCount, type Layout } from "./dynamic-codes.ts";
import { type DynamicOp, integerProduct, type PlannedWeight, quantizedInput } from "./dynamic-op.ts";
import { addWeight } from "./dynamic-weight.ts";
import type { LowerContext, Site } from "./form.ts";

const channels = (weight: PlannedWeight, along: "columns" | "rows"): Layout["channels"] =>
  weight.scheme.granularity.per === "axis" ? along : "all";

/** An embedding table that is also a matrix gets codes of its own: Gather's are per tensor, the matrix's need not be. */
const readByGather = (site: Site, tensor: string): boolean =>
  site.uses(tensor) > 1 &&
  [...graphs(site.model.graph)].some(({ graph }) =>
    graph.nodes.some(({ op, inputs }) => op === "Gather" && inputs[0] === tensor),
  );

/**
 * Stacked matrices get a scale per column of each matrix: onnxruntime's kernel wants parameters of shape [.., 1, N] there
 * and rejects the [N] that its Python tool writes.
 */
function lowerMatMul(context: LowerContext, weight: PlannedWeight): readonly Node[] {
  const { inputs, outputs } = context.node;
  const stack = weight.shape.slice(0, -2);
  const [rows, cols] = weight.shape.slice(-2) as [number, number];
  const base = readByGather(context, weight.tensor) ? `${weight.tensor}_matrix` : weight.tensor;
  const layout: Layout = { blocks: elementCount(stack), rows, cols, channels: channels(weight, "columns") };
  const paramShape = layout.channels === "all" ? [] : stack.length === 0 ? [cols] : [...stack, 1, cols];
  const b = addWeight(context, { weight, base, layout, paramShape });
  const [a, scale, zeroPoint] = quantizedInput(context, inputs[0]!) as [string, string, string];
  return integerProduct(context, {
    op: "MatMulInteger",
    inputs: [a, b.codes, zeroPoint, b.zeroPoint],
    scales: [scale, b.scale],
    output: outputs[0]!,
  });
}

/** Declared rank of a value of the site's graph. */
function rankOf({ graph }: Site, name: string): number | undefined {
  const value = graph.inputs.find((input) => input.name === name) ?? graph.values.get(name);
  return value?.shape?.length;
}

/** A vector leaves its dimension out of the product, so scales of shape [.., 1, N] would no longer line up. */
function matMulAxis(site: Site, shape: readonly number[], { granularity }: Scheme): number | string {
  if (shape.length < 2) return "weight is a vector";
  if (shape.length > 2 && granularity.per === "axis" && rankOf(site, site.node.inputs[0]!) === 1)
    return "a vector times stacked matrices has no integer form with a scale per column; use per-tensor weights";
  return shape.length - 1;
}

export const matMulInteger: DynamicOp = { input: 1, axis: matMulAxis, lower: lowerMatMul };

const transB = (gemm: Node): boolean => intAttribute(gemm, "transB", 0) !== 0;

/** Only Y = A B + C: other factors have no place in the integer product. */
function gemmAxis(site: Site): number | string {
  const gemm = site.node;
  if (intAttribute(gemm, "transA", 0) !== 0) return "Gemm with transA has no integer form";
  if (floatAttribute(gemm, "alpha", 1) !== 1 || floatAttribute(gemm, "beta", 1) !== 1)
    return "Gemm with alpha or beta other than 1 has no integer form";
  return transB(gemm) ? 0 : 1;
}

/** MatMulInteger and an Add for the bias; a transposed B is stored upright. */
function lowerGemm(context: LowerContext, weight: PlannedWeight): readonly Node[] {
  const { inputs, outputs, name } = context.node;
  const transpose = transB(context.node);
  const shared = transpose && context.uses(weight.tensor) > 1;
  const base = shared ? `${weight.tensor}_transposed` : weight.tensor;
  const [rows, cols] = weight.shape as readonly [number, number];
  const layout: Layout = { blocks: 1, rows, cols, channels: channels(weight, transpose ? "rows" : "columns") };
  const paramShape = layout.channels === "all" ? [] : [channelCount(layout)];
  const b = addWeight(context, { weight, base, layout, paramShape, transpose });
  const [a, scale, zeroPoint] = quantizedInput(context, inputs[0]!) as [string, string, string];
  const bias = inputs[2] ?? "";
  const output = bias === "" ? outputs[0]! : context.fresh(`${outputs[0]}_MatMul`);
  const product = integerProduct(context, {
    op: "MatMulInteger",
    inputs: [a, b.codes, zeroPoint, b.zeroPoint],
    scales: [scale, b.scale],
    output,
  });
  if (bias === "") return product;
  return [...product, node("Add", [output, bias], [outputs[0]!], { name: name === "" ? "" : `${name}_Add` })];
}

export const gemmInteger: DynamicOp = { input: 1, axis: gemmAxis, lower: lowerGemm };
