/** Activation functions. `d` is the gradient of the output, `x` the input, `y` the output. At a kink either side's slope. */
import { floatAttribute } from "../../ir/attributes.ts";
import { unbroadcast } from "../forms.ts";
import { incoming, type Rule, type Rules } from "../rule.ts";
import { elementwise, masked, type Site } from "./elementwise.ts";

/** A float attribute as the engine reads it, in single precision. */
const setting = ({ node, c }: Site, name: string, otherwise: number): string =>
  c(Math.fround(floatAttribute(node, name, otherwise)));

/** One of two values for each element. */
const choose = ({ context, c }: Site, at: string, bound: number | string, above: string, below: string): string =>
  context.emit("Where", [context.emit("Greater", [at, typeof bound === "number" ? c(bound) : bound]), above, below]);

/** alpha where the line is between 0 and 1. */
const hardSigmoid = elementwise((site) => {
  const { d, y, mul, c, context } = site;
  const inside = context.emit("And", [context.emit("Greater", [y, c(0)]), context.emit("Less", [y, c(1)])]);
  return context.emit("Where", [inside, mul(d, setting(site, "alpha", 0.2)), c(0)]);
});

/** x/3 + 1/2 between -3 and 3 (Howard et al., arXiv:1905.02244). */
const hardSwish = elementwise((site) => {
  const { d, x, mul, add, div, c } = site;
  const slope = add(div(x, c(3)), c(0.5));
  return mul(d, choose(site, x, 3, c(1), choose(site, x, -3, slope, c(0))));
});

const leakyRelu = elementwise((site) =>
  choose(site, site.x, 0, site.d, site.mul(site.d, setting(site, "alpha", 0.01))),
);

/** The slope may be trained; it is broadcast to the input. */
const pRelu: Rule = (node, context) => {
  const d = incoming(context);
  const [x = "", slope = ""] = node.inputs;
  const dtype = context.dtype(x);
  const { emit, scalar } = context;
  const negative = emit("Less", [x, scalar(0, dtype)]);
  return [
    context.wants(0) ? emit("Where", [negative, emit("Mul", [d, slope]), d]) : undefined,
    context.wants(1)
      ? unbroadcast(context, masked(context, negative, emit("Mul", [d, x]), dtype), slope, node.outputs[0]!)
      : undefined,
  ];
};

/** Below 0 y = alpha * (exp(x) - 1), whose slope is y + alpha. */
const elu = elementwise((site) => {
  const { d, x, y, mul, add } = site;
  return choose(site, x, 0, d, mul(d, add(y, setting(site, "alpha", 1))));
});

/** Klambauer et al., arXiv:1706.02515; the constants are the defaults of the operator. */
const selu = elementwise((site) => {
  const { d, x, y, mul, add } = site;
  const gamma = setting(site, "gamma", 1.0507009873554805);
  const below = add(y, mul(gamma, setting(site, "alpha", 1.6732632423543772)));
  return mul(d, choose(site, x, 0, gamma, below));
});

/** Below 0 y = alpha * (exp(x / alpha) - 1), whose slope is y / alpha + 1. */
const celu = elementwise((site) => {
  const { d, x, y, mul, add, div, c } = site;
  return choose(site, x, 0, d, mul(d, add(div(y, setting(site, "alpha", 1)), c(1))));
});

const thresholdedRelu = elementwise((site) => choose(site, site.x, setting(site, "alpha", 1), site.d, site.c(0)));

const softplus = elementwise(({ d, x, context, mul }) => mul(d, context.emit("Sigmoid", [x])));

/** 1 / (1 + |x|)^2 */
const softsign = elementwise(({ d, x, context, mul, add, div, c }) => {
  const size = add(c(1), context.emit("Abs", [x]));
  return div(d, mul(size, size));
});

/** x * t with t = tanh(softplus(x)) (Misra, arXiv:1908.08681). */
const mish = elementwise(({ d, x, context, mul, add, sub, c }) => {
  const t = context.emit("Tanh", [context.emit("Softplus", [x])]);
  const slope = mul(context.emit("Sigmoid", [x]), sub(c(1), mul(t, t)));
  return mul(d, add(t, mul(x, slope)));
});

/** x * s with s = sigmoid(alpha * x) (Ramachandran et al., arXiv:1710.05941). */
const swish = elementwise((site) => {
  const { d, x, context, mul, add, sub, c } = site;
  const alpha = setting(site, "alpha", 1);
  const s = context.emit("Sigmoid", [mul(alpha, x)]);
  return mul(d, mul(s, add(c(1), mul(mul(alpha, x), sub(c(1), s)))));
});

/** 0 near 0, shifted elsewhere. */
const shrink = elementwise((site) =>
  choose(site, site.context.emit("Abs", [site.x]), setting(site, "lambd", 0.5), site.d, site.c(0)),
);

export const activationRules: Rules = {
  HardSigmoid: hardSigmoid,
  HardSwish: hardSwish,
  LeakyRelu: leakyRelu,
  PRelu: pRelu,
  Elu: elu,
  Selu: selu,
  Celu: celu,
  ThresholdedRelu: thresholdedRelu,
  Softplus: softplus,
  Softsign: softsign,
  Mish: mish,
  Swish: swish,
  Shrink: shrink,
};
