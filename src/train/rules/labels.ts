/** Losses over class labels. `d` is the gradient of the loss. */
import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo, expandLike } from "../forms.ts";
import type { Rule, RuleContext, Rules } from "../rule.ts";

/** Classes are the second axis of the scores. */
const CLASSES = 1;

/** Labels that are legal indices, and how much each counts: the weight of its class, 0 where it is ignored. */
function counted(node: Node, context: RuleContext) {
  const { emit, ints, scalar } = context;
  const [scores = "", target = "", weights = ""] = node.inputs;
  const dtype = context.dtype(scores);
  const labels = castTo(context, target, "int64");
  const weightOf = (at: string) =>
    weights === "" ? expandLike(context, scalar(1, dtype), at) : emit("Gather", [weights, at]);
  if (node.attributes.ignore_index === undefined) return { labels, weight: weightOf(labels) };
  const ignored = emit("Equal", [labels, ints(intAttribute(node, "ignore_index", 0))]);
  const legal = emit("Where", [ignored, ints(0), labels]);
  return { labels: legal, weight: emit("Where", [ignored, scalar(0, dtype), weightOf(legal)]) };
}

/** Gradient of the logarithmic probabilities: minus the weight at each label. */
function ofProbabilities(node: Node, context: RuleContext, d: string): string {
  const { emit, ints, scalar } = context;
  if (context.wants(2)) context.refuse("the weights of its classes can't be trained");
  const { labels, weight } = counted(node, context);
  const mean = stringAttribute(node, "reduction", "mean") === "mean";
  const share = mean ? emit("Div", [weight, emit("ReduceSum", [weight], { keepdims: 0 })]) : weight;
  const part = emit("Neg", [emit("Mul", [share, d])]);
  const zeros = expandLike(context, scalar(0, context.dtype(node.inputs[0]!)), node.inputs[0]!);
  const single = (value: string) => emit("Unsqueeze", [value, ints([CLASSES])]);
  return emit("ScatterElements", [zeros, single(labels), single(part)], { axis: CLASSES });
}

const negativeLogLikelihood: Rule = (node, context) => {
  const d = context.gradient(0);
  return [d && ofProbabilities(node, context, d)];
};

/** g - exp(logarithmic probabilities) * sum of g over the classes, where g is the gradient of those probabilities. */
const crossEntropy: Rule = (node, context) => {
  const { emit, ints } = context;
  const [loss, given] = [context.gradient(0), context.gradient(1)];
  const parts = [...(loss === undefined ? [] : [ofProbabilities(node, context, loss)]), ...(given ? [given] : [])];
  const g = parts.length === 1 ? parts[0]! : emit("Sum", parts);
  const along = emit("ReduceSum", [g, ints([CLASSES])], { keepdims: 1 });
  return [emit("Sub", [g, emit("Mul", [emit("Exp", [context.output(1)]), along])])];
};

export const labelRules: Rules = {
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
  SoftmaxCrossEntropyLoss: crossEntropy,
};
