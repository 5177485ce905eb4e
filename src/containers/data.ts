/** Samples for calibration and evaluation. */
import type { Feeds } from "../ir/model.ts";

/** Rows of model inputs; every array has the samples on its first axis. */
export interface Dataset {
  readonly length: number;
  /** What it came from, for reports: file name, "random". */
  readonly origin: string;
  /** Present when the samples are made up. */
  readonly random?: true;
  /** Present when only some rows of the source are used: which, in order, and out of how many. */
  readonly chosen?: { readonly rows: readonly number[]; readonly of: number };
  /**
   * Batches of at most `size` samples, in order. A model that fixes its first dimension gets batches of just that
   * length; samples of different shapes never share a batch.
   */
  batches(size: number): AsyncIterable<Feeds>;
  /** Present where samples can be had by number, in any order, as one batch; the numbers count those that are used. */
  readonly rows?: (indices: readonly number[]) => Promise<Feeds>;
  /** Present when samples differ in shape, so that not every choice of them is a batch. */
  readonly varies?: true;
}
