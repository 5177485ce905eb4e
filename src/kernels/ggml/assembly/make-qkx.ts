/** `make_qkx2_quants` and `make_qkx3_quants`: scale and minimum of groups, as `lanes.ts` has them. AssemblyScript. */
import {
  CONSTANTS,
  magicNumber,
  nearestInts,
  nearestWithin,
  roundWithin,
  storeBytes,
  TRIAL,
  W,
  W2,
  WX,
  X,
  X2,
} from "./lanes";

/** Codes of [0, top] of one value each, where `areRoundable` says so. */
// @inline
function level(x: v128, iscale: v128, min: v128, top: v128, magic: v128): v128 {
  return roundWithin(f32x4.mul(iscale, f32x4.sub(x, min)), f32x4.splat(0), top, magic);
}

/** The same of any values. */
// @inline
function anyLevel(x: v128, iscale: v128, min: v128, top: v128): v128 {
  return nearestWithin(f32x4.mul(iscale, f32x4.sub(x, min)), i32x4.splat(0), i32x4.trunc_sat_f32x4_s(top));
}

/** Whether the codes of all values between these two can be had by `roundWithin`; lanes of `flat` do not count. */
// @inline
function areRoundable(iscale: v128, least: v128, most: v128, min: v128, flat: v128): bool {
  const limit = v128.load32_splat(CONSTANTS, 4);
  const low = f32x4.lt(f32x4.abs(f32x4.mul(iscale, f32x4.sub(least, min))), limit);
  const high = f32x4.lt(f32x4.abs(f32x4.mul(iscale, f32x4.sub(most, min))), limit);
  return i32x4.all_true(v128.or(v128.and(low, high), flat));
}

/** Sums of w l, w l l and w l x of both sets. */
let sumL: v128 = i32x4.splat(0);
let sumL2: v128 = i32x4.splat(0);
let sumXl: v128 = i32x4.splat(0);
let otherL: v128 = i32x4.splat(0);
let otherL2: v128 = i32x4.splat(0);
let otherXl: v128 = i32x4.splat(0);

/** Codes of any values of one set, and their sums. */
function tryAny(end: usize, values: usize, weights: usize, codes: usize, iscale: v128, min: v128, top: v128): void {
  let l1 = f32x4.splat(0);
  let l2 = l1;
  let xl = l1;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(values + at);
    const l = anyLevel(x, iscale, min, top);
    v128.store(codes + at, l);
    const w = f32x4.mul(v128.load(weights + at), l);
    l1 = f32x4.add(l1, w);
    l2 = f32x4.add(l2, f32x4.mul(w, l));
    xl = f32x4.add(xl, f32x4.mul(w, x));
  }
  sumL = l1;
  sumL2 = l2;
  sumXl = xl;
}

/** Codes of any values of both sets into `TRIAL` and `WX`, and their sums. */
function tryAnyLevels(end: usize, iscale: v128, min: v128, other: v128, otherMin: v128, top: v128): void {
  tryAny(end, X2, W2, WX, other, otherMin, top);
  otherL = sumL;
  otherL2 = sumL2;
  otherXl = sumXl;
  tryAny(end, X, W, TRIAL, iscale, min, top);
}

/** The same where all values are roundable; the chains of sums do not wait for each other. */
// @inline
function tryLevels(end: usize, iscale: v128, min: v128, other: v128, otherMin: v128, top: v128): void {
  let l1 = f32x4.splat(0);
  let l2 = l1;
  let xl = l1;
  let m1 = l1;
  let m2 = l1;
  let xm = l1;
  const magic = magicNumber();
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(at, X);
    const l = level(x, iscale, min, top, magic);
    v128.store(at, l, TRIAL);
    const w = f32x4.mul(v128.load(at, W), l);
    l1 = f32x4.add(l1, w);
    l2 = f32x4.add(l2, f32x4.mul(w, l));
    xl = f32x4.add(xl, f32x4.mul(w, x));
    const y = v128.load(at, X2);
    const m = level(y, other, otherMin, top, magic);
    v128.store(at, m, WX);
    const v = f32x4.mul(v128.load(at, W2), m);
    m1 = f32x4.add(m1, v);
    m2 = f32x4.add(m2, f32x4.mul(v, m));
    xm = f32x4.add(xm, f32x4.mul(v, y));
  }
  sumL = l1;
  sumL2 = l2;
  sumXl = xl;
  otherL = m1;
  otherL2 = m2;
  otherXl = xm;
}

/** Weighted error of four values of codes that were tried. */
// @inline
function weightedCost(x: v128, w: v128, code: v128, scale: v128, min: v128, absolute: bool): v128 {
  const difference = f32x4.sub(f32x4.add(f32x4.mul(scale, code), min), x);
  return f32x4.mul(w, absolute ? f32x4.abs(difference) : f32x4.mul(difference, difference));
}

/** Errors of both sets. */
let error: v128 = i32x4.splat(0);
let otherError: v128 = i32x4.splat(0);

/** Weighted errors of the codes that were tried. */
// @inline
function sumErrors(end: usize, scale: v128, min: v128, other: v128, otherMin: v128, absolute: bool): void {
  let a = f32x4.splat(0);
  let b = a;
  for (let at: usize = 0; at < end; at += 16) {
    a = f32x4.add(a, weightedCost(v128.load(at, X), v128.load(at, W), v128.load(at, TRIAL), scale, min, absolute));
    b = f32x4.add(b, weightedCost(v128.load(at, X2), v128.load(at, W2), v128.load(at, WX), other, otherMin, absolute));
  }
  error = a;
  otherError = b;
}

// @inline
function finalLevel(at: usize, iscale: v128, min: v128, top: i32, flat: v128): v128 {
  const scaled = f32x4.mul(iscale, f32x4.sub(v128.load(at), min));
  return v128.andnot(nearestInts(scaled, i32x4.splat(0), i32x4.splat(top)), flat);
}

/** What is known of each of two sets while it is searched: vectors of a lane a group, by their place. */
const STATE: usize = 4416;
const OTHER: usize = STATE + 208;
const LEAST: usize = 0;
const MAX: usize = 16;
const FLAT_MIN: usize = 32;
const FLAT: usize = 48;
const SUM_W: usize = 64;
const SUM_X: usize = 80;
const BEST: usize = 96;
const SCALE: usize = 112;
const MIN: usize = 128;
const CHOSEN: usize = 144;
const CHOSEN_MIN: usize = 160;
const TRIED_SCALE: usize = 176;
const TRIED_MIN: usize = 192;

function startSet(state: usize, end: usize, values: usize, weights: usize): void {
  let least = v128.load(values);
  let max = least;
  let sumW = v128.load(weights);
  let sumX = f32x4.mul(sumW, least);
  for (let at: usize = 16; at < end; at += 16) {
    const x = v128.load(values + at);
    const w = v128.load(weights + at);
    least = f32x4.pmin(least, x);
    max = f32x4.pmax(max, x);
    sumW = f32x4.add(sumW, w);
    sumX = f32x4.add(sumX, f32x4.mul(w, x));
  }
  const flatMin = f32x4.pmin(least, f32x4.splat(0));
  v128.store(state, least, LEAST);
  v128.store(state, max, MAX);
  v128.store(state, flatMin, FLAT_MIN);
  v128.store(state, f32x4.eq(max, flatMin), FLAT);
  v128.store(state, sumW, SUM_W);
  v128.store(state, sumX, SUM_X);
  v128.store(state, flatMin, MIN);
  v128.store(state, flatMin, CHOSEN_MIN);
}

/** The inverse scale under which the values from the minimum on take so many codes. */
// @inline
function inverseScale(state: usize, codes: v128): v128 {
  return f32x4.div(codes, f32x4.sub(v128.load(state, MAX), v128.load(state, MIN)));
}

// @inline
function isRoundable(state: usize, iscale: v128): bool {
  const least = v128.load(state, LEAST);
  return areRoundable(iscale, least, v128.load(state, MAX), v128.load(state, MIN), v128.load(state, FLAT));
}

/** Scale and minimum of least error for codes with these sums; answers the lanes that have one. */
// @inline
function solve(state: usize, l1: v128, l2: v128, xl: v128): v128 {
  const zero = f32x4.splat(0);
  const sumW = v128.load(state, SUM_W);
  const sumX = v128.load(state, SUM_X);
  const determinant = f32x4.sub(f32x4.mul(sumW, l2), f32x4.mul(l1, l1));
  const scale = f32x4.div(f32x4.sub(f32x4.mul(sumW, xl), f32x4.mul(sumX, l1)), determinant);
  const min = f32x4.div(f32x4.sub(f32x4.mul(l2, sumX), f32x4.mul(l1, xl)), determinant);
  const above = f32x4.gt(min, zero);
  v128.store(state, v128.bitselect(f32x4.div(xl, l2), scale, above), TRIED_SCALE);
  v128.store(state, v128.andnot(min, above), TRIED_MIN);
  return f32x4.gt(determinant, zero);
}

/** Takes over what was tried in place of what was best. */
// @inline
function replaceWhere(state: usize, place: usize, tried: v128, better: v128): void {
  v128.store(state + place, v128.bitselect(tried, v128.load(state + place), better));
}

// @inline
function adopt(state: usize, iscale: v128, tried: v128, regular: v128): void {
  const better = v128.and(regular, f32x4.lt(tried, v128.load(state, BEST)));
  replaceWhere(state, CHOSEN, iscale, better);
  replaceWhere(state, CHOSEN_MIN, v128.load(state, MIN), better);
  replaceWhere(state, BEST, tried, better);
  replaceWhere(state, SCALE, v128.load(state, TRIED_SCALE), better);
  replaceWhere(state, MIN, v128.load(state, TRIED_MIN), better);
}

/** The first scales, of all codes from the smallest value to the largest. */
// @inline
function tryFirst(end: usize, topF: v128, absolute: bool): void {
  const one = f32x4.splat(1);
  const min = v128.load(STATE, MIN);
  const otherMin = v128.load(OTHER, MIN);
  const iscale = inverseScale(STATE, topF);
  const other = inverseScale(OTHER, topF);
  const scale = f32x4.div(one, iscale);
  const otherScale = f32x4.div(one, other);
  tryAnyLevels(end, iscale, min, other, otherMin, topF);
  sumErrors(end, scale, min, otherScale, otherMin, absolute);
  v128.store(STATE, iscale, CHOSEN);
  v128.store(OTHER, other, CHOSEN);
  v128.store(STATE, scale, SCALE);
  v128.store(OTHER, otherScale, SCALE);
  v128.store(STATE, error, BEST);
  v128.store(OTHER, otherError, BEST);
}

/** Codes are made again in the end from the scale and the minimum that they were tried with. */
// @inline
function storeSet(state: usize, from: usize, n: i32, top: i32, to: usize): void {
  const chosen = v128.load(state, CHOSEN);
  const min = v128.load(state, CHOSEN_MIN);
  const flat = v128.load(state, FLAT);
  for (let at = from; at < from + <usize>(n << 4); at += 64, to += 4) {
    const a = finalLevel(at, chosen, min, top, flat);
    const b = finalLevel(at + 16, chosen, min, top, flat);
    const c = finalLevel(at + 32, chosen, min, top, flat);
    const d = finalLevel(at + 48, chosen, min, top, flat);
    storeBytes(a, b, c, d, to, n);
  }
}

// @inline
function scalesOf(state: usize): v128 {
  return v128.andnot(v128.load(state, SCALE), v128.load(state, FLAT));
}

// @inline
function minsOf(state: usize): v128 {
  return f32x4.neg(v128.bitselect(v128.load(state, FLAT_MIN), v128.load(state, MIN), v128.load(state, FLAT)));
}

/**
 * `make_qkx2_quants` and `make_qkx3_quants` of two sets of four groups: codes at `to`, floats at `scales` and `mins` (not
 * negative) of x = scale * l - min. A search waits for its own results, so two are on their way at once.
 */
// @inline
function makeQkxWith(
  n: i32,
  top: i32,
  first: f32,
  step: f32,
  steps: i32,
  absolute: bool,
  to: usize,
  scales: usize,
  mins: usize,
): void {
  const end = <usize>(n << 4);
  const topF = f32x4.splat(<f32>top);
  startSet(STATE, end, X, W);
  startSet(OTHER, end, X2, W2);
  tryFirst(end, topF, absolute);
  for (let i = 0; i <= steps; i++) {
    const codes = f32x4.splat(first + step * <f32>i + <f32>top);
    const iscale = inverseScale(STATE, codes);
    const other = inverseScale(OTHER, codes);
    const min = v128.load(STATE, MIN);
    const otherMin = v128.load(OTHER, MIN);
    if (isRoundable(STATE, iscale) && isRoundable(OTHER, other)) tryLevels(end, iscale, min, other, otherMin, topF);
    else tryAnyLevels(end, iscale, min, other, otherMin, topF);
    const regular = solve(STATE, sumL, sumL2, sumXl);
    const otherRegular = solve(OTHER, otherL, otherL2, otherXl);
    const scale = v128.load(STATE, TRIED_SCALE);
    const triedMin = v128.load(STATE, TRIED_MIN);
    sumErrors(end, scale, triedMin, v128.load(OTHER, TRIED_SCALE), v128.load(OTHER, TRIED_MIN), absolute);
    adopt(STATE, iscale, error, regular);
    adopt(OTHER, other, otherError, otherRegular);
  }
  storeSet(STATE, X, n, top, to);
  storeSet(OTHER, X2, n, top, to + <usize>(n << 2));
  v128.store(scales, scalesOf(STATE));
  v128.store(scales, scalesOf(OTHER), 16);
  v128.store(mins, minsOf(STATE));
  v128.store(mins, minsOf(OTHER), 16);
}

/** With squared errors. */
export function makeQkx(
  n: i32,
  top: i32,
  first: f32,
  step: f32,
  steps: i32,
  to: usize,
  scales: usize,
  mins: usize,
): void {
  if (n === 32) makeQkxWith(32, top, first, step, steps, false, to, scales, mins);
  else makeQkxWith(16, top, first, step, steps, false, to, scales, mins);
}

/** With absolute errors, of groups of 16 values with two bits. */
export function makeQkxAbsolute(to: usize, scales: usize, mins: usize): void {
  makeQkxWith(16, 3, -0.5, 0.1, 15, true, to, scales, mins);
}
