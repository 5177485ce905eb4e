/**
 * Ops through which nothing flows: steps, whose slope is 0 wherever they have one, and ops whose output is an integer, a
 * condition or random.
 */
import type { Rule, Rules } from "../rule.ts";

const stopped: Rule = () => [];

const STEPS = ["Sign", "Floor", "Ceil", "Round", "Hardmax"];
const COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"];
const LOGIC = ["Not", "And", "Or", "Xor"];
const INDICES = ["ArgMax", "ArgMin", "NonZero", "Shape", "Size"];
const CONSTANTS = ["Constant", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli"];

/** Where the hot one is has no slope; what it is called could have one. */
const oneHot: Rule = (_, context) => (context.wants(2) ? context.refuse("its values can't be trained") : []);

export const stoppedRules: Rules = {
  ...Object.fromEntries([...STEPS, ...COMPARISONS, ...LOGIC, ...INDICES, ...CONSTANTS].map((op) => [op, stopped])),
  OneHot: oneHot,
  "fewbit.StopGradient": stopped,
};
