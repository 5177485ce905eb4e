/**
 * Gradients of fewbit.FakeQuantize: straight through where the value is inside of the grid, none outside (Bengio et al.,
 * arXiv:1308.3432); learned step sizes (Esser et al., arXiv:1902.08153) and zero points (Bhalgat et al., arXiv:2004.09576).
 */
import { countRatio, reshapeLike, reshapeTo } from "../forms.ts";
import { fakeGridOf, limitedToGrid, type Spread, spreadOf } from "../ops/fake-quantize.ts";
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

/**
 * With m = 1 inside and 0 outside: dx = d * m; dscale = g * sum(d * (y - m * x)) / scale, which is the rounding error
 * inside and the bound's code outside; dzero = -g * scale * sum(d * (1 - m)).
 */
const fakeQuantize: Rule = (node, context) => {
  const { emit, scalar } = context;
  const d = incoming(context);
  const [x = "", scale = ""] = node.inputs;
  const grid = fakeGridOf(node);
  const layout = spreadOf(context, node);
  const inside = emit("Cast", [emit("Equal", [x, limitedToGrid(context, node)])], { to: FLOAT });
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
