/** Convolutions and pools over [N, C, ...positions]. */
import type { Layer } from "./building.ts";
import { he, type Init, zeros } from "./init.ts";

/** How a window moves; one number holds for all axes. */
export interface WindowOptions {
  readonly kernel?: number | readonly number[];
  readonly stride?: number | readonly number[];
  /** Zeros at both ends of each axis; by default as many as keep the length at stride 1 (odd kernels), pools none. */
  readonly pad?: number | readonly number[];
}

/** What a convolution has besides its window. */
export interface ConvOptions extends WindowOptions {
  readonly dilation?: number;
  readonly groups?: number;
  /** True by default; leave it out in front of a normalization. */
  readonly bias?: boolean;
  readonly init?: Init;
}

const each = (value: number | readonly number[], axes: number): readonly number[] =>
  typeof value === "number" ? Array.from({ length: axes }, () => value) : value;

const both = (pads: readonly number[]): readonly number[] => [...pads, ...pads];

/** Convolution with kernel 3 by default. Weight `conv.weight` [channels, C / groups, ...kernel]. */
export const conv = (channels: number, options: ConvOptions = {}): Layer => {
  const { kernel = 3, stride = 1, dilation = 1, groups = 1, bias = true, init = he } = options;
  return (outer, x) => {
    const build = outer.inside("conv");
    const axes = build.rank(x) - 2;
    const kernel_shape = each(kernel, axes);
    const inputs = build.length(x, 1) / groups;
    if (!Number.isInteger(inputs)) build.refuse(`${groups} groups do not divide the ${build.length(x, 1)} channels`);
    const pads = each(options.pad ?? kernel_shape.map((length) => Math.floor((dilation * (length - 1)) / 2)), axes);
    const taps = kernel_shape.reduce((product, length) => product * length, 1);
    const fans = { fanIn: inputs * taps, fanOut: (channels / groups) * taps };
    const weights = [build.weight("weight", [channels, inputs, ...kernel_shape], init, fans)];
    if (bias) weights.push(build.weight("bias", [channels], zeros));
    const [strides, dilations] = [each(stride, axes), each(dilation, axes)];
    return build.emit("Conv", [x, ...weights], { kernel_shape, strides, dilations, pads: both(pads), group: groups });
  };
};

/** A convolution of every channel with a kernel of its own. */
export const depthwise = (options: Omit<ConvOptions, "groups"> = {}): Layer => {
  return (build, x) => conv(build.length(x, 1), { ...options, groups: build.length(x, 1) })(build, x);
};

const pool = (op: string, extra = {}) => {
  return ({ kernel = 2, stride = kernel, pad = 0 }: WindowOptions = {}): Layer =>
    (build, x) => {
      const axes = build.rank(x) - 2;
      const window = { kernel_shape: each(kernel, axes), strides: each(stride, axes), pads: both(each(pad, axes)) };
      return build.emit(op, [x], { ...window, ...extra });
    };
};

/** Largest element of each window; kernel and stride 2 by default. */
export const maxPool = pool("MaxPool");
/** Mean of each window, zeros of the pads left out; kernel and stride 2 by default. */
export const averagePool = pool("AveragePool");
/** [N, C, ...] to [N, C]: the mean of each channel. */
export const globalAveragePool: Layer = (build, x) =>
  build.emit("Flatten", [build.emit("GlobalAveragePool", [x])], { axis: 1 });
