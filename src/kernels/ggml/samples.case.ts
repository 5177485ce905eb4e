/** Rows with a seed, the same on every machine, for tests that need no outside data. */
import { rng } from "../../numeric/rng.ts";

/** Columns of every row. */
export const COLUMNS = 1024;

const draw = rng(20);
const between = (low: number, high: number): number => draw.integer(low, high);

/** One row each: weights with outliers, mixed scales, ties with groups of zeros, narrow negative ranges. */
const PATTERNS: readonly ((i: number) => number)[] = [
  (i) => draw.normal() * (i % 128 === 5 ? 0.4 : 0.05),
  () => draw.normal() * 2 ** between(-12, 12),
  (i) => ((i >> 5) % 5 === 3 ? 0 : between(-8, 8) * 0.5),
  (i) => ((i >> 6) % 2 === 0 ? -1 + draw.normal() * 2 ** -20 : -Math.abs(draw.normal())),
];

/** Number of rows. */
export const ROWS = PATTERNS.length;

/** `ROWS` rows of `COLUMNS` values. */
export const SAMPLES = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) =>
  PATTERNS[Math.floor(at / COLUMNS)]!(at % COLUMNS),
);

/** One weight per column, some of them zero. */
export const WEIGHTS = Float32Array.from({ length: COLUMNS }, (_, i) =>
  i % 37 === 0 ? 0 : draw.uniform() * 2 ** between(-6, 6),
);
