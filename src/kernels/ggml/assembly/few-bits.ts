/** Blocks of one or two bits that are not searched for: q1_0 q2_0 tq1_0 tq2_0. AssemblyScript. */
import { haveHalves, largest, narrow, reciprocals, verdict } from "./block";
import { BYTES } from "./pack";
import { halves } from "./plain";

/** Scales of four blocks. */
const HEADS: usize = BYTES + 256;

/** Sum of four vectors, a lane each in order of the values. */
// @inline
function addTransposed(sum: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const cd = i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const ab2 = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const cd2 = i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  sum = f32x4.add(sum, i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  sum = f32x4.add(sum, i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
  sum = f32x4.add(sum, i8x16.shuffle(ab2, cd2, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  return f32x4.add(sum, i8x16.shuffle(ab2, cd2, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
}

/** Sums of magnitudes of 128 values of four blocks, `stride` bytes apart. */
// @inline
function sumMagnitudes(src: usize, stride: usize): v128 {
  let sum = f32x4.splat(0);
  for (let at = src; at < src + 512; at += 16) {
    const a = f32x4.abs(v128.load(at));
    const b = f32x4.abs(v128.load(at + stride));
    const c = f32x4.abs(v128.load(at + 2 * stride));
    const d = f32x4.abs(v128.load(at + 3 * stride));
    sum = addTransposed(sum, a, b, c, d);
  }
  return sum;
}

// @inline
function notNegative(at: usize): v128 {
  return f32x4.ge(v128.load(at), f32x4.splat(0));
}

/** A bit for each of 128 values. */
function storeSigns(src: usize, dst: usize): void {
  for (let i: usize = 0; i < 16; i += 2, src += 64) {
    const ab = i16x8.narrow_i32x4_s(notNegative(src), notNegative(src + 16));
    const cd = i16x8.narrow_i32x4_s(notNegative(src + 32), notNegative(src + 48));
    store<u16>(dst + i, <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(ab, cd)));
  }
}

/** Answers as `verdict` says. */
export function encodeQ1(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  while (blocks > 0) {
    const count = blocks >= 4 ? 4 : 1;
    const d = f32x4.div(sumMagnitudes(src, count === 4 ? 512 : 0), f32x4.splat(128));
    sane = v128.and(sane, haveHalves(d));
    v128.store(HEADS, halves(d));
    for (let k = 0; k < count; k++, src += 512, dst += 18) {
      store<u16>(dst, load<u16>(HEADS + ((<usize>k) << 2)));
      storeSigns(src, dst + 2);
    }
    blocks -= count;
  }
  return verdict(sane);
}

/** Codes 0, 1, 2 of four values of [-d, d]: rounding half away from zero. */
// @inline
function ternary(at: usize, id: v128): v128 {
  const x = f32x4.mul(v128.load(at), id);
  const up = i32x4.sub(i32x4.splat(1), f32x4.ge(x, f32x4.splat(0.5)));
  return i32x4.add(up, f32x4.le(x, f32x4.splat(-0.5)));
}

// @inline
function sixteen(at: usize, id: v128): v128 {
  return narrow(ternary(at, id), ternary(at + 16, id), ternary(at + 32, id), ternary(at + 48, id));
}

/** Four bytes of four codes each. */
// @inline
function quads(at: usize, id: v128): v128 {
  return i32x4.shr_u(i32x4.mul(sixteen(at, id), i32x4.splat(0x01041040)), 24);
}

/** Answers as `verdict` says. */
export function encodeQ2(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, src += 256, dst += 18) {
    const d = largest(src, 64);
    sane = v128.and(sane, haveHalves(d));
    const id = reciprocals(d);
    v128.store16_lane(dst, halves(d), 0);
    // Quotients are infinite or no numbers then, and their codes 0.
    if (!(f32x4.extract_lane(id, 0) < Infinity)) memory.fill(dst + 2, 0, 16);
    else v128.store(dst, narrow(quads(src, id), quads(src + 64, id), quads(src + 128, id), quads(src + 192, id)), 2);
  }
  return verdict(sane);
}

/** 1 / d; 0 where it is infinite, so that all codes become 1. */
// @inline
function finiteReciprocals(d: v128): v128 {
  const id = reciprocals(d);
  return v128.and(id, f32x4.lt(id, f32x4.splat(Infinity)));
}

/** Four codes a byte, `apart` values apart. */
// @inline
function four(src: usize, id: v128): v128 {
  const low = v128.or(sixteen(src, id), i16x8.shl(sixteen(src + 128, id), 2));
  const high = v128.or(i16x8.shl(sixteen(src + 256, id), 4), i16x8.shl(sixteen(src + 384, id), 6));
  return v128.or(low, high);
}

/** Answers as `verdict` says. */
export function encodeTq2(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, src += 1024, dst += 66) {
    const d = largest(src, 256);
    sane = v128.and(sane, haveHalves(d));
    const id = finiteReciprocals(d);
    v128.store(dst, four(src, id));
    v128.store(dst, four(src + 64, id), 16);
    v128.store(dst, four(src + 512, id), 32);
    v128.store(dst, four(src + 576, id), 48);
    v128.store16_lane(dst + 64, halves(d), 0);
  }
  return verdict(sane);
}

/** Three times the digits and one more. */
// @inline
function digit(digits: v128, code: v128): v128 {
  return i8x16.add(i8x16.add(digits, i8x16.add(digits, digits)), code);
}

/** (256 q + 242) / 243 of four integers up to 242: the factor is 2^24 / 243, right for all of them. */
// @inline
function scaled(q: v128): v128 {
  const numerator = i32x4.add(i32x4.shl(q, 8), i32x4.splat(242));
  return i32x4.shr_u(i32x4.mul(numerator, i32x4.splat(69043)), 24);
}

/** Base-3 numbers of 16 bytes scaled to 256, rounded up. */
// @inline
function scaleDigits(digits: v128): v128 {
  const low = i16x8.extend_low_i8x16_u(digits);
  const high = i16x8.extend_high_i8x16_u(digits);
  return narrow(
    scaled(i32x4.extend_low_i16x8_u(low)),
    scaled(i32x4.extend_high_i16x8_u(low)),
    scaled(i32x4.extend_low_i16x8_u(high)),
    scaled(i32x4.extend_high_i16x8_u(high)),
  );
}

/** Five codes a byte, `apart` bytes of values apart. */
// @inline
function five(src: usize, apart: usize, id: v128): v128 {
  let digits = digit(sixteen(src, id), sixteen(src + apart, id));
  digits = digit(digits, sixteen(src + 2 * apart, id));
  digits = digit(digits, sixteen(src + 3 * apart, id));
  return scaleDigits(digit(digits, sixteen(src + 4 * apart, id)));
}

/** The last 16 values: four bytes of four codes. */
// @inline
function lastFour(src: usize, id: v128): u32 {
  const none = i32x4.splat(0);
  let digits = digit(ternary(src, id), ternary(src + 16, id));
  digits = digit(digits, ternary(src + 32, id));
  digits = digit(digits, ternary(src + 48, id));
  return <u32>i32x4.extract_lane(narrow(scaled(digit(digits, none)), none, none, none), 0);
}

/** Answers as `verdict` says. */
export function encodeTq1(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, src += 1024, dst += 54) {
    const d = largest(src, 256);
    sane = v128.and(sane, haveHalves(d));
    const id = finiteReciprocals(d);
    v128.store(dst, five(src, 128, id));
    v128.store(dst, five(src + 64, 128, id), 16);
    v128.store(dst, five(src + 640, 64, id), 32);
    store<u32>(dst, lastFour(src + 960, id), 48);
    v128.store16_lane(dst + 52, halves(d), 0);
  }
  return verdict(sane);
}
