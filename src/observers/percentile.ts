/** Cuts off a fixed share of the values, however far out they lie. Edges of bins, so the cut is never more than asked. */
import { binWidth, HISTOGRAM_BINS, type Histogram, type ValueStats } from "../ir/stats.ts";
import { fail } from "../numeric/errors.ts";
import type { Observer } from "./observer.ts";

const HALF = HISTOGRAM_BINS / 2;

/** Lower edge of the lowest bin that may not be cut when at most `cut` values go below it. */
function lowerEdge(histogram: Histogram, cut: number): number {
  let below = 0;
  let bin = 0;
  while (bin < HISTOGRAM_BINS - 1 && below + histogram.counts[bin]! <= cut) below += histogram.counts[bin++]!;
  return (bin - HALF) * binWidth(histogram);
}

/** Upper edge of the highest bin that may not be cut when at most `cut` values go above it. */
function upperEdge(histogram: Histogram, cut: number): number {
  let above = 0;
  let bin = HISTOGRAM_BINS - 1;
  while (bin > 0 && above + histogram.counts[bin]! <= cut) above += histogram.counts[bin--]!;
  return (bin + 1 - HALF) * binWidth(histogram);
}

/** Smallest t with at most `cut` values outside [-t, t], in whole bins. */
function magnitude(histogram: Histogram, cut: number): number {
  let outside = 0;
  let half = HALF;
  while (half > 1) {
    const next = histogram.counts[HALF - half]! + histogram.counts[HALF + half - 1]!;
    if (outside + next > cut) break;
    outside += next;
    half--;
  }
  return half * binWidth(histogram);
}

function cutRange(stats: ValueStats, percent: number, symmetric: boolean): readonly [number, number] {
  const { histogram, count } = stats;
  if (histogram === null) return [0, 0];
  const cut = count * (1 - percent / 100);
  const [min, max] = [Math.min(stats.min, 0), Math.max(stats.max, 0)];
  if (symmetric) {
    const reach = Math.min(magnitude(histogram, cut), Math.max(-min, max));
    return [-reach, reach];
  }
  return [
    Math.min(Math.max(lowerEdge(histogram, cut / 2), min), 0),
    Math.max(Math.min(upperEdge(histogram, cut / 2), max), 0),
  ];
}

/** Observer that keeps `percent` of the values, the rest shared between both ends; 50 < percent <= 100. */
export function percentile(percent: number, name = `percentile-${percent}`): Observer {
  if (!(percent > 50 && percent <= 100))
    fail("usage", `a percentile of ${percent} can't be observed; it must lie above 50 and be at most 100`);
  return {
    name,
    summary: `range that holds ${percent} percent of the values`,
    range: (stats, _dtype, symmetric) => cutRange(stats, percent, symmetric),
  };
}
