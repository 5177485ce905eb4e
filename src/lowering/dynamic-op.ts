/** What the ops of the dynamic form have in common: one row per op, and the nodes around an integer product. */
import { node } from "../ir/build.ts";
import type { Node } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import type { Scheme } from "../ir/scheme.ts";
import type { LowerContext, Site } from "./form.ts";

export type PlannedWeight = NonNullable<NodePlan["weight"]>;

export interface DynamicOp {
  /** Index of the weight in the node's inputs. */
  readonly input: number;
  /** Axis of the output channels, or in words why the weight can't be quantized. */
  axis(site: Site, shape: readonly number[], scheme: Scheme): number | string;
  lower(context: LowerContext, weight: PlannedWeight): readonly Node[];
}

/** ONNX TensorProto.DataType FLOAT. */
export const FLOAT = 1;

/** Codes, scale and zero point of an activation; quantized once per graph, however many nodes read it. */
export const quantizedInput = (context: LowerContext, value: string): readonly string[] =>
  context.once(`dynamic:${value}`, () => {
    const outputs = ["quantized", "scale", "zero_point"].map((suffix) => context.fresh(`${value}_${suffix}`));
    const name = context.fresh(`${value}_QuantizeLinear`);
    return { nodes: [node("DynamicQuantizeLinear", [value], outputs, { name })], outputs };
  });

export interface IntegerProduct {
  readonly op: "MatMulInteger" | "ConvInteger";
  readonly inputs: readonly string[];
  readonly scales: readonly [string, string];
  readonly output: string;
  readonly attributes?: Node["attributes"];
}

/** Integer product, cast to float32, times both scales: the order in which onnxruntime recognizes and fuses it. */
export function integerProduct(context: LowerContext, product: IntegerProduct): readonly Node[] {
  const label = context.node.name === "" ? "" : `${context.node.name}_quant`;
  const named = (suffix: string): { readonly name: string } => ({
    name: label === "" ? "" : context.fresh(`${label}${suffix}`),
  });
  const sum = context.fresh(`${product.output}_output_quantized`);
  const cast = context.fresh(`${sum}_cast_output`);
  const scales = context.fresh(label === "" ? `${product.scales.join("_")}_mul:0` : `${label}_scales_mul:0`);
  const main = node(product.op, product.inputs, [sum], named(""));
  return [
    product.attributes === undefined ? main : { ...main, attributes: product.attributes },
    node("Cast", [sum], [cast], { name: context.fresh(`${sum}_cast`), attributes: { to: FLOAT } }),
    node("Mul", product.scales, [scales], named("_scales_mul")),
    node("Mul", [cast, scales], [product.output], named("_output_scale_mul")),
  ];
}
