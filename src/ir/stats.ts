/** What calibration saw. Plain data: saved with `--stats`, merged across runs and workers. */

/** Bins of every histogram: 64 KiB per value, whatever the number of samples. */
export const HISTOGRAM_BINS = 8192;

/** Counts of values in `HISTOGRAM_BINS` equal bins over [-2^exponent, 2^exponent); bin i holds its lower edge. */
export interface Histogram {
  readonly exponent: number;
  readonly counts: Float64Array;
}

/** One value's statistics over its finite elements. */
export interface ValueStats {
  /** Smallest and largest element; 0 when there were none. */
  readonly min: number;
  readonly max: number;
  readonly count: number;
  /** Elements that were infinite (masks); they are in none of the other numbers. */
  readonly infinite: number;
  /** Samples (or batches, where a value has no sample axis) whose extents were summed. */
  readonly batches: number;
  /** Sums over `batches` of their smallest and largest element, for averages. */
  readonly batchMin: number;
  readonly batchMax: number;
  readonly histogram: Histogram | null;
}

/** Statistics of all values watched in one calibration. */
export interface Stats {
  readonly version: 1;
  /** SHA-256 of the model file the statistics belong to, hexadecimal; empty when unknown. */
  readonly model: string;
  readonly samples: number;
  /** By value name. */
  readonly values: Readonly<Record<string, ValueStats>>;
}

/** Width of one bin. */
export const binWidth = ({ exponent }: Histogram): number => 2 ** (exponent + 1) / HISTOGRAM_BINS;
