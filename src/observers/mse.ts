/** The clip range with the smallest expected squared quantization error: rounding inside against clipping outside. */
import type { DTypeRow } from "../numeric/dtypes.ts";
import { affine } from "../numeric/qparams.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { fullRange, type Points, points, searchableCodes } from "./clipping.ts";
import type { Observer } from "./observer.ts";

type Range = readonly [number, number];

/** Expected squared error of quantizing the points on the grid of [low, high], times their weight. */
export function clipError({ values, weights }: Points, [low, high]: Range, row: DTypeRow, symmetric: boolean): number {
  const { scale, zeroPoint } = affine(low, high, row, symmetric);
  const perScale = 1 / scale;
  const first = row.min - zeroPoint;
  const last = row.max - zeroPoint;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const code = Math.min(Math.max(roundHalfEven(values[i]! * perScale), first), last);
    const error = values[i]! - code * scale;
    sum += weights[i]! * error * error;
  }
  return sum;
}

/** Shares of the full range tried first: 1, 0.8, 0.64, ... down to about one percent. */
const COARSE = Array.from({ length: 21 }, (_, i) => 0.8 ** i);
/** Factors tried around the best one, in rounds of half the reach each. */
const STEPS = [-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1];
const ROUNDS = 4;
const REACH = 0.25;

interface Best {
  readonly range: Range;
  readonly error: number;
}

/** One side moved by each step; the other stays. */
const moved = ([low, high]: Range, side: 0 | 1, reach: number, limit: Range): readonly Range[] =>
  STEPS.map((step) =>
    side === 0
      ? [Math.max(low * (1 + step * reach), limit[0]), high]
      : [low, Math.min(high * (1 + step * reach), limit[1])],
  );

function search(full: Range, symmetric: boolean, error: (range: Range) => number): Range {
  const better = (best: Best, range: Range): Best => {
    const found = error(range);
    return found < best.error ? { range, error: found } : best;
  };
  const [low, high] = full;
  const oneSided = symmetric || low === 0 || high === 0;
  const grid = COARSE.flatMap((a): Range[] =>
    oneSided ? [[low * a, high * a]] : COARSE.map((b): Range => [low * a, high * b]),
  );
  let best = grid.reduce(better, { range: full, error: Number.POSITIVE_INFINITY });
  for (let round = 0, reach = REACH; round < ROUNDS; round++, reach /= 2)
    if (symmetric)
      best = moved(best.range, 1, reach, full)
        .map(([, side]): Range => [-side, side])
        .reduce(better, best);
    else for (const side of [0, 1] as const) best = moved(best.range, side, reach, full).reduce(better, best);
  return best.range;
}

export const mse: Observer = {
  name: "mse",
  summary: "range with the smallest expected squared error",
  range(stats, dtype, symmetric) {
    const full = fullRange(stats, symmetric);
    if (searchableCodes(dtype) === undefined || full[0] === full[1]) return full;
    const seen = points(stats);
    return search(full, symmetric, (range) => clipError(seen, range, dtype, symmetric));
  },
};
