/**
 * How far a candidate's numbers are from the reference's, and how good class scores are. Every metric is a running sum:
 * fold batches in with `add...`, then ask for the result, so that memory does not grow with the data.
 */
import { fail } from "./errors.ts";

/** Running sums over pairs of a reference and a candidate value. Pairs with a NaN or an infinity are counted apart. */
export interface ErrorSums {
  readonly count: number;
  readonly signal: number;
  readonly candidate: number;
  readonly dot: number;
  readonly noise: number;
  /** Sum of candidate minus reference. */
  readonly shift: number;
  readonly maxAbs: number;
  readonly maxReference: number;
  /** Pairs where the reference is not finite, and where only the candidate isn't. */
  readonly badReference: number;
  readonly badCandidate: number;
}

/** Sums over nothing. */
export const noErrors: ErrorSums = {
  count: 0,
  signal: 0,
  candidate: 0,
  dot: 0,
  noise: 0,
  shift: 0,
  maxAbs: 0,
  maxReference: 0,
  badReference: 0,
  badCandidate: 0,
};

function checkPair(reference: ArrayLike<number>, candidate: ArrayLike<number>): void {
  if (reference.length !== candidate.length)
    fail(
      "data",
      `the reference has ${reference.length} values and the candidate ${candidate.length}; both must be equal`,
    );
}

/** Whether all values are finite: a product with zero is NaN for every other. Four sums, so that none waits for the last. */
function allFinite(values: ArrayLike<number>): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 4 <= values.length; i += 4) {
    a += values[i]! * 0;
    b += values[i + 1]! * 0;
    c += values[i + 2]! * 0;
    d += values[i + 3]! * 0;
  }
  for (; i < values.length; i++) a += values[i]! * 0;
  return a + b + c + d === 0;
}

/** Counts of values that are NaN or infinite. */
export function countNonFinite(values: ArrayLike<number>): { readonly nan: number; readonly infinite: number } {
  let nan = 0;
  let infinite = 0;
  if (allFinite(values)) return { nan, infinite };
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value === 0) continue;
    if (Number.isNaN(value)) nan++;
    else infinite++;
  }
  return { nan, infinite };
}

/** `sums` with one more batch of pairs in it; both arrays in the same order. */
export function addErrors(sums: ErrorSums, reference: ArrayLike<number>, candidate: ArrayLike<number>): ErrorSums {
  checkPair(reference, candidate);
  let { count, signal, candidate: energy, dot, noise, shift, maxAbs, maxReference, badReference, badCandidate } = sums;
  for (let i = 0; i < reference.length; i++) {
    const a = reference[i]!;
    const b = candidate[i]!;
    const error = b - a;
    if (error - error !== 0) {
      if (a - a === 0) badCandidate++;
      else badReference++;
      continue;
    }
    count++;
    signal += a * a;
    energy += b * b;
    dot += a * b;
    noise += error * error;
    shift += error;
    maxAbs = Math.max(maxAbs, Math.abs(error));
    maxReference = Math.max(maxReference, Math.abs(a));
  }
  return { count, signal, candidate: energy, dot, noise, shift, maxAbs, maxReference, badReference, badCandidate };
}

/** Sums of two disjoint parts of the data. */
export const mergeErrors = (a: ErrorSums, b: ErrorSums): ErrorSums => ({
  count: a.count + b.count,
  signal: a.signal + b.signal,
  candidate: a.candidate + b.candidate,
  dot: a.dot + b.dot,
  noise: a.noise + b.noise,
  shift: a.shift + b.shift,
  maxAbs: Math.max(a.maxAbs, b.maxAbs),
  maxReference: Math.max(a.maxReference, b.maxReference),
  badReference: a.badReference + b.badReference,
  badCandidate: a.badCandidate + b.badCandidate,
});

/** Signal to quantization noise ratio, 10 log10(sum r^2 / sum (c - r)^2), in dB; Infinity when nothing differs. */
export const sqnr = ({ signal, noise }: Pick<ErrorSums, "signal" | "noise">): number =>
  noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);

/** Cosine of the angle between the two; two all-zero sides count as equal, one as orthogonal. */
export function cosine({ signal, candidate, dot }: ErrorSums): number {
  const norms = Math.sqrt(signal * candidate);
  if (norms === 0) return signal === candidate ? 1 : 0;
  return Math.min(1, Math.max(-1, dot / norms));
}

/** Mean squared error. */
export const mse = ({ noise, count }: ErrorSums): number => (count === 0 ? 0 : noise / count);

/** Mean of candidate minus reference: what is left of the error when it is averaged. */
export const meanError = ({ shift, count }: ErrorSums): number => (count === 0 ? 0 : shift / count);

/** Largest error as a share of the largest reference magnitude. */
export const maxRelative = ({ maxAbs, maxReference }: ErrorSums): number => (maxAbs === 0 ? 0 : maxAbs / maxReference);

/** Everything at once, for reports. */
export interface ErrorReport {
  readonly sqnr: number;
  readonly cosine: number;
  readonly mse: number;
  readonly maxAbs: number;
  readonly maxRelative: number;
  readonly count: number;
  readonly badReference: number;
  readonly badCandidate: number;
}

/** All distances that the sums stand for. */
export const errorReport = (sums: ErrorSums): ErrorReport => ({
  sqnr: sqnr(sums),
  cosine: cosine(sums),
  mse: mse(sums),
  maxAbs: sums.maxAbs,
  maxRelative: maxRelative(sums),
  count: sums.count,
  badReference: sums.badReference,
  badCandidate: sums.badCandidate,
});

/** Index of the largest of `length` scores from `start`; the first of equals; -1 when one is NaN. */
export function argmax(scores: ArrayLike<number>, start = 0, length = scores.length - start): number {
  let best = 0;
  for (let i = 0; i < length; i++) {
    const score = scores[start + i]!;
    if (Number.isNaN(score)) return -1;
    if (score > scores[start + best]!) best = i;
  }
  return length > 0 ? best : -1;
}

/** Place of a class among the scores of one sample, 0 = first; ties go to the lower index; NaN scores lose to none. */
export function rank(scores: ArrayLike<number>, label: number, start: number, classes: number): number {
  const own = scores[start + label]!;
  let ahead = 0;
  for (let i = 0; i < classes; i++) {
    const score = scores[start + i]!;
    if (i !== label && !(score < own || (score === own && i > label))) ahead++;
  }
  return ahead;
}

/** Running counts of hits. */
export interface Hits {
  readonly count: number;
  readonly hits: number;
}

/** No samples yet. */
export const noHits: Hits = { count: 0, hits: 0 };

/** Share of hits, 0 to 1; 0 without samples. */
export const share = ({ hits, count }: Hits): number => (count === 0 ? 0 : hits / count);

function rows(scores: ArrayLike<number>, classes: number): number {
  if (!(classes >= 1) || scores.length % classes !== 0)
    fail("data", `${scores.length} scores can't be divided into rows of ${classes} classes`);
  return scores.length / classes;
}

/** Counts samples whose label is among the `k` highest of `classes` scores; `scores` is [samples, classes] in order. */
export function addTopK(
  hits: Hits,
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
  k: number,
): Hits {
  const samples = rows(scores, classes);
  if (labels.length !== samples) fail("data", `${samples} rows of scores need as many labels, found ${labels.length}`);
  let found = 0;
  for (let i = 0; i < samples; i++) {
    const label = labels[i]!;
    if (!(label >= 0 && label < classes))
      fail(
        "data",
        `label ${label} of sample ${hits.count + i} is not one of the ${classes} classes of the output, 0 to ${classes - 1}`,
      );
    if (rank(scores, label, i * classes, classes) < k) found++;
  }
  return { count: hits.count + samples, hits: hits.hits + found };
}

/** Counts samples for which both models rank the same class first. */
export function addAgreement(
  hits: Hits,
  reference: ArrayLike<number>,
  candidate: ArrayLike<number>,
  classes: number,
): Hits {
  checkPair(reference, candidate);
  const samples = rows(reference, classes);
  let found = 0;
  for (let i = 0; i < samples; i++) {
    const best = argmax(reference, i * classes, classes);
    if (best >= 0 && best === argmax(candidate, i * classes, classes)) found++;
  }
  return { count: hits.count + samples, hits: hits.hits + found };
}
