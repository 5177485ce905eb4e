/** Conv to ConvInteger. onnxruntime's kernels take uint8 weights with one zero point. */
import { intTensor, node } from "../ir/build.ts";
import type { Node } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { type DynamicOp, integerProduct, type PlannedWeight, quantizedInput } from "./dynamic-op.ts";
import { addWeight } from "./dynamic-weight.ts";
import type { LowerContext } from "./form.ts";

function lowerConv(context: LowerContext, weight: PlannedWeight): readonly Node[] {
  const { inputs, outputs, attributes, name } = context.node;
  const w = addWeight(context, {
    weight,
    base: weight.tensor,
    layout: { blocks: 1, rows: 1, cols: elementCount(weight.shape), channels: "all" },
    paramShape: [],
  });
  const [x, scale, zeroPoint] = quantizedInput(context, inputs[0]!) as [string, string, string];
  const bias = inputs[2] ?? "";
  const output = bias === "" ? outputs[0]! : context.fresh(`${outputs[0]}quant_scaled_output`);
  const product = integerProduct(context, {
    op: "ConvInteger",
    inputs: [x, w.codes, zeroPoint, w.zeroPoint],
    scales: [scale, w.scale],
    output,
    attributes,
  });
  return bias === "" ? product : [...product, ...biasAdd(context, bias, output, weight.shape.length, name)];
}

/** The bias as [1, -1, 1, ..], so that it is added per channel. */
function biasAdd(context: LowerContext, bias: string, scaled: string, rank: number, name: string): readonly Node[] {
  const output = context.node.outputs[0]!;
  const shape = context.fresh(`${output}_bias_reshape_shape`);
  context.add(
    intTensor(
      shape,
      Array.from({ length: rank }, (_, axis) => (axis === 1 ? -1 : 1)),
    ),
  );
  const reshaped = context.fresh(`${output}_bias_reshape_output`);
  return [
    node("Reshape", [bias, shape], [reshaped], { name: name === "" ? "" : `${name}_bias_reshape` }),
    node("Add", [scaled, reshaped], [output], { name: `${output}_bias_add` }),
  ];
}

export const convInteger: DynamicOp = {
  input: 1,
  axis(_site, shape, scheme) {
    if (shape.length < 3) return "weight of a Conv has at least three dimensions";
    if (scheme.dtype === "int8")
      return "ONNX Runtime has no ConvInteger kernel for signed weights; use uint8 (q8 chooses it by itself)";
    if (scheme.granularity.per !== "tensor")
      return "ConvInteger takes one zero point for all channels; use per-tensor weights";
    return 0;
  },
  lower: lowerConv,
};
