/** The contract of observers; index.ts is the table of them. */
import type { ValueStats } from "../ir/stats.ts";
import type { DTypeRow } from "../numeric/dtypes.ts";

/** Turns what calibration saw of one value into the range its grid will cover. */
export interface Observer {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Range [min, max] to map on the grid of `dtype`; always contains zero. */
  range(stats: ValueStats, dtype: DTypeRow, symmetric: boolean): readonly [number, number];
}
