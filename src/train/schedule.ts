/** The learning rate over a training run. */

/** `steps` counts the whole run, `warmup` its first part, in which the rate rises in a line from 0. */
export interface Schedule {
  readonly kind: "constant" | "cosine" | "linear";
  readonly rate: number;
  readonly steps: number;
  readonly warmup?: number;
  /** Share of `rate` that is left at the end; 0 by default. */
  readonly floor?: number;
}

const SHAPES: Readonly<Record<Schedule["kind"], (done: number) => number>> = {
  constant: () => 1,
  /** Loshchilov and Hutter, arXiv:1608.03983, without restarts. */
  cosine: (done) => (1 + Math.cos(Math.PI * done)) / 2,
  linear: (done) => 1 - done,
};

/** The rate of a step, counted from 1. */
export function rateAt({ kind, rate, steps, warmup = 0, floor = 0 }: Schedule, step: number): number {
  if (step <= warmup) return (rate * step) / warmup;
  return rate * (floor + (1 - floor) * SHAPES[kind](doneAt({ steps, warmup }, step)));
}

/** Share of the steps behind the warm-up that are over. */
const doneAt = ({ steps, warmup }: { steps: number; warmup: number }, step: number): number =>
  Math.min(1, (step - 1 - warmup) / Math.max(1, steps - warmup));

/**
 * How far the rate has fallen by a step, counted from 1: from 0 at its full height to 1 at the end, whatever its floor. What
 * goes by it does so along a cosine where the rate stays as it is.
 */
export function fallenAt({ kind, steps, warmup = 0 }: Schedule, step: number): number {
  const falling = kind === "constant" ? "cosine" : kind;
  return step <= warmup ? 0 : 1 - SHAPES[falling](doneAt({ steps, warmup }, step));
}
