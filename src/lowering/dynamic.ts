/**
 * Form `dynamic`: activations become uint8 with a range found at run time, weights are 8-bit constants, products are
 * integers. What onnxruntime's Python `quantize_dynamic` writes (mode IntegerOps), for MatMul, Gemm, Conv and Gather.
 * Not rewritten: Attention, LSTM and EmbedLayerNormalization (their quantized twins exist for pre-fused graphs only).
 * Transpose stays float, where the Python tool moves some into uint8.
 */
import type { Node } from "../ir/model.ts";
import type { Scheme } from "../ir/scheme.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { convInteger } from "./dynamic-conv.ts";
import { gatherCodes } from "./dynamic-gather.ts";
import { gemmInteger, matMulInteger } from "./dynamic-matmul.ts";
import type { DynamicOp } from "./dynamic-op.ts";
import { storedBytes } from "./dynamic-weight.ts";
import type { FormRow, Site, WeightFit } from "./form.ts";

const OPS: Readonly<Record<string, DynamicOp>> = {
  MatMul: matMulInteger,
  Gemm: gemmInteger,
  Conv: convInteger,
  Gather: gatherCodes,
};

/** DynamicQuantizeLinear came with this version of the default operator set. */
const MIN_OPSET = 11;

const opOf = (node: Node): DynamicOp | undefined =>
  node.domain === "" && Object.hasOwn(OPS, node.op) ? OPS[node.op] : undefined;

function fits(site: Site, scheme: Scheme): WeightFit | string {
  const op = opOf(site.node);
  if (op === undefined) return `${site.node.op} has no dynamic integer form`;
  const opset = site.model.opsets[""] ?? 1;
  if (opset < MIN_OPSET)
    return `DynamicQuantizeLinear needs opset ${MIN_OPSET}, the model has ${opset}; convert it with the ONNX version converter`;
  const name = site.node.inputs[op.input] ?? "";
  const weight = name === "" ? undefined : site.constant(name);
  if (weight === undefined) return "weight is not constant";
  if (weight.dtype !== "float32") return `weight is ${weight.dtype}, not float32`;
  if (weight.shape.some((dim) => dim === 0)) return "weight is empty";
  if (scheme.dtype !== "int8" && scheme.dtype !== "uint8") return `codes must be int8 or uint8, not ${scheme.dtype}`;
  if (scheme.granularity.per === "group") return "integer products have no groups";
  const axis = op.axis(site, weight.shape, scheme);
  return typeof axis === "string" ? axis : { tensor: name, input: op.input, shape: weight.shape, axis };
}

/** Columns of each matrix of a stack, rows of a Gemm's transposed B. */
const scaleCount = ({ shape, axis }: WeightFit, scheme: Scheme): number =>
  scheme.granularity.per === "tensor" ? 1 : elementCount(shape.filter((_, at) => at === axis || at < shape.length - 2));

/** The form's row for the table of forms. */
export const dynamicForm: FormRow = {
  form: "dynamic",
  summary: "uint8 activations with ranges found at run time, 8-bit weights, integer products",
  fits,
  storedBytes: (fit, scheme) => storedBytes(elementCount(fit.shape), scaleCount(fit, scheme)),
  lower(context, plan) {
    const op = opOf(context.node) ?? fail("unsupported", `${context.node.op} has no dynamic integer form`);
    const weight = plan.weight ?? fail("unsupported", `"${plan.node}": the plan names no weight`);
    return op.lower(context, weight);
  },
};
