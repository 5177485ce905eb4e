/**
 * Form `bnb4`: MatMul and Gemm with a constant matrix become com.microsoft MatMulBnb4, 4-bit codebooks in blocks over
 * the flattened transposed weight. Layout and names are those of onnxruntime's MatMulBnb4Quantizer.
 */
import { matrixOf } from "../algorithms/groups.ts";
import { node } from "../ir/build.ts";
import type { Codebook, Scheme } from "../ir/scheme.ts";
import { type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { FormRow, Site, WeightFit } from "./form.ts";
import { matrixFits } from "./nbits.ts";
import { addParts, namedAfter, type Part, partBytes } from "./nbits-weight.ts";

/** Attribute `quant_type` of the operator. */
const QUANT_TYPE: Readonly<Record<Codebook, number>> = { fp4: 0, nf4: 1 };

const groupSize = ({ granularity }: Scheme): number =>
  granularity.per === "group"
    ? granularity.size
    : fail("unsupported", `codebooks per ${granularity.per}: expected groups`);

function codebookParts(shape: readonly number[], scheme: Scheme, dtype: DType): readonly Part[] {
  const count = elementCount(shape);
  return [
    { suffix: "_Bnb4", dtype: "uint8", shape: [Math.ceil(count / 2)], of: "codes" },
    { suffix: "_absmax", dtype, shape: [Math.ceil(count / groupSize(scheme))], of: "scales" },
  ];
}

const fits = (site: Site, scheme: Scheme): WeightFit | string =>
  matrixFits(site, ({ shape }, dtype) => codebookParts(shape, scheme, dtype));

/** The form's row for the table of forms. */
export const bnb4Form: FormRow = {
  form: "bnb4",
  summary: "weights as indices into a 4-bit table beside float activations: com.microsoft MatMulBnb4",
  fits,
  storedBytes: ({ shape }, scheme) => partBytes(codebookParts(shape, scheme, "float32")),
  lower(context, plan) {
    const weight = plan.weight ?? fail("graph", `"${plan.node}": the plan names no weight`);
    const { scheme } = weight;
    const table = scheme.codebook ?? fail("unsupported", `"${plan.node}": MatMulBnb4 takes a codebook, nf4 or fp4`);
    const dtype = context.constant(weight.tensor)?.dtype ?? "float32";
    const parts = addParts(context, weight, codebookParts(weight.shape, scheme, dtype));
    const { n, k } = matrixOf(weight);
    context.need("com.microsoft", 1);
    const { inputs, outputs, op } = context.node;
    const bias = op === "Gemm" ? (inputs[2] ?? "") : "";
    const sum = bias === "" ? outputs[0]! : context.fresh(`${outputs[0]}_without_bias`);
    const product = node("MatMulBnb4", [inputs[0]!, ...parts], [sum], {
      ...namedAfter(context.node, "_Bnb4"),
      domain: "com.microsoft",
      attributes: { K: k, N: n, block_size: groupSize(scheme), quant_type: QUANT_TYPE[table] },
    });
    return bias === "" ? [product] : [product, node("Add", [sum, bias], outputs, namedAfter(context.node, "_Add"))];
  },
};
