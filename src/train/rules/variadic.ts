/** Ops of any number of inputs that are broadcast to one shape, and Where. `d` is the gradient of the output. */
import type { Node } from "../../ir/model.ts";
import { castTo, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";

/** The same gradient for every input, brought to its shape. */
const shared =
  (each: (node: Node, context: RuleContext) => string): Rule =>
  (node, context) => {
    const part = each(node, context);
    return node.inputs.map((input, index) =>
      context.wants(index) ? unbroadcast(context, part, input, node.outputs[0]!) : undefined,
    );
  };

const averaged = (node: Node, context: RuleContext): string =>
  context.emit("Div", [incoming(context), context.scalar(node.inputs.length, context.dtype(node.inputs[0]!))]);

/** Inputs that are equally extreme share the gradient evenly. */
const extreme: Rule = (node, context) => {
  const { emit } = context;
  const y = node.outputs[0]!;
  const dtype = context.dtype(node.inputs[0]!);
  const masks = node.inputs.map((input) => castTo(context, emit("Equal", [input, y]), dtype));
  const share = emit("Div", [incoming(context), emit("Sum", masks)]);
  return node.inputs.map((input, index) =>
    context.wants(index) ? unbroadcast(context, emit("Mul", [masks[index]!, share]), input, y) : undefined,
  );
};

/** The first one takes all where it is as large as the other. */
const firstMax: Rule = (node, context) => {
  const { emit } = context;
  const d = incoming(context);
  const [a = ""] = node.inputs;
  const mask = castTo(context, emit("Equal", [a, node.outputs[0]!]), context.dtype(a));
  const first = emit("Mul", [mask, d]);
  return [first, context.wants(1) ? emit("Sub", [d, first]) : undefined];
};

const where: Rule = (node, context) => {
  const d = incoming(context);
  const [condition = "", a = "", b = ""] = node.inputs;
  const zero = context.scalar(0, context.dtype(a));
  const picked = (input: string, ends: readonly string[]) =>
    unbroadcast(context, context.emit("Where", [condition, ...ends]), input, node.outputs[0]!);
  return [
    undefined,
    context.wants(1) ? picked(a, [d, zero]) : undefined,
    context.wants(2) ? picked(b, [zero, d]) : undefined,
  ];
};

export const variadicRules: Rules = {
  Sum: shared((_, context) => incoming(context)),
  Mean: shared(averaged),
  Max: extreme,
  Min: extreme,
  "fewbit.FirstMax": firstMax,
  Where: where,
};
