/** Samples for calibration and evaluation. */
import type { Feeds } from "../ir/model.ts";

/** Rows of model inputs; every array has the samples on its first axis. */
export interface Dataset {
  readonly length: number;
  /** What it came from, for reports: file name, "random". */
  readonly origin: string;
  /** Batches of at most `size` samples, in order. */
  batches(size: number): AsyncIterable<Feeds>;
}
