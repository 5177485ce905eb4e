/** An embedding table as codes: rows are gathered as codes, then dequantized. */
import { node } from "../ir/build.ts";
import type { Node } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import type { DynamicOp, PlannedWeight } from "./dynamic-op.ts";
import { addWeight } from "./dynamic-weight.ts";
import type { LowerContext } from "./form.ts";

function lowerGather(context: LowerContext, weight: PlannedWeight): readonly Node[] {
  const { inputs, outputs } = context.node;
  const table = addWeight(context, {
    weight,
    base: weight.tensor,
    layout: { blocks: 1, rows: 1, cols: elementCount(weight.shape), channels: "all" },
    paramShape: [],
  });
  const codes = context.fresh(`${outputs[0]}_quantized`);
  return [
    { ...context.node, inputs: [table.codes, ...inputs.slice(1)], outputs: [codes] },
    node("DequantizeLinear", [codes, table.scale, table.zeroPoint], outputs, {
      name: context.fresh(`${outputs[0]}_DequantizeLinear`),
    }),
  ];
}

export const gatherCodes: DynamicOp = {
  input: 0,
  axis: (_site, _shape, scheme) =>
    scheme.granularity.per === "tensor" ? 0 : "rows of any index share one scale; use per-tensor codes",
  lower: lowerGather,
};
