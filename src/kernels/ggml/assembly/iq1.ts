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

/** Scores of four splits, 0 or no number for those without one. */
// @inline
function scoresOf(qx: v128, q2: v128): v128 {
  return v128.and(f32x4.div(f32x4.mul(qx, qx), q2), f32x4.gt(q2, f32x4.splat(0)));
}

/** Keeps the sums of four splits. */
// @inline
function keep(shift: i32, qx: v128, q2: v128): void {
  v128.store(shift << 4, qx, QX);
  v128.store(shift << 4, q2, Q2);
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

// @inline
function times(sum: v128, value: f32): v128 {
  return f32x4.mul(sum, f32x4.splat(value));
}

/** Where sums of w begin behind those of w x: of iq1_s, and of both halves of iq1_m, whose second sums of w x lie between. */
const W_OF_S: usize = 160;
const X1: usize = 96;
const W0: usize = 192;
const W1: usize = 288;

/** Scores of four splits of iq1_s, the higher ones of both shifts. Order of operations as in C. */
// @inline
function scoresOfS(
  to: usize,
  low: v128,
  lowWeight: v128,
  upX: v128,
  upW: v128,
  downX: v128,
  downW: v128,
  all: v128,
  weight: v128,
  keeps: bool,
): v128 {
  const x = v128.load(to);
  const w = v128.load(to, W_OF_S);
  const highX = f32x4.sub(all, x);
  const highW = f32x4.sub(weight, w);
  // an eighth of the middle counts under both shifts, with one sign or the other
  const eighth = times(f32x4.sub(x, low), 0.125);
  const squares = squared(f32x4.sub(w, lowWeight), 0.125);
  const sumUp = f32x4.add(f32x4.add(upX, eighth), times(highX, 1.125));
  const squaresUp = f32x4.add(f32x4.add(upW, squares), squared(highW, 1.125));
  const sumDown = f32x4.add(f32x4.sub(downX, eighth), times(highX, 0.875));
  const squaresDown = f32x4.add(f32x4.add(downW, squares), squared(highW, 0.875));
  if (!keeps) return higher(scoresOf(sumUp, squaresUp), scoresOf(sumDown, squaresDown));
  keep(0, sumUp, squaresUp);
  keep(1, sumDown, squaresDown);
  return sumUp;
}

/** Scores of all splits of iq1_s whose first border is `from`, at `at` and behind; or of one, whose sums are kept. */
// @inline
function splitsS(sums: usize, from: usize, to: usize, end: usize, at: usize, keeps: bool): v128 {
  const low = v128.load32_splat(from);
  const lowWeight = v128.load32_splat(from, W_OF_S);
  const all = v128.load32_splat(sums, 128);
  const weight = v128.load32_splat(sums, W_OF_S + 128);
  const upX = times(low, -0.875);
  const upW = squared(lowWeight, -0.875);
  const downX = times(low, -1.125);
  const downW = squared(lowWeight, -1.125);
  let highest = f32x4.splat(0);
  for (; to <= end; to += 16, at += 16) {
    const scores = scoresOfS(to, low, lowWeight, upX, upW, downX, downW, all, weight, keeps);
    highest = f32x4.pmax(highest, scores);
    if (!keeps) v128.store(at, scores);
  }
  return highest;
}

/** What one half of iq1_m adds to sums of w q q under one shift. */
// @inline
function halfSquares(from: usize, sums: usize, place: usize, value: f32, a: f32): v128 {
  return f32x4.add(squared(v128.load32_splat(sums + place, 64), value), times(v128.load32_splat(from + place), a));
}

/** The same of iq1_m, whose halves have shifts of their own. */
// @inline
function splitsM(sums: usize, from: usize, to: usize, end: usize, at: usize, keeps: bool): v128 {
  const low0 = v128.load32_splat(from);
  const low1 = v128.load32_splat(from, X1);
  const allUp0 = times(v128.load32_splat(sums, 64), 1.125);
  const allUp1 = times(v128.load32_splat(sums, X1 + 64), 1.125);
  const allDown0 = times(v128.load32_splat(sums, 64), 0.875);
  const allDown1 = times(v128.load32_splat(sums, X1 + 64), 0.875);
  const lowUp0 = halfSquares(from, sums, W0, 1.125, 0.75);
  const lowUp1 = halfSquares(from, sums, W1, 1.125, 0.75);
  const lowDown0 = halfSquares(from, sums, W0, 0.875, 1.25);
  const lowDown1 = halfSquares(from, sums, W1, 0.875, 1.25);
  let highest = f32x4.splat(0);
  for (; to <= end; to += 16, at += 16) {
    const both0 = f32x4.add(low0, v128.load(to));
    const both1 = f32x4.add(low1, v128.load(to, X1));
    const high0 = v128.load(to, W0);
    const high1 = v128.load(to, W1);
    const up0 = f32x4.sub(allUp0, both0);
    const up1 = f32x4.sub(allUp1, both1);
    const down0 = f32x4.sub(allDown0, both0);
    const down1 = f32x4.sub(allDown1, both1);
    const squaresUp0 = f32x4.add(lowUp0, times(high0, -1.25));
    const squaresUp1 = f32x4.add(lowUp1, times(high1, -1.25));
    const squaresDown0 = f32x4.add(lowDown0, times(high0, -0.75));
    const squaresDown1 = f32x4.add(lowDown1, times(high1, -0.75));
    const upUp = f32x4.add(squaresUp0, squaresUp1);
    const upDown = f32x4.add(squaresUp0, squaresDown1);
    const downUp = f32x4.add(squaresDown0, squaresUp1);
    const downDown = f32x4.add(squaresDown0, squaresDown1);
    if (keeps) {
      keep(0, f32x4.add(up0, up1), upUp);
      keep(1, f32x4.add(up0, down1), upDown);
      keep(2, f32x4.add(down0, up1), downUp);
      keep(3, f32x4.add(down0, down1), downDown);
    } else {
      const two = higher(scoresOf(f32x4.add(up0, up1), upUp), scoresOf(f32x4.add(up0, down1), upDown));
      const others = higher(scoresOf(f32x4.add(down0, up1), downUp), scoresOf(f32x4.add(down0, down1), downDown));
      const scores = f32x4.pmax(two, others);
      highest = f32x4.pmax(highest, scores);
      v128.store(at, scores);
    }
  }
  return highest;
}

/** Puts the scores of all splits from `SCORES` on; answers the highest of each lane. */
// @inline
function scoreAll(sums: usize, length: i32): v128 {
  let highest = f32x4.splat(0);
  let at = SCORES;
  const end = sums + (length << 2);
  for (let from = sums; from <= end; from += 4) {
    const scores =
      length === 32 ? splitsS(sums, from, from, end, at, false) : splitsM(sums, from, from, end, at, false);
    highest = f32x4.pmax(highest, scores);
    at += 16 * (1 + ((end - from) >> 4));
  }
  return highest;
}

/** Keeps the sums of four splits. */
function keepSplits(sums: usize, i: i32, k: i32, length: i32): void {
  const from = sums + (i << 2);
  const to = sums + (k << 2);
  if (length === 32) splitsS(sums, from, to, to, 0, true);
  else splitsM(sums, from, to, to, 0, true);
}

/** Searches all splits of `length` sorted values. */
// @inline
function searchSplits(sums: usize, length: i32): i32 {
  bestScore = -f32.MAX_VALUE;
  bestShift = -1;
  const weight = length === 32 ? load<f32>(sums, W_OF_S + 128) : load<f32>(sums, W0 + 64) + load<f32>(sums, W1 + 64);
  const limit = limitOf(scoreAll(sums, length), weight);
  let at = SCORES;
  for (let i = 0; i <= length; i++)
    for (let k = i; k <= length; k += 4, at += 16) {
      if (!isNear(at, limit)) continue;
      keepSplits(sums, i, k, length);
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
