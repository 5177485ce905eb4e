/** Ops of two inputs that are broadcast to one shape. `d` is the gradient of the output, `y` the output. */
import type { Node } from "../../ir/model.ts";
import { castTo, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

type Formula = (
  emit: (op: string, ...inputs: string[]) => string,
  d: string,
  node: { readonly a: string; readonly b: string; readonly y: string },
  context: RuleContext,
) => string;

const namesOf = (node: Node) => ({ a: node.inputs[0]!, b: node.inputs[1]!, y: node.outputs[0]! });

/** A rule from the gradients of both inputs before they are summed over the broadcast axes. */
const broadcasting =
  (left: Formula, right: Formula): Rule =>
  (node, context) => {
    const d = incoming(context);
    const emit = (op: string, ...inputs: string[]) => context.emit(op, inputs);
    const names = namesOf(node);
    return [left, right].map((formula, index) =>
      context.wants(index)
        ? unbroadcast(context, formula(emit, d, names, context), node.inputs[index]!, names.y)
        : undefined,
    );
  };

/** d * e * x^(e-1); the exponent may be of another type than the base. */
const powBase: Formula = (emit, d, { a, b }, context) => {
  const dtype = context.dtype(a);
  const exponent = context.dtype(b) === dtype ? b : castTo(context, b, dtype);
  const power = emit("Pow", a, emit("Sub", exponent, context.scalar(1, dtype)));
  return emit("Mul", d, emit("Mul", exponent, power));
};

/** d * y * log(x), and 0 where the base is 0. */
const powExponent: Formula = (emit, d, { a, b, y }, context) => {
  const dtype = context.dtype(a);
  const base = emit("Where", emit("Equal", a, context.scalar(0, dtype)), context.scalar(1, dtype), a);
  const slope = emit("Mul", emit("Mul", d, y), emit("Log", base));
  return context.dtype(b) === dtype ? slope : castTo(context, slope, context.dtype(b));
};

export const broadcastingRules: Rules = {
  Add: broadcasting(
    (_, d) => d,
    (_, d) => d,
  ),
  Sub: broadcasting(
    (_, d) => d,
    (emit, d) => emit("Neg", d),
  ),
  Mul: broadcasting(
    (emit, d, { b }) => emit("Mul", d, b),
    (emit, d, { a }) => emit("Mul", d, a),
  ),
  Div: broadcasting(
    (emit, d, { b }) => emit("Div", d, b),
    (emit, d, { b, y }) => emit("Neg", emit("Div", emit("Mul", d, y), b)),
  ),
  // the remainder of a division; the quotient is a whole number, which stays the same
  Mod: broadcasting(
    (_, d) => d,
    (emit, d, { a, b, y }) => emit("Neg", emit("Mul", d, emit("Round", emit("Div", emit("Sub", a, y), b)))),
  ),
  Pow: broadcasting(powBase, powExponent),
};
