/** Optimizers as plain nodes: from a parameter, its gradient and its slots to their next values. */
import type { Writer } from "./writer.ts";

/** Names of what one update reads. All are float32; `rate`, `decay` and the numbers are scalars. */
export interface UpdateSite {
  readonly writer: Writer;
  readonly parameter: string;
  readonly gradient: string;
  /** Of the shape of the parameter, in the order of the optimizer's own list. */
  readonly slots: readonly string[];
  readonly rate: string;
  /** Weight decay of this parameter, 0 for none. */
  readonly decay: number;
  readonly numbers: Readonly<Record<string, string>>;
}

/** What one update makes. */
export interface Updated {
  readonly parameter: string;
  readonly slots: readonly string[];
}

/** A way to step downhill. */
export interface Optimizer {
  /** Name and settings, for checkpoints: two optimizers of the same text do the same. */
  readonly label: string;
  /** State each parameter has besides itself; zeros at first. */
  readonly slots: readonly string[];
  /** Numbers fed at a step, counted from 1. */
  numbers(step: number): Readonly<Record<string, number>>;
  update(site: UpdateSite): Updated;
}

const f32 = "float32";

/** Decay that is part of the gradient (an L2 penalty). */
function penalized({ writer, parameter, gradient, decay }: UpdateSite): string {
  const { emit, scalar } = writer;
  return decay === 0 ? gradient : emit("Add", [gradient, emit("Mul", [parameter, scalar(decay, f32)])]);
}

const descend = ({ writer: { emit }, parameter, rate }: UpdateSite, direction: string): string =>
  emit("Sub", [parameter, emit("Mul", [direction, rate])]);

/**
 * Added to what decays from step to step. Where gradients are zero for good (dead units, words that never come) it would shrink
 * to denormal numbers otherwise and stay there, since a tenth of the smallest one is rounded away; processors take a
 * hundred times as long for each. Far too little to move a weight.
 */
const FLOOR = 1e-30;

/** beta * slot, and never denormal. */
const decayed = ({ emit, scalar }: Writer, slot: string, beta: number): string =>
  emit("Add", [emit("Mul", [slot, scalar(beta, f32)]), scalar(FLOOR, f32)]);

/** v' = momentum * v + g; p' = p - rate * v' (or g + momentum * v' with Nesterov's look ahead). */
export function sgd({ momentum = 0, nesterov = false } = {}): Optimizer {
  return {
    label: `sgd momentum=${momentum} nesterov=${nesterov}`,
    slots: momentum === 0 ? [] : ["velocity"],
    numbers: () => ({}),
    update(site) {
      const { emit, scalar } = site.writer;
      const gradient = penalized(site);
      if (momentum === 0) return { parameter: descend(site, gradient), slots: [] };
      const slow = (value: string) => emit("Mul", [value, scalar(momentum, f32)]);
      const velocity = emit("Add", [decayed(site.writer, site.slots[0]!, momentum), gradient]);
      const direction = nesterov ? emit("Add", [gradient, slow(velocity)]) : velocity;
      return { parameter: descend(site, direction), slots: [velocity] };
    },
  };
}

/** Settings of Adam. */
export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}

/**
 * rate * m/(1-beta1^t) / (sqrt(v/(1-beta2^t)) + epsilon) with as few passes over the parameter as that takes: the slots are
 * m/(1-beta1) and v/(1-beta2), and all that is left of the corrections are two numbers.
 */
function adamStep({ writer, slots, rate, numbers }: UpdateSite, gradient: string, options: Required<AdamOptions>) {
  const { emit, scalar } = writer;
  const mean = emit("Add", [decayed(writer, slots[0]!, options.beta1), gradient]);
  const squares = emit("Mul", [slots[1]!, scalar(options.beta2, f32)]);
  const square = emit("Add", [squares, emit("Mul", [gradient, gradient])]);
  const above = emit("Mul", [mean, emit("Mul", [rate, numbers.scale!])]);
  const step = emit("Div", [above, emit("Add", [emit("Sqrt", [square]), numbers.epsilon!])]);
  return { step, slots: [mean, square] };
}

/** The numbers `adamStep` reads. */
function adamNumbers({ beta1, beta2, epsilon }: Required<AdamOptions>, step: number) {
  const root = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
  return { scale: (1 - beta1) / (1 - beta1 ** step) / root, epsilon: epsilon / root };
}

const adamLike = (
  name: string,
  options: AdamOptions,
  update: (site: UpdateSite, all: Required<AdamOptions>) => Updated,
) => {
  const all = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, ...options };
  return {
    label: `${name} beta1=${all.beta1} beta2=${all.beta2} epsilon=${all.epsilon}`,
    slots: ["mean", "square"],
    numbers: (step: number) => adamNumbers(all, step),
    update: (site: UpdateSite) => update(site, all),
  };
};

/** Kingma and Ba, arXiv:1412.6980; weight decay is an L2 penalty. */
export const adam = (options: AdamOptions = {}): Optimizer =>
  adamLike("adam", options, (site, all) => {
    const { step, slots } = adamStep(site, penalized(site), all);
    return { parameter: site.writer.emit("Sub", [site.parameter, step]), slots };
  });

/** Loshchilov and Hutter, arXiv:1711.05101: weight decay apart from the gradient. */
export const adamw = (options: AdamOptions = {}): Optimizer =>
  adamLike("adamw", options, (site, all) => {
    const { emit, scalar } = site.writer;
    const { step, slots } = adamStep(site, site.gradient, all);
    const kept = () => emit("Sub", [scalar(1, f32), emit("Mul", [site.rate, scalar(site.decay, f32)])]);
    const parameter = site.decay === 0 ? site.parameter : emit("Mul", [site.parameter, kept()]);
    return { parameter: emit("Sub", [parameter, step]), slots };
  });

/** All optimizers by name, with the settings most people start from. */
export const OPTIMIZERS: Readonly<Record<string, () => Optimizer>> = {
  sgd: () => sgd({ momentum: 0.9 }),
  adam: () => adam(),
  adamw: () => adamw(),
};
