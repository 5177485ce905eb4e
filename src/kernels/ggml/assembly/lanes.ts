/**
 * The searches of `searches.ts` on four groups at a time: a lane is a group, so each keeps ggml's order of sums. Values,
 * weights and codes lie transposed, value i of all four groups in 16 bytes. AssemblyScript.
 */
import { EPSILON } from "./scalar";

/** Scratch of up to 32 values of four groups. */
export const X: usize = 1024;
export const W: usize = X + 512;
/** Codes as float32. */
export const CODES: usize = W + 512;
const TRIAL: usize = CODES + 512;

/** Results of the searches, one lane a group. */
export let scales: v128 = f32x4.splat(0);
export let mins: v128 = f32x4.splat(0);

/** ggml's `nearest_int`, held in [low, high]. */
export function nearestInts(value: v128, low: v128, high: v128): v128 {
  const pushed = f32x4.add(value, f32x4.splat(12582912));
  const raw = i32x4.sub(v128.and(pushed, i32x4.splat(0x7fffff)), i32x4.splat(0x400000));
  return i32x4.max_s(i32x4.min_s(raw, high), low);
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

function cost(difference: v128, absolute: bool): v128 {
  return absolute ? f32x4.abs(difference) : f32x4.mul(difference, difference);
}

/** `make_qkx2_quants` and `make_qkx3_quants`: `CODES`, `scales` and `mins` (not negative) of x = scale * l - min. */
export function makeQkx(n: i32, top: i32, first: f32, step: f32, steps: i32, absolute: bool): void {
  const end = <usize>(n << 4);
  const zero = f32x4.splat(0);
  const low = i32x4.splat(0);
  const high = i32x4.splat(top);
  const topF = f32x4.splat(<f32>top);
  let min = v128.load(X);
  let max = min;
  let sumW = v128.load(W);
  let sumX = f32x4.mul(sumW, min);
  for (let at: usize = 16; at < end; at += 16) {
    const x = v128.load(X + at);
    const w = v128.load(W + at);
    min = f32x4.pmin(min, x);
    max = f32x4.pmax(max, x);
    sumW = f32x4.add(sumW, w);
    sumX = f32x4.add(sumX, f32x4.mul(w, x));
  }
  min = f32x4.pmin(min, zero);
  const flat = f32x4.eq(max, min);
  const flatMin = min;
  let iscale = f32x4.div(topF, f32x4.sub(max, min));
  let scale = f32x4.div(f32x4.splat(1), iscale);
  let best = zero;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(X + at);
    const l = nearestWithin(f32x4.mul(iscale, f32x4.sub(x, min)), low, high);
    v128.store(CODES + at, l);
    const difference = f32x4.sub(f32x4.add(f32x4.mul(scale, l), min), x);
    best = f32x4.add(best, f32x4.mul(v128.load(W + at), cost(difference, absolute)));
  }
  for (let i = 0; i <= steps; i++) {
    iscale = f32x4.div(f32x4.splat(first + step * <f32>i + <f32>top), f32x4.sub(max, min));
    let sumL = zero;
    let sumL2 = zero;
    let sumXl = zero;
    for (let at: usize = 0; at < end; at += 16) {
      const x = v128.load(X + at);
      const l = nearestWithin(f32x4.mul(iscale, f32x4.sub(x, min)), low, high);
      v128.store(TRIAL + at, l);
      const wl = f32x4.mul(v128.load(W + at), l);
      sumL = f32x4.add(sumL, wl);
      sumL2 = f32x4.add(sumL2, f32x4.mul(wl, l));
      sumXl = f32x4.add(sumXl, f32x4.mul(wl, x));
    }
    const determinant = f32x4.sub(f32x4.mul(sumW, sumL2), f32x4.mul(sumL, sumL));
    const regular = f32x4.gt(determinant, zero);
    if (!v128.any_true(regular)) continue;
    let thisScale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumXl), f32x4.mul(sumX, sumL)), determinant);
    let thisMin = f32x4.div(f32x4.sub(f32x4.mul(sumL2, sumX), f32x4.mul(sumL, sumXl)), determinant);
    const above = f32x4.gt(thisMin, zero);
    thisScale = v128.bitselect(f32x4.div(sumXl, sumL2), thisScale, above);
    thisMin = v128.andnot(thisMin, above);
    let error = zero;
    for (let at: usize = 0; at < end; at += 16) {
      const scaled = f32x4.mul(thisScale, v128.load(TRIAL + at));
      const difference = f32x4.sub(f32x4.add(scaled, thisMin), v128.load(X + at));
      error = f32x4.add(error, f32x4.mul(v128.load(W + at), cost(difference, absolute)));
    }
    const better = v128.and(regular, f32x4.lt(error, best));
    if (!v128.any_true(better)) continue;
    for (let at: usize = 0; at < end; at += 16)
      v128.store(CODES + at, v128.bitselect(v128.load(TRIAL + at), v128.load(CODES + at), better));
    best = v128.bitselect(error, best, better);
    scale = v128.bitselect(thisScale, scale, better);
    min = v128.bitselect(thisMin, min, better);
  }
  if (v128.any_true(flat))
    for (let at: usize = 0; at < end; at += 16) v128.store(CODES + at, v128.andnot(v128.load(CODES + at), flat));
  scales = v128.andnot(scale, flat);
  mins = f32x4.neg(v128.bitselect(flatMin, min, flat));
}

let sumlx: v128 = f32x4.splat(0);
let suml2: v128 = f32x4.splat(0);

function sumSigned(end: usize, low: v128, high: v128, iscale: v128): void {
  let lx = f32x4.splat(0);
  let l2 = f32x4.splat(0);
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(X + at);
    const w = v128.load(W + at);
    const l = nearestWithin(f32x4.mul(iscale, x), low, high);
    lx = f32x4.add(lx, f32x4.mul(f32x4.mul(w, x), l));
    l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(w, l), l));
  }
  sumlx = lx;
  suml2 = l2;
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

/** `make_qx_quants`: `CODES` (without `top` added; -top where the group is zero) and `scales` of x = scale * l. */
export function makeQx(n: i32, top: i32): void {
  const end = <usize>(n << 4);
  const zero = f32x4.splat(0);
  const low = i32x4.splat(-top);
  const high = i32x4.splat(top - 1);
  const peak = peaks(end);
  const none = f32x4.lt(f32x4.abs(peak), f32x4.splat(EPSILON));
  let chosen = f32x4.div(f32x4.splat(<f32>-top), peak);
  sumSigned(end, low, high, chosen);
  let scale = v128.andnot(f32x4.div(sumlx, suml2), f32x4.eq(suml2, zero));
  let best = f32x4.mul(scale, sumlx);
  for (let step = -9; step <= 9; step++) {
    if (step === 0) continue;
    const iscale = f32x4.div(f32x4.splat(-(<f32>top + <f32>0.1 * <f32>step)), peak);
    sumSigned(end, low, high, iscale);
    const better = v128.and(f32x4.gt(suml2, zero), f32x4.gt(f32x4.mul(sumlx, sumlx), f32x4.mul(best, suml2)));
    if (!v128.any_true(better)) continue;
    chosen = v128.bitselect(iscale, chosen, better);
    scale = v128.bitselect(f32x4.div(sumlx, suml2), scale, better);
    best = v128.bitselect(f32x4.mul(scale, sumlx), best, better);
  }
  for (let at: usize = 0; at < end; at += 16) {
    const l = nearestWithin(f32x4.mul(chosen, v128.load(X + at)), low, high);
    v128.store(CODES + at, v128.bitselect(f32x4.splat(<f32>-top), l, none));
  }
  scales = v128.andnot(scale, none);
}

/** One round of `make_q3_quants`: every code is moved where that lessens the error. False when none moved. */
function improve(end: usize, low: v128, high: v128): bool {
  const zero = f32x4.splat(0);
  let changed = zero;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(X + at);
    const w = v128.load(W + at);
    const old = v128.load(CODES + at);
    const wx = f32x4.mul(w, x);
    let lx = f32x4.sub(sumlx, f32x4.mul(wx, old));
    let moves = f32x4.gt(lx, zero);
    let l2 = f32x4.sub(suml2, f32x4.mul(f32x4.mul(w, old), old));
    const l = nearestWithin(f32x4.div(f32x4.mul(x, l2), lx), low, high);
    moves = v128.and(moves, f32x4.ne(l, old));
    lx = f32x4.add(lx, f32x4.mul(wx, l));
    l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(w, l), l));
    const now = f32x4.mul(f32x4.mul(lx, lx), suml2);
    const before = f32x4.mul(f32x4.mul(sumlx, sumlx), l2);
    moves = v128.and(moves, v128.and(f32x4.gt(l2, zero), f32x4.gt(now, before)));
    v128.store(CODES + at, v128.bitselect(l, old, moves));
    sumlx = v128.bitselect(lx, sumlx, moves);
    suml2 = v128.bitselect(l2, suml2, moves);
    changed = v128.or(changed, moves);
  }
  return v128.any_true(changed);
}

/** `make_q3_quants`: like `makeQx`, codes improved one by one in at most five rounds; a lane that is done stays as it is. */
export function makeQ3(n: i32, top: i32): void {
  const end = <usize>(n << 4);
  const low = i32x4.splat(-top);
  const high = i32x4.splat(top - 1);
  const peak = peaks(end);
  const none = f32x4.lt(f32x4.abs(peak), f32x4.splat(EPSILON));
  const iscale = f32x4.div(f32x4.splat(<f32>-top), peak);
  sumSigned(end, low, high, iscale);
  for (let at: usize = 0; at < end; at += 16)
    v128.store(CODES + at, nearestWithin(f32x4.mul(iscale, v128.load(X + at)), low, high));
  for (let round = 0; round < 5 && improve(end, low, high); round++) {}
  for (let at: usize = 0; at < end; at += 16)
    v128.store(CODES + at, v128.bitselect(f32x4.splat(<f32>-top), v128.load(CODES + at), none));
  scales = v128.and(f32x4.div(sumlx, suml2), v128.andnot(f32x4.gt(suml2, f32x4.splat(0)), none));
}
