/** `make_qx_quants` and `make_q3_quants`: scales of groups, as `lanes.ts` has them. AssemblyScript. */
import { magicNumber, nearestInts, nearestWithin, roundWithin, storeBytes, W, WX, X } from "./lanes";
import { EPSILON } from "./scalar";

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
function makeQxWith(n: i32, top: i32, to: usize): v128 {
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
  return v128.andnot(bestScale, none);
}

/** `make_qx_quants`: codes at `to`, with `top` added (0 where the group is zero); answers the scales of x = scale * l. */
export function makeQx(n: i32, top: i32, to: usize): v128 {
  return n === 32 ? makeQxWith(32, top, to) : makeQxWith(16, top, to);
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
