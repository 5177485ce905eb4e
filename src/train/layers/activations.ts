/** Functions of each element, and what has no weights. */
import type { Layer } from "./building.ts";

const apply = (op: string): Layer => {
  return (build, x) => build.emit(op, [x]);
};

/** max(x, 0) */
export const relu: Layer = apply("Relu");
/** 1 / (1 + exp(-x)) */
export const sigmoid: Layer = apply("Sigmoid");
/** Hyperbolic tangent. */
export const tanh: Layer = apply("Tanh");
/** Along the last axis. */
export const softmax: Layer = (build, x) => build.emit("Softmax", [x], { axis: -1 });

/** x * sigmoid(x), also called Swish (arXiv:1702.03118). */
export const silu: Layer = (build, x) => build.emit("Mul", [x, build.emit("Sigmoid", [x])]);

/** x * P(normal < x) by the error function (Hendrycks and Gimpel, arXiv:1606.08415). */
export const gelu: Layer = (build, x) => {
  const { emit, scalar } = build;
  const erf = emit("Erf", [emit("Div", [x, scalar(Math.fround(Math.SQRT2), "float32")])]);
  return emit("Mul", [emit("Mul", [x, emit("Add", [erf, scalar(1, "float32")])]), scalar(0.5, "float32")]);
};

/**
 * In training zeroes a share `ratio` of the elements and enlarges the others (Srivastava et al., JMLR 15, 2014); hands its
 * input on at inference. `trainingForm` writes the form for training.
 */
export const dropout = (ratio: number): Layer => {
  return (build, x) => build.emit("Dropout", [x, build.scalar(ratio, "float32")]);
};

/** [N, ...] as [N, everything else]. */
export const flatten: Layer = (build, x) => build.emit("Flatten", [x], { axis: 1 });
