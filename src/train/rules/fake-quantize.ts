/**
 * Gradients of fewbit.FakeQuantize: straight through where the value is inside of the grid, none outside (Bengio et al.,
 * arXiv:1308.3432); learned step sizes (Esser et al., arXiv:1902.08153) and zero points (Bhalgat et al., arXiv:2004.09576).
 */
import { countRatio, reshapeLike, reshapeTo } from "../forms.ts";
import { fakeGridOf, type Spread, spreadOf } from "../ops/fake-quantize.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** Sum of the products of two values over all elements that share a scale, in the shape of `scale`. */
function products(context: RuleContext, { spread, shared }: Spread, a: string, b: string, scale: string): string {
  const { emit, ints } = context;
  if (shared === undefined) {
    const row = (value: string) => reshapeTo(context, value, ints([1, -1]));
    return reshapeLike(context, emit("Gemm", [row(a), row(b)], { transB: 1 }), scale);
  }
  return emit("ReduceSum", [spread(emit("Mul", [a, b])), ints(shared)], { keepdims: 0, noop_with_empty_axes: 1 });
}

/** 1 / sqrt(N * largest code), N elements to a scale: steps of scales as large as steps of weights. */
function damping(context: RuleContext, x: string, scale: string, high: number): string {
  const { emit, scalar } = context;
  const count = countRatio(context, x, scale, "float32");
  return emit("Reciprocal", [emit("Sqrt", [emit("Mul", [count, scalar(Math.max(high, 1), "float32")])])]);
}

/** x limited to what the grid covers, in the shape of x. */
function limited(context: RuleContext, { spread, over, shared }: Spread, x: string, low: string, high: string): string {
  const { emit } = context;
  if (shared === undefined) return emit("Clip", [x, low, high]);
  const clipped = emit("Min", [emit("Max", [spread(x), over(low)]), over(high)]);
  return reshapeLike(context, clipped, x);
}

/**
 * With m = 1 inside and 0 outside: dx = d * m; dscale = g * sum(d * (y - m * x)) / scale, which is the rounding error
 * inside and the bound's code outside; dzero = -g * scale * sum(d * (1 - m)).
 */
const fakeQuantize: Rule = (node, context) => {
  const { emit, scalar } = context;
  const d = incoming(context);
  const [x = "", scale = "", zero = ""] = node.inputs;
  const grid = fakeGridOf(node);
  const layout = spreadOf(context, node);
  const rounded = zero === "" ? undefined : emit("Round", [zero]);
  const bound = (code: number) => {
    const steps = scalar(code, "float32");
    return emit("Mul", [scale, rounded === undefined ? steps : emit("Sub", [steps, rounded])]);
  };
  const clipped = limited(context, layout, x, bound(grid.low), bound(grid.high));
  const inside = emit("Cast", [emit("Equal", [x, clipped])], { to: FLOAT });
  const dx = emit("Mul", [d, inside]);
  if (!grid.learn) return [dx];
  const factor = damping(context, x, scale, grid.high);
  const ofScale = () => {
    const error = emit("Sub", [node.outputs[0]!, emit("Mul", [x, inside])]);
    return emit("Mul", [emit("Div", [products(context, layout, d, error, scale), scale]), factor]);
  };
  const ofZero = () => {
    const outside = emit("Sub", [inside, scalar(1, "float32")]);
    return emit("Mul", [emit("Mul", [products(context, layout, d, outside, scale), scale]), factor]);
  };
  return [dx, context.wants(1) ? ofScale() : undefined, context.wants(2) ? ofZero() : undefined];
};

/** ONNX TensorProto.DataType FLOAT. */
const FLOAT = 1;

export const fakeQuantizeRules: Rules = { "fewbit.FakeQuantize": fakeQuantize };
