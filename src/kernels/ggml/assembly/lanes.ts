/**
 * What the searches of scales share (`make-qkx.ts`, `make-qx.ts`), on four groups at a time: a lane is a group, so each keeps
 * ggml's order of sums. Values, weights and codes lie transposed, value i of all four groups in 16 bytes. AssemblyScript.
 */
import { narrow } from "./block";

/** Scratch of up to 32 values of four groups. */
export const X: usize = 1024;
export const W: usize = X + 512;
/** Codes of the tried scale as float32. */
export const TRIAL: usize = W + 512;
/** Weights times values; or tried codes of the second set. */
export const WX: usize = TRIAL + 512;
/** Values and weights of the second set where two are searched at once. */
export const X2: usize = WX + 512;
export const W2: usize = X2 + 512;
/** 1.5 * 2^23, 2^22. In memory: a constant vector would be put together again in every turn of a loop. */
export const CONSTANTS = memory.data<f32>([12582912, 4194304, reinterpret<f32>(0x7fffff), reinterpret<f32>(0x400000)]);

/** Adding it and taking it away again rounds what is below 2^22. */
// @inline
export function magicNumber(): v128 {
  return v128.load32_splat(CONSTANTS);
}

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
export function nearestWithin(value: v128, low: v128, high: v128): v128 {
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
export function sumSquares(n: i32, from: usize): v128 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) {
    const x = v128.load(from + at);
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

/** Weights |x|, at `w` of values at `x`. */
export function weighMagnitudes(n: i32, x: usize, w: usize): void {
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) v128.store(w + at, f32x4.abs(v128.load(x + at)));
}

/** Weights root mean square + |x|. */
export function weighRaised(n: i32, x: usize, w: usize): void {
  const end = <usize>(n << 4);
  const mean = f32x4.sqrt(f32x4.div(sumSquares(n, x), f32x4.splat(<f32>n)));
  for (let at: usize = 0; at < end; at += 16) v128.store(w + at, f32x4.add(mean, f32x4.abs(v128.load(x + at))));
}

/** Weights importance, already in place, times the root of sigma + x^2. */
export function weighImportance(n: i32, sigma: v128, from: usize, w: usize): void {
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) {
    const x = v128.load(from + at);
    const root = f32x4.sqrt(f32x4.add(sigma, f32x4.mul(x, x)));
    v128.store(w + at, f32x4.mul(v128.load(w + at), root));
  }
}

/** Sums of the weights. */
export function sumWeights(n: i32, w: usize): v128 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>(n << 4); at += 16) sum = f32x4.add(sum, v128.load(w + at));
  return sum;
}

/** ggml's `nearest_int` as float32, held in [low, high], of values below 2^22. */
// @inline
export function roundWithin(value: v128, low: v128, high: v128, magic: v128): v128 {
  const near = f32x4.sub(f32x4.add(value, magic), magic);
  return f32x4.pmax(f32x4.pmin(near, high), low);
}

/** Codes of four values of four groups as bytes, each group's `n` bytes behind those of the one before. */
// @inline
export function storeBytes(a: v128, b: v128, c: v128, d: v128, to: usize, n: usize): void {
  const mixed = narrow(a, b, c, d);
  const bytes = i8x16.shuffle(mixed, mixed, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  v128.store32_lane(to, bytes, 0);
  v128.store32_lane(to + n, bytes, 1);
  v128.store32_lane(to + 2 * n, bytes, 2);
  v128.store32_lane(to + 3 * n, bytes, 3);
}
