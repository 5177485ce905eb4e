/** Extremes of blocks and bytes of codes: what the encoders without a search share. AssemblyScript. */

/**
 * 2^23: adding it leaves an integer of [0, 2^23) in the low bits of a float32. In memory: a constant vector would be put
 * together again in every turn of a loop.
 */
const MAGIC = memory.data<f32>([8388608]);
/** All bits but the sign. */
const MAGNITUDE = memory.data<u32>([0x7fffffff]);

/** The larger, or the smaller. */
// @inline
export function extreme(a: v128, b: v128, isMax: bool): v128 {
  return isMax ? f32x4.pmax(a, b) : f32x4.pmin(a, b);
}

/** Lanes among which is the largest of `n` values, a multiple of 16; or the smallest. */
// @inline
export function extremes(src: usize, n: i32, isMax: bool): v128 {
  let a = v128.load(src);
  let b = v128.load(src, 16);
  let c = v128.load(src, 32);
  let d = v128.load(src, 48);
  for (let at: usize = 64; at < <usize>(n << 2); at += 64) {
    a = extreme(a, v128.load(src + at), isMax);
    b = extreme(b, v128.load(src + at, 16), isMax);
    c = extreme(c, v128.load(src + at, 32), isMax);
    d = extreme(d, v128.load(src + at, 48), isMax);
  }
  return extreme(extreme(a, b, isMax), extreme(c, d, isMax), isMax);
}

/** Lanes 0 and 1, or 2 and 3, of `a` between those of `b`. */
// @inline
function interleaved(a: v128, b: v128, isHigh: bool): v128 {
  return isHigh
    ? i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
    : i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
}

/** The extreme lanes of four vectors. */
// @inline
export function extremeOfEach(a: v128, b: v128, c: v128, d: v128, isMax: bool): v128 {
  const ab = extreme(interleaved(a, b, false), interleaved(a, b, true), isMax);
  const cd = extreme(interleaved(c, d, false), interleaved(c, d, true), isMax);
  const low = i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  return extreme(low, i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), isMax);
}

/** The extreme lane in all lanes. */
// @inline
export function spread(a: v128, isMax: bool): v128 {
  const b = extreme(a, i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7), isMax);
  return extreme(b, i8x16.shuffle(b, b, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11), isMax);
}

/** The largest magnitude of `n` values, a multiple of 16, in all lanes. As integers: what is no number is larger than any. */
// @inline
export function largest(src: usize, n: i32): v128 {
  const mask = v128.load32_splat(MAGNITUDE);
  let a = v128.and(v128.load(src), mask);
  let b = v128.and(v128.load(src, 16), mask);
  let c = v128.and(v128.load(src, 32), mask);
  let d = v128.and(v128.load(src, 48), mask);
  for (let at: usize = 64; at < <usize>(n << 2); at += 64) {
    a = i32x4.max_s(a, v128.and(v128.load(src + at), mask));
    b = i32x4.max_s(b, v128.and(v128.load(src + at, 16), mask));
    c = i32x4.max_s(c, v128.and(v128.load(src + at, 32), mask));
    d = i32x4.max_s(d, v128.and(v128.load(src + at, 48), mask));
  }
  const most = i32x4.max_s(i32x4.max_s(a, b), i32x4.max_s(c, d));
  const half = i32x4.max_s(most, i8x16.shuffle(most, most, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return i32x4.max_s(half, i8x16.shuffle(half, half, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
}

/** 1 / d in all lanes, 0 for a scale of 0. */
// @inline
export function reciprocals(d: v128): v128 {
  return v128.andnot(f32x4.div(f32x4.splat(1), d), f32x4.eq(d, f32x4.splat(0)));
}

/** Four times four integers of [0, 255] as 16 bytes. */
// @inline
export function narrow(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** Of what was pushed, a bit that is set only where it is no number. */
export const NO_NUMBER: i32 = 0x10000000;

/** Four integers of [0, 2^23) that are float32, in the low bits. */
// @inline
export function pushed(x: v128): v128 {
  return f32x4.add(x, v128.load32_splat(MAGIC));
}

/** Sixteen integers of [0, 255], pushed, as bytes. */
// @inline
export function narrowPushed(a: v128, b: v128, c: v128, d: v128): v128 {
  const magic = v128.load32_splat(MAGIC);
  return narrow(i32x4.sub(a, magic), i32x4.sub(b, magic), i32x4.sub(c, magic), i32x4.sub(d, magic));
}

/** From here on halves are infinite. */
const HALF_END = memory.data<f32>([65520]);

/** Lanes whose halves are finite. */
// @inline
export function haveHalves(x: v128): v128 {
  return f32x4.lt(f32x4.abs(x), v128.load32_splat(HALF_END));
}

/** What encoders answer: -1, or -2 where a value or a scale may not be finite. `sane` has all bits set where all is well. */
// @inline
export function verdict(sane: v128): i32 {
  return i32x4.all_true(sane) ? -1 : -2;
}

/** Low nibbles of two times 16 codes: of the first in the lower half of each byte. */
// @inline
export function joinNibbles(low: v128, high: v128): v128 {
  const mask = i8x16.splat(15);
  return v128.or(v128.and(low, mask), i16x8.shl(v128.and(high, mask), 4));
}
