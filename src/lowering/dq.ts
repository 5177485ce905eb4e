/**
 * Form `dq`: weights are int8 codes in the file with a DequantizeLinear in front of the float op. A quarter of the size
 * for ops without a weight-only kernel; what the engine makes of it is in docs of the form's row.
 */
import { node } from "../ir/build.ts";
import type { Node } from "../ir/model.ts";
import { ONNX } from "../ir/onnx-ops.ts";
import type { Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { FormRow, LowerContext, Site, WeightFit } from "./form.ts";
import { addParts, type Part, type PlannedWeight, partBytes, smaller, unfit } from "./nbits-weight.ts";

/** DequantizeLinear: per tensor, per axis, and with float16 scales. */
const OPSETS = { tensor: 10, axis: 13, float16: 19 };

function dequantizeParts(shape: readonly number[], axis: number, scheme: Scheme, dtype: DType): readonly Part[] {
  const { per } = scheme.granularity;
  const perTensor = per === "tensor";
  const paramShape = perTensor ? [] : [shape[axis]!];
  const codes: Part = { suffix: "_quantized", dtype: scheme.dtype, shape, of: "codes" };
  const scales: Part = { suffix: "_scale", dtype, shape: paramShape, of: "scales" };
  if (scheme.symmetric && scheme.dtype === "int8") return [codes, scales];
  return [codes, scales, { suffix: "_zero_point", dtype: scheme.dtype, shape: paramShape, of: "zeroPoints" }];
}

/** The version of the default operator set that the form needs. */
const neededOpset = (scheme: Scheme, dtype: DType): number =>
  Math.max(scheme.granularity.per === "axis" ? OPSETS.axis : OPSETS.tensor, dtype === "float16" ? OPSETS.float16 : 0);

/** First input of the op's weights that is constant. */
function fits(site: Site, scheme: Scheme): WeightFit | string {
  if (scheme.granularity.per === "group") return "stored int8 has no groups";
  const inputs = ONNX.row(site.node)?.weights ?? [];
  if (inputs.length === 0) return `${site.node.op} has no weights that are known`;
  const found = inputs.find(({ input }) => site.constant(site.node.inputs[input] ?? "") !== undefined);
  const name = found === undefined ? "" : site.node.inputs[found.input]!;
  const weight = site.constant(name);
  const reason = unfit(weight);
  if (found === undefined || weight === undefined || reason !== undefined) return reason ?? "weight is not constant";
  const opset = neededOpset(scheme, weight.dtype);
  if ((site.model.opsets[""] ?? 1) < opset)
    return `DequantizeLinear of ${weight.dtype} per ${scheme.granularity.per} needs opset ${opset}, the model has ${site.model.opsets[""] ?? 1}`;
  const { shape } = weight;
  if (shape.length < 2) return `weight has ${shape.length} dimensions`;
  const axis = found.axis(site.node, shape.length);
  return smaller(
    { tensor: name, input: found.input, shape, axis },
    weight,
    dequantizeParts(shape, axis, scheme, weight.dtype),
  );
}

/** Adds the codes and, once per graph, the DequantizeLinear that turns them back; answers the name of its output. */
function dequantized(context: LowerContext, weight: PlannedWeight): string {
  const { tensor, shape, axis, scheme } = weight;
  const dtype = context.constant(tensor)?.dtype ?? "float32";
  const parts = addParts(context, weight, dequantizeParts(shape, axis, scheme, dtype));
  const [output] = context.once(`dq:${parts[0]}`, () => {
    const value = context.fresh(`${parts[0]}_dequantized`);
    const attributes = scheme.granularity.per === "axis" ? { axis } : {};
    const made: Node = node("DequantizeLinear", parts, [value], {
      name: context.fresh(`${tensor}_DequantizeLinear`),
      attributes,
    });
    return { nodes: [made], outputs: [value] };
  });
  return output ?? fail("graph", `"${tensor}": no DequantizeLinear was made`);
}

/** The form's row for the table of forms. */
export const dqForm: FormRow = {
  form: "dq",
  summary: "int8 weights in the file, float arithmetic: DequantizeLinear in front of the op",
  fits,
  storedBytes: ({ shape, axis }, scheme) => partBytes(dequantizeParts(shape, axis, scheme, "float32")),
  lower(context, plan) {
    const weight = plan.weight ?? fail("graph", `"${plan.node}": the plan names no weight`);
    const value = dequantized(context, weight);
    const inputs = context.node.inputs.map((input, i) => (i === weight.input ? value : input));
    return [{ ...context.node, inputs }];
  },
};
