/**
 * The searches of `searches.ts` on four groups at a time: a lane is a group, so each keeps ggml's order of sums. Values,
 * weights and codes lie transposed, value i of all four groups in 16 bytes. AssemblyScript.
 */
import { narrow } from "./block";
import { EPSILON } from "./scalar";

/** Scratch of up to 32 values of four groups. */
export const X: usize = 1024;
export const W: usize = X + 512;
/** Codes of the tried scale as float32. */
const TRIAL: usize = W + 512;
/** Weights times values. */
const WX: usize = TRIAL + 512;
/** 1.5 * 2^23, 2^22. In memory: a constant vector would be put together again in every turn of a loop. */
const CONSTANTS = memory.data<f32>([12582912, 4194304, reinterpret<f32>(0x7fffff), reinterpret<f32>(0x400000)]);

/** Adding it and taking it away again rounds what is below 2^22. */
// @inline
function magicNumber(): v128 {
  return v128.load32_splat(CONSTANTS);
}

/** Results of the searches, one lane a group. */
export let scales: v128 = f32x4.splat(0);
export let mins: v128 = f32x4.splat(0);

/** ggml's `nearest_int`. */
// @inline
export function nearestFour(value: v128): v128 {
  const pushed = f32x4.add(value, v128.load32_splat(CONSTANTS));
  return i32x4.sub(v128.and(pushed, v128.load32_splat(CONSTANTS, 8)), v128.load32_splat(CONSTANTS, 12));
}

/** The same, held in [low, high]. */
export function nearestInts(value: v128, low: v128, high: v128): v128 {
  return i32x4.max_s(i32x4.min_s(nearestFour(value), high), low);
}

/** The same as float32. */
function nearestWithin(value: v128, low: v128, high: v128): v128 {
  return f32x4.convert_i32x4_s(nearestInts(value, low, high));
}

/** Transposes `n` values each of four groups, `stride` bytes apart. */
export function gather(from: usize, stride: usize, n: i32, to: usize): void {
  for (let i: usize = 0; i < <usize>(n << 2); i += 16, to += 64) {
    const a = v128.load(from + i);
    const b = v128.load(from + stride + i);
    const c = v128.load(from + 2 * stride + i);
    const d = v128.load(from + 3 * stride + i);
    const ab = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const cd = i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const ab2 = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const cd2 = i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    v128.store(to, i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
    v128.store(to, i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 16);
    v128.store(to, i8x16.shuffle(ab2, cd2, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), 32);
    v128.store(to, i8x16.shuffle(ab2, cd2, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 48);
  }
}

/** Sums of squares of the values. */
export function sumSquares(n: i32): v128 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) {
    const x = v128.load(X + at);
    sum = f32x4.add(sum, f32x4.mul(x, x));
  }
  return sum;
}

/** Weights x^2. */
export function weighSquares(n: i32): void {
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) {
    const x = v128.load(X + at);
    v128.store(W + at, f32x4.mul(x, x));
  }
}

/** Weights |x|. */
export function weighMagnitudes(n: i32): void {
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) v128.store(W + at, f32x4.abs(v128.load(X + at)));
}

/** Weights root mean square + |x|. */
export function weighRaised(n: i32): void {
  const end = <usize>(n << 4);
  const mean = f32x4.sqrt(f32x4.div(sumSquares(n), f32x4.splat(<f32>n)));
  for (let at: usize = 0; at < end; at += 16) v128.store(W + at, f32x4.add(mean, f32x4.abs(v128.load(X + at))));
}

/** Weights importance, already in place, times the root of sigma + x^2. */
export function weighImportance(n: i32, sigma: v128): void {
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) {
    const x = v128.load(X + at);
    const root = f32x4.sqrt(f32x4.add(sigma, f32x4.mul(x, x)));
    v128.store(W + at, f32x4.mul(v128.load(W + at), root));
  }
}

/** Sums of the weights. */
export function sumWeights(n: i32): v128 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) sum = f32x4.add(sum, v128.load(W + at));
  return sum;
}

// @inline
function cost(difference: v128, absolute: bool): v128 {
  return absolute ? f32x4.abs(difference) : f32x4.mul(difference, difference);
}

/** ggml's `nearest_int` as float32, held in [low, high], of values below 2^22. */
// @inline
function roundWithin(value: v128, low: v128, high: v128, magic: v128): v128 {
  const near = f32x4.sub(f32x4.add(value, magic), magic);
  return f32x4.pmax(f32x4.pmin(near, high), low);
}

/** Codes of [0, top] of one value each. */
// @inline
function level(at: usize, iscale: v128, min: v128, top: v128, magic: v128, fast: bool): v128 {
  const scaled = f32x4.mul(iscale, f32x4.sub(v128.load(X + at), min));
  if (fast) return roundWithin(scaled, f32x4.splat(0), top, magic);
  return nearestWithin(scaled, i32x4.splat(0), i32x4.trunc_sat_f32x4_s(top));
}

/** Whether the codes of all values between these two can be had by `roundWithin`; lanes of `flat` do not count. */
// @inline
function areRoundable(iscale: v128, least: v128, most: v128, min: v128, flat: v128): bool {
  const limit = v128.load32_splat(CONSTANTS, 4);
  const low = f32x4.lt(f32x4.abs(f32x4.mul(iscale, f32x4.sub(least, min))), limit);
  const high = f32x4.lt(f32x4.abs(f32x4.mul(iscale, f32x4.sub(most, min))), limit);
  return i32x4.all_true(v128.or(v128.and(low, high), flat));
}

let sumL: v128 = i32x4.splat(0);
let sumL2: v128 = i32x4.splat(0);
let sumXl: v128 = i32x4.splat(0);

/** Codes into `TRIAL`, their sums of w l, w l l and w l x. */
// @inline
function tryLevels(end: usize, iscale: v128, min: v128, top: v128, fast: bool): void {
  let l1 = f32x4.splat(0);
  let l2 = f32x4.splat(0);
  let xl = f32x4.splat(0);
  const magic = magicNumber();
  for (let at: usize = 0; at < end; at += 32) {
    const a = level(at, iscale, min, top, magic, fast);
    const b = level(at + 16, iscale, min, top, magic, fast);
    v128.store(TRIAL + at, a);
    v128.store(TRIAL + at, b, 16);
    const wa = f32x4.mul(v128.load(W + at), a);
    const wb = f32x4.mul(v128.load(W + at, 16), b);
    l1 = f32x4.add(f32x4.add(l1, wa), wb);
    l2 = f32x4.add(f32x4.add(l2, f32x4.mul(wa, a)), f32x4.mul(wb, b));
    xl = f32x4.add(f32x4.add(xl, f32x4.mul(wa, v128.load(X + at))), f32x4.mul(wb, v128.load(X + at, 16)));
  }
  sumL = l1;
  sumL2 = l2;
  sumXl = xl;
}

// @inline
function weightedCost(at: usize, scale: v128, min: v128, absolute: bool): v128 {
  const there = f32x4.add(f32x4.mul(scale, v128.load(TRIAL + at)), min);
  return f32x4.mul(v128.load(W + at), cost(f32x4.sub(there, v128.load(X + at)), absolute));
}

/** Weighted error of the codes in `TRIAL`. */
// @inline
function errorOf(end: usize, scale: v128, min: v128, absolute: bool): v128 {
  let error = f32x4.splat(0);
  for (let at: usize = 0; at < end; at += 64) {
    error = f32x4.add(error, weightedCost(at, scale, min, absolute));
    error = f32x4.add(error, weightedCost(at + 16, scale, min, absolute));
    error = f32x4.add(error, weightedCost(at + 32, scale, min, absolute));
    error = f32x4.add(error, weightedCost(at + 48, scale, min, absolute));
  }
  return error;
}

/** Codes of four values of four groups as bytes, each group's `n` bytes behind those of the one before. */
// @inline
function storeBytes(a: v128, b: v128, c: v128, d: v128, to: usize, n: usize): void {
  const mixed = narrow(a, b, c, d);
  const bytes = i8x16.shuffle(mixed, mixed, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  v128.store32_lane(to, bytes, 0);
  v128.store32_lane(to + n, bytes, 1);
  v128.store32_lane(to + 2 * n, bytes, 2);
  v128.store32_lane(to + 3 * n, bytes, 3);
}

// @inline
function finalLevel(at: usize, iscale: v128, min: v128, top: i32, flat: v128): v128 {
  const scaled = f32x4.mul(iscale, f32x4.sub(v128.load(X + at), min));
  return v128.andnot(nearestInts(scaled, i32x4.splat(0), i32x4.splat(top)), flat);
}

/**
 * `make_qkx2_quants` and `make_qkx3_quants`: codes at `to`, `scales` and `mins` (not negative) of x = scale * l - min.
 * Codes are made again in the end from the scale and the minimum that they were tried with.
 */
// @inline
function makeQkxWith(n: i32, top: i32, first: f32, step: f32, steps: i32, absolute: bool, to: usize): void {
  const end = <usize>(n << 4);
  const zero = f32x4.splat(0);
  const topF = f32x4.splat(<f32>top);
  let least = v128.load(X);
  let max = least;
  let sumW = v128.load(W);
  let sumX = f32x4.mul(sumW, least);
  for (let at: usize = 16; at < end; at += 16) {
    const x = v128.load(X + at);
    const w = v128.load(W + at);
    least = f32x4.pmin(least, x);
    max = f32x4.pmax(max, x);
    sumW = f32x4.add(sumW, w);
    sumX = f32x4.add(sumX, f32x4.mul(w, x));
  }
  const flatMin = f32x4.pmin(least, zero);
  const flat = f32x4.eq(max, flatMin);
  let min = flatMin;
  let iscale = f32x4.div(topF, f32x4.sub(max, min));
  let scale = f32x4.div(f32x4.splat(1), iscale);
  let chosen = iscale;
  let chosenMin = min;
  tryLevels(end, iscale, min, topF, false);
  let best = errorOf(end, scale, min, absolute);
  for (let i = 0; i <= steps; i++) {
    iscale = f32x4.div(f32x4.splat(first + step * <f32>i + <f32>top), f32x4.sub(max, min));
    if (areRoundable(iscale, least, max, min, flat)) tryLevels(end, iscale, min, topF, true);
    else tryLevels(end, iscale, min, topF, false);
    const l1 = sumL;
    const l2 = sumL2;
    const xl = sumXl;
    const determinant = f32x4.sub(f32x4.mul(sumW, l2), f32x4.mul(l1, l1));
    const regular = f32x4.gt(determinant, zero);
    let thisScale = f32x4.div(f32x4.sub(f32x4.mul(sumW, xl), f32x4.mul(sumX, l1)), determinant);
    let thisMin = f32x4.div(f32x4.sub(f32x4.mul(l2, sumX), f32x4.mul(l1, xl)), determinant);
    const above = f32x4.gt(thisMin, zero);
    thisScale = v128.bitselect(f32x4.div(xl, l2), thisScale, above);
    thisMin = v128.andnot(thisMin, above);
    const error = errorOf(end, thisScale, thisMin, absolute);
    const better = v128.and(regular, f32x4.lt(error, best));
    chosen = v128.bitselect(iscale, chosen, better);
    chosenMin = v128.bitselect(min, chosenMin, better);
    best = v128.bitselect(error, best, better);
    scale = v128.bitselect(thisScale, scale, better);
    min = v128.bitselect(thisMin, min, better);
  }
  for (let at: usize = 0; at < end; at += 64, to += 4) {
    const a = finalLevel(at, chosen, chosenMin, top, flat);
    const b = finalLevel(at + 16, chosen, chosenMin, top, flat);
    const c = finalLevel(at + 32, chosen, chosenMin, top, flat);
    const d = finalLevel(at + 48, chosen, chosenMin, top, flat);
    storeBytes(a, b, c, d, to, n);
  }
  scales = v128.andnot(scale, flat);
  mins = f32x4.neg(v128.bitselect(flatMin, min, flat));
}

/** With squared errors. */
export function makeQkx(n: i32, top: i32, first: f32, step: f32, steps: i32, to: usize): void {
  if (n === 32) makeQkxWith(32, top, first, step, steps, false, to);
  else makeQkxWith(16, top, first, step, steps, false, to);
}

/** With absolute errors. */
export function makeQkxAbsolute(n: i32, top: i32, first: f32, step: f32, steps: i32, to: usize): void {
  makeQkxWith(n, top, first, step, steps, true, to);
}

/** Sums of w x l and w l l under two scales. */
let sumlx: v128 = f32x4.splat(0);
let suml2: v128 = f32x4.splat(0);
let sumlxOther: v128 = f32x4.splat(0);
let suml2Other: v128 = f32x4.splat(0);

/**
 * Both sums under two scales, whose chains of sums do not wait for each other. Right for values whose magnitude is at most
 * that of the scale's peak.
 */
// @inline
function sumSigned(end: usize, low: v128, high: v128, iscale: v128, other: v128): void {
  const magic = magicNumber();
  let lx = f32x4.splat(0);
  let l2 = lx;
  let lxOther = lx;
  let l2Other = lx;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(X + at);
    const w = v128.load(W + at);
    const wx = v128.load(WX + at);
    const l = roundWithin(f32x4.mul(iscale, x), low, high, magic);
    lx = f32x4.add(lx, f32x4.mul(wx, l));
    l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(w, l), l));
    const m = roundWithin(f32x4.mul(other, x), low, high, magic);
    lxOther = f32x4.add(lxOther, f32x4.mul(wx, m));
    l2Other = f32x4.add(l2Other, f32x4.mul(f32x4.mul(w, m), m));
  }
  sumlx = lx;
  suml2 = l2;
  sumlxOther = lxOther;
  suml2Other = l2Other;
}

/** The value of largest magnitude of each group, the first of equals. */
export function peaks(end: usize): v128 {
  let peak = f32x4.splat(0);
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(X + at);
    peak = v128.bitselect(x, peak, f32x4.gt(f32x4.abs(x), f32x4.abs(peak)));
  }
  return peak;
}

/** A code of [-top, top - 1] with `top` added; 0 in the lanes of `none`. */
// @inline
function signedLevel(at: usize, iscale: v128, top: i32, none: v128): v128 {
  const l = nearestInts(f32x4.mul(iscale, v128.load(X + at)), i32x4.splat(-top), i32x4.splat(top - 1));
  return v128.andnot(i32x4.add(l, i32x4.splat(top)), none);
}

/** Of the scales tried so far the inverse of the best, itself, and how good it is. */
let chosen: v128 = f32x4.splat(0);
let bestScale: v128 = f32x4.splat(0);
let bestScore: v128 = f32x4.splat(0);

/** Takes a scale with those sums where it is better. */
// @inline
function offer(iscale: v128, lx: v128, l2: v128): void {
  const grows = f32x4.gt(f32x4.mul(lx, lx), f32x4.mul(bestScore, l2));
  const better = v128.and(f32x4.gt(l2, f32x4.splat(0)), grows);
  const scale = f32x4.div(lx, l2);
  chosen = v128.bitselect(iscale, chosen, better);
  bestScale = v128.bitselect(scale, bestScale, better);
  bestScore = v128.bitselect(f32x4.mul(scale, lx), bestScore, better);
}

/** Steps of a tenth after the first two scales; the last one twice, since they are tried in pairs. */
const STEPS = memory.data<f32>([-8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);

/** Inverse of the scale that maps the peak so many tenths beyond the lowest code. */
// @inline
function inverse(top: i32, step: f32, peak: v128): v128 {
  return f32x4.div(f32x4.splat(-(<f32>top + <f32>0.1 * step)), peak);
}

// @inline
function makeQxWith(n: i32, top: i32, to: usize): void {
  const end = <usize>(n << 4);
  const low = f32x4.splat(<f32>-top);
  const high = f32x4.splat(<f32>(top - 1));
  const peak = peaks(end);
  const none = f32x4.lt(f32x4.abs(peak), f32x4.splat(EPSILON));
  for (let at: usize = 0; at < end; at += 16) v128.store(WX + at, f32x4.mul(v128.load(W + at), v128.load(X + at)));
  chosen = inverse(top, 0, peak);
  const lowest = inverse(top, -9, peak);
  sumSigned(end, low, high, chosen, lowest);
  bestScale = v128.andnot(f32x4.div(sumlx, suml2), f32x4.eq(suml2, f32x4.splat(0)));
  bestScore = f32x4.mul(bestScale, sumlx);
  offer(lowest, sumlxOther, suml2Other);
  for (let step = STEPS; step < STEPS + 72; step += 8) {
    const a = inverse(top, load<f32>(step), peak);
    const b = inverse(top, load<f32>(step, 4), peak);
    sumSigned(end, low, high, a, b);
    offer(a, sumlx, suml2);
    offer(b, sumlxOther, suml2Other);
  }
  for (let at: usize = 0; at < end; at += 64, to += 4) {
    const a = signedLevel(at, chosen, top, none);
    const b = signedLevel(at + 16, chosen, top, none);
    const c = signedLevel(at + 32, chosen, top, none);
    const d = signedLevel(at + 48, chosen, top, none);
    storeBytes(a, b, c, d, to, n);
  }
  scales = v128.andnot(bestScale, none);
}

/** `make_qx_quants`: codes at `to`, with `top` added (0 where the group is zero), and `scales` of x = scale * l. */
export function makeQx(n: i32, top: i32, to: usize): void {
  if (n === 32) makeQxWith(32, top, to);
  else makeQxWith(16, top, to);
}

/** Values and float32 codes of 16 values of 16 groups, transposed in sets of four groups, and the sums of each set. */
export const SETS: usize = 32768;
const SET: usize = 256;
const SET_CODES: usize = SETS + 1024;
const SET_SUMS: usize = SET_CODES + 1024;
/** Which lanes of each set had a code moved in this round, and the numbers of the sets that are not done. */
const SET_MOVES: usize = SET_SUMS + 128;
const ACTIVE: usize = SET_MOVES + 64;

/** First codes of a set and their sums; answers its peaks. */
function startSet(set: usize): v128 {
  const src = SETS + set * SET;
  let peak = f32x4.splat(0);
  for (let at = src; at < src + SET; at += 16) {
    const x = v128.load(at);
    peak = v128.bitselect(x, peak, f32x4.gt(f32x4.abs(x), f32x4.abs(peak)));
  }
  const iscale = f32x4.div(f32x4.splat(-4), peak);
  const low = f32x4.splat(-4);
  const high = f32x4.splat(3);
  const magic = magicNumber();
  let lx = f32x4.splat(0);
  let l2 = f32x4.splat(0);
  for (let at = src; at < src + SET; at += 16) {
    const x = v128.load(at);
    const w = f32x4.mul(x, x);
    const l = roundWithin(f32x4.mul(iscale, x), low, high, magic);
    v128.store(at, l, 1024);
    lx = f32x4.add(lx, f32x4.mul(f32x4.mul(w, x), l));
    l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(w, l), l));
  }
  v128.store(SET_SUMS + (set << 5), lx);
  v128.store(SET_SUMS + (set << 5), l2, 16);
  return peak;
}

/** Moves the codes of one value of the four groups of a set where that lessens the error. */
// @inline
function improve(set: usize, value: usize): void {
  const at = SETS + set * SET + value;
  const sums = SET_SUMS + (set << 5);
  const moved = SET_MOVES + (set << 4);
  const zero = f32x4.splat(0);
  const x = v128.load(at);
  const old = v128.load(at, 1024);
  const w = f32x4.mul(x, x);
  const wx = f32x4.mul(w, x);
  const sumlx = v128.load(sums);
  const suml2 = v128.load(sums, 16);
  let lx = f32x4.sub(sumlx, f32x4.mul(wx, old));
  let moves = f32x4.gt(lx, zero);
  let l2 = f32x4.sub(suml2, f32x4.mul(f32x4.mul(w, old), old));
  const l = nearestWithin(f32x4.div(f32x4.mul(x, l2), lx), i32x4.splat(-4), i32x4.splat(3));
  moves = v128.and(moves, f32x4.ne(l, old));
  // After the first round most values stay.
  if (!v128.any_true(moves)) return;
  lx = f32x4.add(lx, f32x4.mul(wx, l));
  l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(w, l), l));
  const now = f32x4.mul(f32x4.mul(lx, lx), suml2);
  const before = f32x4.mul(f32x4.mul(sumlx, sumlx), l2);
  moves = v128.and(moves, v128.and(f32x4.gt(l2, zero), f32x4.gt(now, before)));
  v128.store(at, v128.bitselect(l, old, moves), 1024);
  v128.store(sums, v128.bitselect(lx, sumlx, moves));
  v128.store(sums, v128.bitselect(l2, suml2, moves), 16);
  v128.store(moved, v128.or(v128.load(moved), moves));
}

/** One round of `make_q3_quants` on so many sets, whose chains of sums do not wait for each other. Answers how many are not done. */
function improveSets(count: usize): usize {
  for (let at = SET_MOVES; at < ACTIVE; at += 16) v128.store(at, i32x4.splat(0));
  for (let value: usize = 0; value < SET; value += 16)
    for (let k: usize = 0; k < count; k++) improve(<usize>load<u32>(ACTIVE + (k << 2)), value);
  let left: usize = 0;
  for (let k: usize = 0; k < count; k++) {
    const set = load<u32>(ACTIVE + (k << 2));
    if (v128.any_true(v128.load(SET_MOVES + ((<usize>set) << 4)))) store<u32>(ACTIVE + (left++ << 2), set);
  }
  return left;
}

// @inline
function setLevel(at: usize, none: v128): v128 {
  return v128.andnot(i32x4.add(i32x4.trunc_sat_f32x4_s(v128.load(at, 1024)), i32x4.splat(4)), none);
}

/** Codes of a set as bytes; answers its scales. */
function endSet(set: usize, peak: v128, to: usize): v128 {
  const src = SETS + set * SET;
  const none = f32x4.lt(f32x4.abs(peak), f32x4.splat(EPSILON));
  for (let at = src; at < src + SET; at += 64, to += 4)
    storeBytes(setLevel(at, none), setLevel(at + 16, none), setLevel(at + 32, none), setLevel(at + 48, none), to, 16);
  const lx = v128.load(SET_SUMS + (set << 5));
  const l2 = v128.load(SET_SUMS + (set << 5), 16);
  return v128.and(f32x4.div(lx, l2), v128.andnot(f32x4.gt(l2, f32x4.splat(0)), none));
}

/**
 * `make_q3_quants` of the 16 groups in `SETS`, codes improved one by one in at most five rounds; a lane that is done stays
 * as it is. Codes, 4 added, go to `to`, scales to `scalesTo`.
 */
export function makeQ3(to: usize, scalesTo: usize): void {
  const a = startSet(0);
  const b = startSet(1);
  const c = startSet(2);
  const d = startSet(3);
  let count: usize = 4;
  for (let set: u32 = 0; set < 4; set++) store<u32>(ACTIVE + ((<usize>set) << 2), set);
  for (let round = 0; round < 5 && count > 0; round++) count = improveSets(count);
  v128.store(scalesTo, endSet(0, a, to));
  v128.store(scalesTo, endSet(1, b, to + 64), 16);
  v128.store(scalesTo, endSet(2, c, to + 128), 32);
  v128.store(scalesTo, endSet(3, d, to + 192), 48);
}
