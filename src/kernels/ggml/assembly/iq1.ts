/**
 * The exhaustive search of iq1_s and iq1_m for the best split of sorted values, four splits at a time. AssemblyScript.
 *
 * ggml takes a split if qx^2 > best * q2, where best is the score qx^2 / q2 of the last one taken. Roundings apart that
 * is the split of highest score, so scores are computed first, and only splits near the highest are gone through like that.
 */

import { spread } from "./block";

/** Sums of w q x, then of w q q, of four splits under up to four shifts. */
const QX: usize = 5120;
const Q2: usize = QX + 64;
/** First and second border of the best split, its scale. */
export const RESULT: usize = Q2 + 64;
/** The highest score of each lane of all fours. */
const SCORES: usize = 49152;

/** One less than all roundings of a comparison take away: 6 of 2^-24. */
const NEAR: f32 = 1 - 1.0 / 262144.0;
/** Scores and weights within these square and divide without underflow or overflow. */
const LEAST_SCORE: f32 = 1e-18;
const MOST_SCORE: f32 = 1e18;
const LEAST_WEIGHT: f32 = 1e-12;
const MOST_WEIGHT: f32 = 1e12;

let bestScore: f32 = 0;
let bestShift: i32 = -1;

function offer(first: i32, second: i32, shift: i32, qx: f32, q2: f32): void {
  if (!(q2 > 0 && qx * qx > bestScore * q2)) return;
  const scale = qx / q2;
  store<i32>(RESULT, first);
  store<i32>(RESULT, second, 4);
  store<f32>(RESULT, scale, 8);
  bestShift = shift;
  bestScore = scale * qx;
}

/** Keeps the sums of four splits; answers their scores, 0 or no number for those without one. */
// @inline
function keep(shift: i32, qx: v128, q2: v128): v128 {
  v128.store(QX + (shift << 4), qx);
  v128.store(Q2 + (shift << 4), q2);
  return v128.and(f32x4.div(f32x4.mul(qx, qx), q2), f32x4.gt(q2, f32x4.splat(0)));
}

/** The higher scores; what is no number counts as 0. */
// @inline
function higher(a: v128, b: v128): v128 {
  return f32x4.pmax(f32x4.pmax(f32x4.splat(0), a), b);
}

/** Offers the kept sums in the order of the splits. */
function offerKept(first: i32, second: i32, shifts: i32): void {
  for (let lane = 0; lane < 4; lane++)
    for (let shift = 0; shift < shifts; shift++) {
      const at = (shift << 4) + (lane << 2);
      offer(first, second + lane, shift, load<f32>(QX + at), load<f32>(Q2 + at));
    }
}

/** Scores from which on splits are offered, by the highest one of each lane and the sum of all weights. */
function limitOf(highest: v128, weight: f32): v128 {
  const most = f32x4.extract_lane(spread(highest, true), 0);
  const exact = most > LEAST_SCORE && most < MOST_SCORE && weight > LEAST_WEIGHT && weight < MOST_WEIGHT;
  return f32x4.splat(exact ? most * NEAR : -Infinity);
}

/** Whether one of the scores at `at` is not below the limit; those without a limit are no numbers, too. */
// @inline
function isNear(at: usize, limit: v128): bool {
  return v128.any_true(f32x4.ge(v128.load(at), limit));
}

// @inline
function squared(sum: v128, value: f32): v128 {
  return f32x4.mul(f32x4.mul(sum, f32x4.splat(value)), f32x4.splat(value));
}

/** Sum over three parts, each times its value. */
// @inline
function parts(low: v128, middle: v128, high: v128, a: f32, b: f32, c: f32): v128 {
  const two = f32x4.add(f32x4.mul(low, f32x4.splat(a)), f32x4.mul(middle, f32x4.splat(b)));
  return f32x4.add(two, f32x4.mul(high, f32x4.splat(c)));
}

// @inline
function partsSquared(low: v128, middle: v128, high: v128, a: f32, b: f32, c: f32): v128 {
  return f32x4.add(f32x4.add(squared(low, a), squared(middle, b)), squared(high, c));
}

/** Sums of four splits of iq1_s from border `first` and those from `second` on; answers the higher of their two scores. */
function sumS(sums: usize, first: i32, second: i32): v128 {
  const from = sums + (first << 2);
  const to = sums + (second << 2);
  const lowX = v128.load32_splat(from);
  const lowW = v128.load32_splat(from, 160);
  const x = v128.load(to);
  const w = v128.load(to, 160);
  const middleX = f32x4.sub(x, lowX);
  const middleW = f32x4.sub(w, lowW);
  const highX = f32x4.sub(v128.load32_splat(sums, 128), x);
  const highW = f32x4.sub(v128.load32_splat(sums, 288), w);
  const up = keep(
    0,
    parts(lowX, middleX, highX, -0.875, 0.125, 1.125),
    partsSquared(lowW, middleW, highW, -0.875, 0.125, 1.125),
  );
  const down = keep(
    1,
    parts(lowX, middleX, highX, -1.125, -0.125, 0.875),
    partsSquared(lowW, middleW, highW, -1.125, -0.125, 0.875),
  );
  return higher(up, down);
}

/** Sums of w q q of one half for four splits. */
// @inline
function halfSquares(all: v128, low: v128, high: v128, value: f32, a: f32, b: f32): v128 {
  const two = f32x4.add(squared(all, value), f32x4.mul(low, f32x4.splat(a)));
  return f32x4.add(two, f32x4.mul(high, f32x4.splat(b)));
}

/** Sums of four splits of iq1_m, as `sumS`; answers the highest of their four scores. */
function sumM(sums: usize, i: i32, k: i32): v128 {
  const first = sums + (i << 2);
  const second = sums + (k << 2);
  const all0 = v128.load32_splat(sums, 64);
  const all1 = v128.load32_splat(sums, 160);
  const w0 = v128.load32_splat(sums, 256);
  const w1 = v128.load32_splat(sums, 352);
  const up = f32x4.splat(1.125);
  const down = f32x4.splat(0.875);
  const both0 = f32x4.add(v128.load32_splat(first), v128.load(second));
  const both1 = f32x4.add(v128.load32_splat(first, 96), v128.load(second, 96));
  const up0 = f32x4.sub(f32x4.mul(all0, up), both0);
  const up1 = f32x4.sub(f32x4.mul(all1, up), both1);
  const down0 = f32x4.sub(f32x4.mul(all0, down), both0);
  const down1 = f32x4.sub(f32x4.mul(all1, down), both1);
  const low0 = v128.load32_splat(first, 192);
  const low1 = v128.load32_splat(first, 288);
  const high0 = v128.load(second, 192);
  const high1 = v128.load(second, 288);
  const squaresUp0 = halfSquares(w0, low0, high0, 1.125, 0.75, -1.25);
  const squaresUp1 = halfSquares(w1, low1, high1, 1.125, 0.75, -1.25);
  const squaresDown0 = halfSquares(w0, low0, high0, 0.875, 1.25, -0.75);
  const squaresDown1 = halfSquares(w1, low1, high1, 0.875, 1.25, -0.75);
  const a = keep(0, f32x4.add(up0, up1), f32x4.add(squaresUp0, squaresUp1));
  const b = keep(1, f32x4.add(up0, down1), f32x4.add(squaresUp0, squaresDown1));
  const c = keep(2, f32x4.add(down0, up1), f32x4.add(squaresDown0, squaresUp1));
  const d = keep(3, f32x4.add(down0, down1), f32x4.add(squaresDown0, squaresDown1));
  return f32x4.pmax(higher(a, b), higher(c, d));
}

// @inline
function sumsOf(sums: usize, i: i32, k: i32, length: i32): v128 {
  return length === 32 ? sumS(sums, i, k) : sumM(sums, i, k);
}

/** Searches all splits of `length` sorted values. */
// @inline
function searchSplits(sums: usize, length: i32): i32 {
  bestScore = -f32.MAX_VALUE;
  bestShift = -1;
  let highest = f32x4.splat(0);
  let at = SCORES;
  for (let i = 0; i <= length; i++)
    for (let k = i; k <= length; k += 4, at += 16) {
      const scores = sumsOf(sums, i, k, length);
      highest = f32x4.pmax(highest, scores);
      v128.store(at, scores);
    }
  const weight = length === 32 ? load<f32>(sums, 288) : load<f32>(sums, 256) + load<f32>(sums, 352);
  const limit = limitOf(highest, weight);
  at = SCORES;
  for (let i = 0; i <= length; i++)
    for (let k = i; k <= length; k += 4, at += 16) {
      if (!isNear(at, limit)) continue;
      sumsOf(sums, i, k, length);
      offerKept(i, k, length === 32 ? 2 : 4);
    }
  return bestShift;
}

/**
 * Searches all splits of the sorted values of a sub-block. 32 of them, iq1_s: 33 sums of w x, and 40 floats on of w. 16, iq1_m:
 * 17 sums each of w x and w of both halves, 24 floats apart. NaN behind them. Answers the shift, or that of both halves; -1 if
 * there is no split.
 */
export function trySplits(sums: usize, length: i32): i32 {
  return length === 32 ? searchSplits(sums, 32) : searchSplits(sums, 16);
}
