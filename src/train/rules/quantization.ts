/**
 * Quantization with straight-through rounding: QuantizeLinear is x / scale inside its range and constant outside,
 * DequantizeLinear is codes * scale. The gradient of codes is in floats. Together they give the gradients of learned step
 * sizes (Esser et al., arXiv:1902.08153): rounding error inside the range, the code of the bound outside.
 */
import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { castTo, reshapeLike, reshapeTo } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { around } from "./indexing.ts";

/** True where one scale stands for the whole tensor. */
const isSingle = (context: RuleContext, scale: string): boolean =>
  context.shape(scale)?.every((length) => length === 1) ?? false;

/** What codes mean that are all the same; a scalar where there is one scale, else of the shape of `like`. */
function meaning(
  node: Node,
  context: RuleContext,
  code: number,
  [dtype, like]: readonly [DType, string],
  zero: string,
) {
  const { emit, ints } = context;
  const scale = node.inputs[1]!;
  const single = isSingle(context, scale);
  const codes = single ? reshapeLike(context, ints(code), scale) : emit("Expand", [ints(code), emit("Shape", [like])]);
  const { axis, block_size } = node.attributes;
  const attributes = single ? {} : { ...(axis && { axis }), ...(block_size && { block_size }) };
  return emit("DequantizeLinear", [castTo(context, codes, dtype), scale, ...(zero === "" ? [] : [zero])], attributes);
}

/** One code's width, in the shape of `meaning`. */
const step = (node: Node, context: RuleContext, kind: readonly [DType, string]): string =>
  isSingle(context, node.inputs[1]!) ? node.inputs[1]! : meaning(node, context, 1, kind, "");

/** Sums what each element says about its scale. */
function scaleGradient(node: Node, context: RuleContext, parts: string): string {
  const { emit, ints } = context;
  const scale = node.inputs[1]!;
  if (isSingle(context, scale)) return reshapeLike(context, emit("ReduceSum", [parts], { keepdims: 0 }), scale);
  if (intAttribute(node, "block_size", 0) !== 0) context.refuse(`the scales "${scale}" of blocks can't be trained`);
  if (context.rank(scale) !== 1)
    context.refuse(`the scales "${scale}" can't be trained; only one or one for each channel`);
  const { before, after } = around(context, parts, intAttribute(node, "axis", 1));
  const stacked = reshapeTo(context, parts, emit("Concat", [before, emit("Shape", [scale]), after], { axis: 0 }));
  return emit("ReduceSum", [stacked, ints([0, 2])], { keepdims: 0 });
}

const quantize: Rule = (node, context) => {
  const { emit, scalar } = context;
  const d = incoming(context);
  const [x = "", , zero = ""] = node.inputs;
  const codes = context.dtype(node.outputs[0]!);
  const { kind, min, max } = DTYPES[codes];
  if (kind !== "int" && kind !== "uint") context.refuse(`codes of ${codes} have no rule; only integers do`);
  const place = [codes, x] as const;
  const bound = (code: number) => meaning(node, context, code, place, zero);
  const inside = emit("And", [emit("GreaterOrEqual", [x, bound(min)]), emit("LessOrEqual", [x, bound(max)])]);
  const width = step(node, context, place);
  const dx = emit("Where", [inside, emit("Div", [d, width]), scalar(0, context.dtype(x))]);
  const ofScale = () => scaleGradient(node, context, emit("Neg", [emit("Div", [emit("Mul", [dx, x]), width])]));
  return [context.wants(0) ? dx : undefined, context.wants(1) ? ofScale() : undefined];
};

const dequantize: Rule = (node, context) => {
  const { emit } = context;
  const d = incoming(context);
  const width = step(node, context, [context.dtype(node.inputs[0]!), node.outputs[0]!]);
  const ofScale = () => scaleGradient(node, context, emit("Mul", [d, emit("Div", [node.outputs[0]!, width])]));
  return [context.wants(0) ? emit("Mul", [d, width]) : undefined, context.wants(1) ? ofScale() : undefined];
};

export const quantizationRules: Rules = { QuantizeLinear: quantize, DequantizeLinear: dequantize };
