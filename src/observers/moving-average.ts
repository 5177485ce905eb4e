/** Average of every sample's own minimum and maximum: rare outliers lose weight, in any order of the samples. */
import type { Observer } from "./observer.ts";

export const movingAverage: Observer = {
  name: "moving-average",
  summary: "average over samples of their smallest and largest value",
  range: ({ batchMin, batchMax, batches }) =>
    batches === 0 ? [0, 0] : [Math.min(batchMin / batches, 0), Math.max(batchMax / batches, 0)],
};
