/**
 * Form `nbits`: MatMul and Gemm with a constant matrix become com.microsoft MatMulNBits. Layout and names are those of
 * onnxruntime's MatMulNBitsQuantizer.
 */
import { blockGrid, matrixOf } from "../algorithms/groups.ts";
import { floatAttribute, intAttribute, intsAttribute } from "../ir/attributes.ts";
import { type AttributeInit, node } from "../ir/build.ts";
import type { Node, Tensor } from "../ir/model.ts";
import type { Scheme } from "../ir/scheme.ts";
import { blockBytes, blockCount } from "../kernels/blocks.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { FormRow, LowerContext, Site, WeightFit } from "./form.ts";
import { addParts, namedAfter, type Part, partBytes, smaller, unfit } from "./nbits-weight.ts";

/** Codes, scales and, for asymmetric schemes, zero points of a matrix in groups. */
export function groupParts(
  { shape, axis }: Pick<WeightFit, "shape" | "axis">,
  scheme: Scheme,
  dtype: DType,
): readonly Part[] {
  const grid = blockGrid(scheme);
  const matrix = matrixOf({ shape, axis });
  const blocks = blockCount(matrix, grid) / matrix.n;
  const codes: Part = {
    suffix: `_Q${grid.bits}`,
    dtype: "uint8",
    shape: [matrix.n, blocks, blockBytes(grid)],
    of: "codes",
  };
  const scales: Part = { suffix: "_scales", dtype, shape: [matrix.n, blocks], of: "scales" };
  if (scheme.symmetric) return [codes, scales];
  const bytes = Math.ceil((blocks * grid.bits) / 8);
  return [codes, scales, { suffix: "_zero_points", dtype: "uint8", shape: [matrix.n, bytes], of: "zeroPoints" }];
}

/** The constant matrix of a MatMul or Gemm, with its output axis, or why there is none. */
function matrixInput({ node, graph, constant }: Site): WeightFit | string {
  const name = node.inputs[1] ?? "";
  if (node.domain !== "" || (node.op !== "MatMul" && node.op !== "Gemm"))
    return `${node.op} has no form with weights in groups`;
  if (node.op === "Gemm") {
    if (intAttribute(node, "transA", 0) !== 0) return "Gemm with transA has no form with weights in groups";
    const factors = ["alpha", "beta"].map((factor) => floatAttribute(node, factor, 1));
    if (factors.some((factor) => factor !== 1))
      return "Gemm with alpha or beta other than 1 has no form with weights in groups";
  }
  const upright = node.op === "MatMul" || intAttribute(node, "transB", 0) === 0;
  const weight = constant(name);
  if (weight !== undefined) return { tensor: name, input: 1, shape: weight.shape, axis: upright ? 1 : 0 };
  const turned = graph.nodes.find(({ op, outputs }) => op === "Transpose" && outputs[0] === name);
  const source = turned && constant(turned.inputs[0]!);
  if (turned === undefined || source === undefined || intsAttribute(turned, "perm")?.join() === "0,1")
    return "weight is not constant";
  return { tensor: source.name, input: 1, shape: source.shape, axis: upright ? 0 : 1 };
}

/** The constant matrix of a product, or why there is none that `partsOf` stores in fewer bytes. */
export function matrixFits(site: Site, partsOf: (fit: WeightFit, dtype: DType) => readonly Part[]): WeightFit | string {
  const fit = matrixInput(site);
  if (typeof fit === "string") return fit;
  const weight = site.constant(fit.tensor);
  const reason = unfit(weight);
  if (reason !== undefined) return reason;
  if (fit.shape.length !== 2) return `weight has ${fit.shape.length} dimensions, not 2`;
  return smaller(fit, weight!, partsOf(fit, weight!.dtype));
}

const fits = (site: Site, scheme: Scheme): WeightFit | string =>
  matrixFits(site, (fit, dtype) => groupParts(fit, scheme, dtype));

/** A bias that MatMulNBits takes as its own input: one value per column. */
const isVector = (bias: Tensor | undefined, columns: number): boolean =>
  bias !== undefined && bias.shape.length === 1 && bias.shape[0] === columns;

/** The product, and an Add for a bias that it does not take itself. */
function withBias(
  context: LowerContext,
  product: (inputs: readonly string[], output: string) => Node,
  n: number,
): readonly Node[] {
  const { inputs, outputs } = context.node;
  const bias = context.node.op === "Gemm" ? (inputs[2] ?? "") : "";
  if (bias === "") return [product([], outputs[0]!)];
  if (isVector(context.constant(bias), n)) return [product([bias], outputs[0]!)];
  const sum = context.fresh(`${outputs[0]}_without_bias`);
  return [product([], sum), node("Add", [sum, bias], outputs, namedAfter(context.node, "_Add"))];
}

/** The form's row for the table of forms. */
export const nbitsForm: FormRow = {
  form: "nbits",
  summary: "weights in groups of 2, 4 or 8 bits beside float activations: com.microsoft MatMulNBits",
  fits,
  storedBytes: (fit, scheme) => partBytes(groupParts(fit, scheme, "float32")),
  lower(context, plan) {
    const weight = plan.weight ?? fail("graph", `"${plan.node}": the plan names no weight`);
    const dtype = context.constant(weight.tensor)?.dtype ?? "float32";
    const { bits, size } = blockGrid(weight.scheme);
    const { n, k } = matrixOf(weight);
    const parts = addParts(context, weight, groupParts(weight, weight.scheme, dtype));
    const attributes: Record<string, AttributeInit> = { K: k, N: n, bits, block_size: size, ...plan.options };
    context.need("com.microsoft", 1);
    const product = (bias: readonly string[], output: string): Node => {
      const inputs = [context.node.inputs[0]!, ...parts, ...(bias.length > 0 && weight.scheme.symmetric ? [""] : [])];
      return node("MatMulNBits", [...inputs, ...(bias.length > 0 ? ["", ...bias] : [])], [output], {
        ...namedAfter(context.node, `_Q${bits}`),
        domain: "com.microsoft",
        attributes,
      });
    };
    return withBias(context, product, n);
  },
};
