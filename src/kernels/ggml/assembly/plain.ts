/** float32, halves and bfloat16 into each other, and the search for what is not finite. AssemblyScript. */
import { halfOf } from "./scalar";

/** Halves of four float32, ties to even, in the low 16 bits of each lane; a NaN keeps its payload's upper bits. */
// @inline
function halves(x: v128): v128 {
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

/** Whether four of them are NaN: rare, so they are done apart. */
// @inline
function hasNaN(a: v128, b: v128): bool {
  return v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
}

function halfOfAny(value: f32): u32 {
  const word = reinterpret<u32>(value);
  if ((word & 0x7fffffff) <= 0x7f800000) return halfOf(value);
  return ((word >>> 16) & 0x8000) | 0x7e00 | ((word >>> 13) & 0x1ff);
}

export function encodeHalf(src: usize, dst: usize, count: i32): void {
  let i = 0;
  for (; i + 8 <= count; i += 8, src += 32, dst += 16) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    if (hasNaN(a, b)) for (let k = 0; k < 8; k++) store<u16>(dst + (k << 1), <u16>halfOfAny(load<f32>(src + (k << 2))));
    else v128.store(dst, i16x8.narrow_i32x4_u(halves(a), halves(b)));
  }
  for (; i < count; i++, src += 4, dst += 2) store<u16>(dst, <u16>halfOfAny(load<f32>(src)));
}

/** Bits of the nearest bfloat16. */
function bfloatOf(word: u32): u32 {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** The nearest bfloat16 of eight values, none of them NaN: the lower 16 bits carry into the upper ones, ties to even. */
// @inline
function bfloats(a: v128, b: v128, below: v128): v128 {
  const low = i8x16.shuffle(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
  const high = i8x16.shuffle(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
  // Half the sum with 0x7fff and the last bit that stays: its uppermost bit is the carry.
  const odd = i16x8.shr_u(i16x8.shl(high, 15), 15);
  return i16x8.add(high, i16x8.shr_u(i16x8.avgr_u(low, i16x8.add(odd, below)), 15));
}

/** 0x7fff less the one that an average adds. */
const BELOW = memory.data<u16>([0x7ffe]);

function encodeBfloatsSlowly(src: usize, dst: usize, count: i32): void {
  for (let i = 0; i < count; i++, src += 4, dst += 2) store<u16>(dst, <u16>bfloatOf(load<u32>(src)));
}

export function encodeBfloat(src: usize, dst: usize, count: i32): void {
  const below = v128.load16_splat(BELOW);
  let i = 0;
  for (; i + 16 <= count; i += 16, src += 64, dst += 32) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    // A sum is NaN where a value is, or where infinite ones of both signs meet.
    const sum = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    if (v128.any_true(f32x4.ne(sum, sum))) encodeBfloatsSlowly(src, dst, 16);
    else {
      v128.store(dst, bfloats(a, b, below));
      v128.store(dst, bfloats(c, d, below), 16);
    }
  }
  encodeBfloatsSlowly(src, dst, count - i);
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

/** The first of `blocks`, `bytes` apart, whose half at `src` is not finite, or -1. */
export function firstBadScale(src: usize, blocks: i32, bytes: i32): i32 {
  for (let i = 0; i < blocks; i++, src += bytes) if ((load<u16>(src) & 0x7c00) === 0x7c00) return i;
  return -1;
}
