/**
 * Form `dq`: weights are int8, int4 or int2 codes in the file, turned back to float by Cast and Mul in front of the float
 * op: a quarter of the size, or less, for ops without a weight-only kernel. ONNX Runtime 1.30 folds Cast and Mul into a float constant when it
 * loads the model, so that speed and memory are those of the float model. DequantizeLinear would be the standard's op
 * for this, but it is not folded: it runs in every inference and keeps the convolution's layout optimization from
 * working (measured: convolutions 1.3 to 1.8 times slower, a 30522 x 384 lookup 130 times).
 */
import { node } from "../ir/build.ts";
import { ONNX } from "../ir/onnx-ops.ts";
import type { Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { FormRow, LowerContext, Site, WeightFit } from "./form.ts";
import { addParts, type Part, type PlannedWeight, partBytes, smaller, unfit } from "./nbits-weight.ts";

/** Versions of the default operator set: int8 needs broadcasting of Mul, the others their type in Cast. */
const MIN_OPSET: Readonly<Partial<Record<DType, number>>> = { int8: 7, int4: 21, int2: 25 };

/** ONNX TensorProto.DataType of float32 and float16. */
const CAST_TO: Readonly<Partial<Record<DType, number>>> = { float32: 1, float16: 10 };

function storedParts(shape: readonly number[], axis: number, scheme: Scheme, dtype: DType): readonly Part[] {
  const perTensor = scheme.granularity.per === "tensor";
  /** Broadcasts along the axis of the channels. */
  const paramShape = perTensor ? [] : shape.slice(axis).map((dim, i) => (i === 0 ? dim : 1));
  const codes: Part = { suffix: "_quantized", dtype: scheme.dtype, shape, of: "codes" };
  return [codes, { suffix: "_scale", dtype, shape: paramShape, of: "scales" }];
}

/** First input of the op's weights that is constant. */
function fits(site: Site, scheme: Scheme): WeightFit | string {
  const opset = MIN_OPSET[scheme.dtype];
  if (scheme.granularity.per === "group" || opset === undefined || !scheme.symmetric)
    return "weights are stored as symmetric int8, int4 or int2 per channel or tensor";
  if ((site.model.opsets[""] ?? 1) < opset) return `stored ${scheme.dtype} needs opset ${opset}`;
  const inputs = ONNX.row(site.node)?.weights ?? [];
  if (inputs.length === 0) return `${site.node.op} has no weights that are known`;
  const found = inputs.find(({ input }) => site.constant(site.node.inputs[input] ?? "") !== undefined);
  const name = found === undefined ? "" : site.node.inputs[found.input]!;
  const weight = site.constant(name);
  const reason = unfit(weight);
  if (found === undefined || weight === undefined || reason !== undefined) return reason ?? "weight is not constant";
  const { shape } = weight;
  if (shape.length < 2) return `weight has ${shape.length} dimensions`;
  const axis = found.axis(site.node, shape.length);
  return smaller(
    { tensor: name, input: found.input, shape, axis },
    weight,
    storedParts(shape, axis, scheme, weight.dtype),
  );
}

/** Adds the codes and, once per graph, the nodes that turn them back; answers the name of the float value. */
function decoded(context: LowerContext, weight: PlannedWeight): string {
  const { tensor, shape, axis, scheme } = weight;
  const dtype = context.constant(tensor)?.dtype ?? "float32";
  const [codes, scale] = addParts(context, weight, storedParts(shape, axis, scheme, dtype)) as [string, string];
  const [output] = context.once(`dq:${codes}`, () => {
    const steps = context.fresh(`${codes}_float`);
    const value = context.fresh(`${tensor}_decoded`);
    const to = CAST_TO[dtype] ?? fail("unsupported", `weight "${tensor}" is ${dtype}, not float32 or float16`);
    const cast = node("Cast", [codes], [steps], { name: context.fresh(`${codes}_Cast`), attributes: { to } });
    return {
      nodes: [cast, node("Mul", [steps, scale], [value], { name: context.fresh(`${codes}_Mul`) })],
      outputs: [value],
    };
  });
  return output ?? fail("graph", `weight "${tensor}": nothing turns its codes back`);
}

/** The form's row for the table of forms. */
export const dqForm: FormRow = {
  form: "dq",
  summary: "integer weights in the file, decoded to float when the engine loads the model",
  fits,
  storedBytes: ({ shape, axis }, scheme) => partBytes(storedParts(shape, axis, scheme, "float32")),
  lower(context, plan) {
    const weight = plan.weight ?? fail("graph", `"${plan.node}": the plan names no weight`);
    const value = decoded(context, weight);
    const inputs = context.node.inputs.map((input, i) => (i === weight.input ? value : input));
    return [{ ...context.node, inputs }];
  },
};
