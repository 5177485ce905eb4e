/** The one path from activations to statistics; every observer reads what is gathered here. */
import type { ValueStats } from "../ir/stats.ts";
import { fail } from "../numeric/errors.ts";
import { countNonFinite } from "../numeric/metrics.ts";
import { addToHistogram, mergeHistograms } from "./histogram.ts";

/** Statistics of nothing. */
export const empty: ValueStats = {
  min: 0,
  max: 0,
  count: 0,
  infinite: 0,
  batches: 0,
  batchMin: 0,
  batchMax: 0,
  histogram: null,
};

interface Extent {
  readonly min: number;
  readonly max: number;
}

/** Smallest and largest of `values[start..end)`; undefined when one of them is NaN or infinite. */
function extent(values: Float32Array, start: number, end: number): Extent | undefined {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) return undefined;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return max - min < Number.POSITIVE_INFINITY ? { min, max } : undefined;
}

function addFinite(state: ValueStats, values: Float32Array, samples: number, extents: readonly Extent[]): ValueStats {
  let { batchMin, batchMax } = state;
  const min = state.count === 0 ? Number.POSITIVE_INFINITY : state.min;
  const max = state.count === 0 ? Number.NEGATIVE_INFINITY : state.max;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const part of extents) {
    low = Math.min(low, part.min);
    high = Math.max(high, part.max);
    batchMin += part.min;
    batchMax += part.max;
  }
  return {
    min: Math.min(min, low) + 0, // -0 becomes 0: JSON and the order of samples must not matter
    max: Math.max(max, high) + 0,
    count: state.count + values.length,
    infinite: state.infinite,
    batches: state.batches + samples,
    batchMin,
    batchMax,
    histogram: addToHistogram(state.histogram, values, low, high),
  };
}

/** Leaves infinities out and refuses NaN; the rest counts as one batch. */
function addNonFinite(state: ValueStats, values: Float32Array, name: string): ValueStats {
  const { nan, infinite } = countNonFinite(values);
  if (nan > 0)
    fail("data", `value "${name}" holds ${nan} NaN among ${values.length} elements; check the model and the samples`);
  return update({ ...state, infinite: state.infinite + infinite }, values.filter(Number.isFinite), name);
}

/**
 * `state` with a batch of a value's elements in it. `samples` says how many equal parts the batch has, for the averages;
 * a batch that can't be divided so counts as one. NaN is an error that names the value.
 */
export function update(state: ValueStats, values: Float32Array, name: string, samples = 1): ValueStats {
  if (values.length === 0) return state;
  const parts = values.length % samples === 0 ? samples : 1;
  const length = values.length / parts;
  const extents: Extent[] = [];
  for (let part = 0; part < parts; part++) {
    const found = extent(values, part * length, (part + 1) * length);
    if (found === undefined) return addNonFinite(state, values, name);
    extents.push(found);
  }
  return addFinite(state, values, parts, extents);
}

/** Statistics of two disjoint parts of the data, as if seen in one go: exact but for the last bits of the averages. */
export function merge(a: ValueStats, b: ValueStats): ValueStats {
  const none = a.count === 0 || b.count === 0;
  return {
    min: none ? a.min + b.min : Math.min(a.min, b.min),
    max: none ? a.max + b.max : Math.max(a.max, b.max),
    count: a.count + b.count,
    infinite: a.infinite + b.infinite,
    batches: a.batches + b.batches,
    batchMin: a.batchMin + b.batchMin,
    batchMax: a.batchMax + b.batchMax,
    histogram: mergeHistograms(a.histogram, b.histogram),
  };
}
