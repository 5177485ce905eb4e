/** float32, halves and bfloat16 into each other, and the search for what is not finite. AssemblyScript. */
import { halfOf } from "./scalar";

/** Halves of four float32, ties to even, in the low 16 bits of each lane; a NaN keeps its payload's upper bits. */
// @inline
export function halves(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(i32.MIN_VALUE));
  const magnitude = v128.xor(x, sign);
  // Rounded to ten bits of mantissa; the exponent is 112 too large.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - 0x38000000)), odd), 13);
  // Below 2^-14 the sum with 1/2 has the half's last bit as its own last.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), f32x4.splat(0.5));
  const normal = i32x4.gt_s(magnitude, i32x4.splat(0x387fffff));
  const half = v128.bitselect(i32x4.min_s(rounded, i32x4.splat(0x7c00)), small, normal);
  return v128.or(half, i32x4.shr_u(sign, 16));
}

/** Upper 16 bits of eight values. */
// @inline
function upper(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}

/** All bits but the sign; what rounds to ten bits of mantissa and takes 112 from the exponent; 1. */
const NORMAL = memory.data<u32>([0x7fffffff, 0xc8000fff, 1]);

function halfOfAny(value: f32): u32 {
  const word = reinterpret<u32>(value);
  if ((word & 0x7fffffff) <= 0x7f800000) return halfOf(value);
  return ((word >>> 16) & 0x8000) | 0x7e00 | ((word >>> 13) & 0x1ff);
}

function encodeHalvesSlowly(src: usize, dst: usize, count: i32): void {
  for (let i = 0; i < count; i++, src += 4, dst += 2) store<u16>(dst, <u16>halfOfAny(load<f32>(src)));
}

/** All bits of those of eight words whose bits of `exponent` are all set. */
// @inline
function allSet(words: v128, exponent: v128): v128 {
  return i16x8.eq(v128.and(words, exponent), exponent);
}

/** Magnitudes of the halves of four values that are no less than 2^-14 and no more than 65504; others are not in [0x400, 0x7bff]. */
// @inline
function normalHalves(x: v128, magnitude: v128, bias: v128, one: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 13), one);
  return i32x4.shr_u(i32x4.add(i32x4.add(v128.and(x, magnitude), bias), odd), 13);
}

/** All bits of those of eight magnitudes that lie outside of [0x400, 0x7bff]. */
// @inline
function unusual(eight: v128): v128 {
  const end = i16x8.splat(0x7800);
  return i16x8.eq(i16x8.min_u(i16x8.sub(eight, i16x8.splat(0x400)), end), end);
}

/** Eight halves of any values; answers which are not finite. */
function encodeEight(src: usize, dst: usize): v128 {
  const eight = i16x8.narrow_i32x4_u(halves(v128.load(src)), halves(v128.load(src, 16)));
  const infinite = allSet(eight, i16x8.splat(0x7c00));
  v128.store(dst, eight);
  if (v128.any_true(infinite)) encodeHalvesSlowly(src, dst, 8);
  return infinite;
}

/** Answers as `verdict` says. */
export function encodeHalf(src: usize, dst: usize, count: i32): i32 {
  const magnitude = v128.load32_splat(NORMAL);
  const bias = v128.load32_splat(NORMAL, 4);
  const one = v128.load32_splat(NORMAL, 8);
  let infinite = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= count; i += 8, src += 32, dst += 16) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const first = normalHalves(a, magnitude, bias, one);
    const eight = i16x8.narrow_i32x4_u(first, normalHalves(b, magnitude, bias, one));
    const signs = v128.and(upper(a, b), i16x8.splat(-32768));
    v128.store(dst, v128.or(eight, signs));
    if (v128.any_true(unusual(eight))) infinite = v128.or(infinite, encodeEight(src, dst));
  }
  encodeHalvesSlowly(src, dst, count - i);
  return verdictOfRest(infinite, dst, count - i, 0x7c00);
}

/** The verdict where eight or more words were looked at, and the last `count` were not. */
function verdictOfRest(infinite: v128, dst: usize, count: i32, exponent: i32): i32 {
  return v128.any_true(infinite) || firstBadHalf(dst, count, exponent) >= 0 ? -2 : -1;
}

/** Bits of the nearest bfloat16. */
function bfloatOf(word: u32): u32 {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** The nearest bfloat16 of eight values, none of them NaN: the lower 16 bits carry into the upper ones, ties to even. */
// @inline
function bfloats(a: v128, b: v128, high: v128, below: v128): v128 {
  const low = i8x16.shuffle(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
  // Half the sum with 0x7fff and the last bit that stays: its uppermost bit is the carry.
  const odd = i16x8.shr_u(i16x8.shl(high, 15), 15);
  return i16x8.add(high, i16x8.shr_u(i16x8.avgr_u(low, i16x8.add(odd, below)), 15));
}

/** 0x7fff less the one that an average adds. */
const BELOW = memory.data<u16>([0x7ffe]);

function encodeBfloatsSlowly(src: usize, dst: usize, count: i32): void {
  for (let i = 0; i < count; i++, src += 4, dst += 2) store<u16>(dst, <u16>bfloatOf(load<u32>(src)));
}

/** Answers as `verdict` says. */
export function encodeBfloat(src: usize, dst: usize, count: i32): i32 {
  const below = v128.load16_splat(BELOW);
  let infinite = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= count; i += 8, src += 32, dst += 16) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const exponent = i16x8.splat(0x7f80);
    const high = upper(a, b);
    const eight = bfloats(a, b, high, below);
    const bad = v128.or(allSet(high, exponent), allSet(eight, exponent));
    v128.store(dst, eight);
    if (!v128.any_true(bad)) continue;
    infinite = bad;
    encodeBfloatsSlowly(src, dst, 8);
  }
  encodeBfloatsSlowly(src, dst, count - i);
  return verdictOfRest(infinite, dst, count - i, 0x7f80);
}

/** Float32 of four halves in 32 bits each; a NaN keeps its payload. */
// @inline
function ofHalves(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fff));
  // As float32 bits the exponent is 112 short; for subnormal halves too, whose float32 stays subnormal until then.
  const scaled = f32x4.mul(i32x4.shl(magnitude, 13), i32x4.splat(0x77800000));
  const special = v128.and(i32x4.gt_s(magnitude, i32x4.splat(0x7bff)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(scaled, special), i32x4.shl(i32x4.shr_u(bits, 15), 31));
}

export function decodeHalf(src: usize, dst: usize, count: i32): void {
  let i = 0;
  for (; i + 8 <= count; i += 8, src += 16, dst += 32) {
    v128.store(dst, ofHalves(v128.load_ext<u16>(src)));
    v128.store(dst, ofHalves(v128.load_ext<u16>(src, 8)), 16);
  }
  for (; i < count; i++, src += 2, dst += 4)
    store<f32>(dst, f32x4.extract_lane(ofHalves(i32x4.splat(<i32>load<u16>(src))), 0));
}

export function decodeBfloat(src: usize, dst: usize, count: i32): void {
  let i = 0;
  for (; i + 8 <= count; i += 8, src += 16, dst += 32) {
    v128.store(dst, i32x4.shl(v128.load_ext<u16>(src), 16));
    v128.store(dst, i32x4.shl(v128.load_ext<u16>(src, 8), 16), 16);
  }
  for (; i < count; i++, src += 2, dst += 4) store<u32>(dst, (<u32>load<u16>(src)) << 16);
}

/** Index of the first float32 that is not finite, or -1. */
export function firstBadFloat(src: usize, count: i32): i32 {
  const exponent = i32x4.splat(0x7f800000);
  let i = 0;
  for (; i + 16 <= count; i += 16) {
    const at = src + (i << 2);
    const a = i32x4.eq(v128.and(v128.load(at), exponent), exponent);
    const b = i32x4.eq(v128.and(v128.load(at, 16), exponent), exponent);
    const c = i32x4.eq(v128.and(v128.load(at, 32), exponent), exponent);
    const d = i32x4.eq(v128.and(v128.load(at, 48), exponent), exponent);
    if (v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) break;
  }
  for (; i < count; i++) if ((load<u32>(src + (i << 2)) & 0x7f800000) === 0x7f800000) return i;
  return -1;
}

/** Index of the first of 16 bits each whose bits of `exponent` are all set, or -1. */
export function firstBadHalf(src: usize, count: i32, exponent: i32): i32 {
  const mask = i16x8.splat(<i16>exponent);
  let i = 0;
  for (; i + 16 <= count; i += 16) {
    const at = src + (i << 1);
    const a = i16x8.eq(v128.and(v128.load(at), mask), mask);
    const b = i16x8.eq(v128.and(v128.load(at, 16), mask), mask);
    if (v128.any_true(v128.or(a, b))) break;
  }
  for (; i < count; i++) if ((<i32>load<u16>(src + (i << 1)) & exponent) === exponent) return i;
  return -1;
}
