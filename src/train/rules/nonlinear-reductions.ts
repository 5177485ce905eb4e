/** Reductions whose gradient depends on the elements. `d` is the gradient of the output, `x` the input, `y` the output. */
import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo, expandLike } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { axesOf, unreduced } from "./reductions.ts";

/** What the gradient of a reduction can be written with; `d` and `y` have the reduced axes with a length of 1. */
interface Site {
  readonly d: string;
  readonly x: string;
  readonly y: string;
  readonly node: Node;
  readonly context: RuleContext;
  readonly emit: (op: string, ...inputs: string[]) => string;
  /** A constant of the input's dtype. */
  readonly c: (value: number) => string;
  /** Sum over the reduced axes, which stay with a length of 1. */
  readonly sum: (value: string) => string;
}

const reduction =
  (formula: (site: Site) => string): Rule =>
  (node, context) => {
    const x = node.inputs[0]!;
    const axes = axesOf(node, context);
    const noop_with_empty_axes = intAttribute(node, "noop_with_empty_axes", 0);
    return [
      formula({
        ...{ x, node, context, d: unreduced(node, context, incoming(context)) },
        y: unreduced(node, context, node.outputs[0]!),
        emit: (op, ...inputs) => context.emit(op, inputs),
        c: (value) => context.scalar(value, context.dtype(x)),
        sum: (value) =>
          context.emit("ReduceSum", axes === undefined ? [value] : [value, axes], {
            keepdims: 1,
            noop_with_empty_axes,
          }),
      }),
    ];
  };

/** Elements that are equally extreme share the gradient evenly. */
const extreme = reduction(({ d, x, y, context, emit, sum }) => {
  const mask = castTo(context, emit("Equal", x, y), context.dtype(x));
  return emit("Mul", mask, emit("Div", d, sum(mask)));
});

/** x * d / y; 0 where all elements are 0. */
const euclidean = reduction(({ d, x, y, emit, c }) =>
  emit("Mul", x, emit("Div", d, emit("Where", emit("Equal", y, c(0)), c(1), y))),
);

/** Product of all other elements, also where some are 0: with one 0 only that element has a slope, with more none has. */
const product = reduction(({ d, x, node, context, emit, c, sum }) => {
  const zero = emit("Equal", x, c(0));
  const filled = emit("Where", zero, c(1), x);
  const attributes = { ...node.attributes, keepdims: 1 };
  const nonzero = context.emit("ReduceProd", [filled, ...node.inputs.slice(1)], attributes);
  const count = castTo(context, zero, context.dtype(x));
  const otherZeros = emit("Sub", sum(count), count);
  const others = emit("Where", emit("Equal", otherZeros, c(0)), emit("Div", nonzero, filled), c(0));
  return emit("Mul", d, others);
});

export const nonlinearReductionRules: Rules = {
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceL1: reduction(({ d, x, emit }) => emit("Mul", d, emit("Sign", x))),
  ReduceL2: euclidean,
  ReduceSumSquare: reduction(({ d, x, emit, c }) => emit("Mul", emit("Mul", d, c(2)), x)),
  ReduceLogSum: reduction(({ d, x, y, context, emit }) => expandLike(context, emit("Div", d, emit("Exp", y)), x)),
  ReduceLogSumExp: reduction(({ d, x, y, emit }) => emit("Mul", d, emit("Exp", emit("Sub", x, y)))),
  ReduceProd: product,
};
