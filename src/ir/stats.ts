/** What calibration saw. Plain data: saved with `--stats`, merged across runs and workers. */

/** Counts of values in equal bins over [-2^exponent, 2^exponent). */
export interface Histogram {
  readonly exponent: number;
  readonly counts: Float64Array;
}

/** One value's statistics; `batchMin` and `batchMax` are sums over batches, for averages. */
export interface ValueStats {
  readonly min: number;
  readonly max: number;
  readonly count: number;
  readonly batches: number;
  readonly movingMin: number;
  readonly movingMax: number;
  readonly histogram: Histogram | null;
}

export interface Stats {
  readonly version: 1;
  /** SHA-256 of the model file the statistics belong to, hexadecimal; empty when unknown. */
  readonly model: string;
  readonly samples: number;
  /** By value name. */
  readonly values: Readonly<Record<string, ValueStats>>;
}
