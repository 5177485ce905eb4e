/** Extremes of blocks and bytes of codes: what the encoders without a search share. AssemblyScript. */

/**
 * 2^23: adding it leaves an integer of [0, 2^23) in the low bits of a float32. In memory: a constant vector would be put
 * together again in every turn of a loop.
 */
const MAGIC = memory.data<f32>([8388608]);

// @inline
export function bigger(a: v128, b: v128): v128 {
  return f32x4.pmax(a, b);
}

// @inline
export function smaller(a: v128, b: v128): v128 {
  return f32x4.pmin(a, b);
}

/** The largest lane in all lanes. */
// @inline
export function spreadMax(a: v128): v128 {
  const b = bigger(a, i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return bigger(b, i8x16.shuffle(b, b, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
}

/** The smallest lane in all lanes. */
// @inline
export function spreadMin(a: v128): v128 {
  const b = smaller(a, i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return smaller(b, i8x16.shuffle(b, b, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
}

/** Lanes whose largest is that of `n` values, a multiple of 16. */
// @inline
export function highest(src: usize, n: i32): v128 {
  let a = v128.load(src);
  let b = v128.load(src, 16);
  let c = v128.load(src, 32);
  let d = v128.load(src, 48);
  for (let at: usize = 64; at < <usize>(n << 2); at += 64) {
    a = bigger(a, v128.load(src + at));
    b = bigger(b, v128.load(src + at, 16));
    c = bigger(c, v128.load(src + at, 32));
    d = bigger(d, v128.load(src + at, 48));
  }
  return bigger(bigger(a, b), bigger(c, d));
}

/** Lanes whose smallest is that of `n` values. */
// @inline
export function lowest(src: usize, n: i32): v128 {
  let a = v128.load(src);
  let b = v128.load(src, 16);
  let c = v128.load(src, 32);
  let d = v128.load(src, 48);
  for (let at: usize = 64; at < <usize>(n << 2); at += 64) {
    a = smaller(a, v128.load(src + at));
    b = smaller(b, v128.load(src + at, 16));
    c = smaller(c, v128.load(src + at, 32));
    d = smaller(d, v128.load(src + at, 48));
  }
  return smaller(smaller(a, b), smaller(c, d));
}

/** The largest magnitude of `n` values, a multiple of 16, in all lanes. */
// @inline
export function largest(src: usize, n: i32): v128 {
  let a = f32x4.abs(v128.load(src));
  let b = f32x4.abs(v128.load(src, 16));
  let c = f32x4.abs(v128.load(src, 32));
  let d = f32x4.abs(v128.load(src, 48));
  for (let at: usize = 64; at < <usize>(n << 2); at += 64) {
    a = bigger(a, f32x4.abs(v128.load(src + at)));
    b = bigger(b, f32x4.abs(v128.load(src + at, 16)));
    c = bigger(c, f32x4.abs(v128.load(src + at, 32)));
    d = bigger(d, f32x4.abs(v128.load(src + at, 48)));
  }
  return spreadMax(bigger(bigger(a, b), bigger(c, d)));
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

/** Four integers of [0, 2^23) that are float32. */
// @inline
export function whole(x: v128): v128 {
  const magic = v128.load32_splat(MAGIC);
  return i32x4.sub(f32x4.add(x, magic), magic);
}

/** Sixteen integers of [0, 255] that are float32 as bytes. */
// @inline
export function narrowWhole(a: v128, b: v128, c: v128, d: v128): v128 {
  return narrow(whole(a), whole(b), whole(c), whole(d));
}

/** Low nibbles of two times 16 codes: of the first in the lower half of each byte. */
// @inline
export function joinNibbles(low: v128, high: v128): v128 {
  const mask = i8x16.splat(15);
  return v128.or(v128.and(low, mask), i16x8.shl(v128.and(high, mask), 4));
}
