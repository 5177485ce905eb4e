/** How sure a language model is of the next token, and how far two models' answers are apart. All in nats. */

/** ln of the sum of exp over `width` logits from `start`; sums in double precision. NaN where one is NaN or +Infinity. */
export function logSumExp(logits: Float32Array, start: number, width: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + width; i++) if (logits[i]! > most) most = logits[i]!;
  let sum = 0;
  for (let i = start; i < start + width; i++) sum += Math.exp(logits[i]! - most);
  return Math.log(sum) + most;
}

/** -ln p of one token, from the logits of its place. */
export const surprise = (logits: Float32Array, start: number, width: number, token: number): number =>
  logSumExp(logits, start, width) - logits[start + token]!;

/** Logits of one place by two models of the same vocabulary. */
export interface TwoRows {
  readonly before: Float32Array;
  readonly after: Float32Array;
  /** Where the place's logits begin, in both. */
  readonly start: number;
  /** Tokens of the vocabulary. */
  readonly width: number;
}

/** What the two say of one place. */
export interface PlaceErrors {
  /** -ln p of the token that really comes, by either model. */
  readonly before: number;
  readonly after: number;
  /** Kullback-Leibler divergence of the second's probabilities from the first's: sum of p ln(p / q). */
  readonly divergence: number;
  /** Whether both think the same token the likeliest; the first of equals counts. */
  readonly agree: boolean;
}

/** Compares two models' logits of one place; `token` is the one that really comes. */
export function placeErrors({ before, after, start, width }: TwoRows, token: number): PlaceErrors {
  const sums = [logSumExp(before, start, width), logSumExp(after, start, width)] as const;
  let [divergence, first, second] = [0, 0, 0];
  for (let i = 0; i < width; i++) {
    const [a, b] = [before[start + i]!, after[start + i]!];
    const log = a - sums[0];
    const p = Math.exp(log);
    if (p > 0) divergence += p * (log - (b - sums[1]));
    if (a > before[start + first]!) first = i;
    if (b > after[start + second]!) second = i;
  }
  return {
    before: sums[0] - before[start + token]!,
    after: sums[1] - after[start + token]!,
    divergence: Math.max(0, divergence),
    agree: first === second,
  };
}

/** A mean and its standard error. */
export interface Estimate {
  readonly value: number;
  /** Standard deviation of the mean, as of independent values; 0 for fewer than two. */
  readonly error: number;
}

/** Mean of numbers with its standard error. */
export function meanOf(values: ArrayLike<number>): Estimate {
  const count = values.length;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < count; i++) sum += values[i]!;
  const value = count === 0 ? 0 : sum / count;
  for (let i = 0; i < count; i++) squares += (values[i]! - value) ** 2;
  return { value, error: count < 2 ? 0 : Math.sqrt(squares / count / (count - 1)) };
}

/** exp of an estimate; the error by the slope there, as llama-perplexity gives it. */
export const expOf = ({ value, error }: Estimate): Estimate => ({
  value: Math.exp(value),
  error: Math.exp(value) * error,
});
