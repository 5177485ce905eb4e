/** Normalizations. */
import { float } from "../../ir/build.ts";
import type { Layer } from "./building.ts";
import { ones, zeros } from "./init.ts";

/**
 * Mean 0 and variance 1 of each channel over samples and positions (Ioffe and Szegedy, arXiv:1502.03167). Built with
 * running statistics; `trainingForm` makes it use those of the batch. `momentum` is the share of the old statistics that
 * stays after a step.
 */
export const batchNorm = ({ epsilon = 1e-5, momentum = 0.9 } = {}): Layer => {
  return (outer, x) => {
    const build = outer.inside("norm");
    const shape = [build.length(x, 1)];
    const scaling = [build.weight("scale", shape, ones), build.weight("bias", shape, zeros)];
    const running = [build.buffer("mean", shape, zeros), build.buffer("variance", shape, ones)];
    const attributes = { epsilon: float(epsilon), momentum: float(momentum) };
    return build.emit("BatchNormalization", [x, ...scaling, ...running], attributes);
  };
};

/** Mean 0 and variance 1 of each vector along the last axis (Ba, Kiros and Hinton, arXiv:1607.06450). */
export const layerNorm = ({ epsilon = 1e-5 } = {}): Layer => {
  return (outer, x) => {
    const build = outer.inside("norm");
    const shape = [build.length(x, -1)];
    const weights = [build.weight("scale", shape, ones), build.weight("bias", shape, zeros)];
    return build.emit("LayerNormalization", [x, ...weights], { axis: -1, epsilon: float(epsilon) });
  };
};

/** Root mean square 1 of each vector along the last axis (Zhang and Sennrich, arXiv:1910.07467). */
export const rmsNorm = ({ epsilon = 1e-5 } = {}): Layer => {
  return (outer, x) => {
    const build = outer.inside("norm");
    const { emit, ints, scalar } = build;
    const scale = build.weight("scale", [build.length(x, -1)], ones);
    const square = emit("ReduceMean", [emit("Mul", [x, x]), ints([-1])], { keepdims: 1 });
    const root = emit("Sqrt", [emit("Add", [square, scalar(Math.fround(epsilon), "float32")])]);
    return emit("Mul", [emit("Div", [x, root]), scale]);
  };
};
