/** Blocks of 4-bit floats: mxfp4 and nvfp4. AssemblyScript. */
import { joinNibbles, largest, narrowPushed, verdict } from "./block";

/** The first code of least error of one value: twice e2m1 is 0 1 2 3 4 6 8 12; a sign adds 8, but not to 0. */
function nearestCode(x: f32, d: f32): u32 {
  const magnitude = abs(x);
  let least = magnitude;
  let code: u32 = 0;
  for (let i: u32 = 1; i < 8; i++) {
    const value: u32 = i < 5 ? i : i < 7 ? 2 * i - 4 : 12;
    const error: f32 = abs(<f32>value * d - magnitude);
    if (!(error < least)) continue;
    least = error;
    code = i;
  }
  return x < 0 && code > 0 ? code | 8 : code;
}

/** Sixteen codes one by one, for values far beyond the largest code: there differences are rounded. */
function slowCodes(src: usize, d: f32): v128 {
  let codes = i8x16.splat(0);
  for (let i = 15; i >= 0; i--) {
    codes = i8x16.shuffle(codes, codes, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
    codes = i8x16.replace_lane(codes, 0, <i8>nearestCode(load<f32>(src + (i << 2)), d));
  }
  return codes;
}

/** How many of the borders between codes four values have passed, as -1 each; a tie stays below. */
// @inline
function passed(x: v128, a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128): v128 {
  const m = f32x4.abs(x);
  const ab = i32x4.add(f32x4.gt(m, a), f32x4.gt(m, b));
  const cd = i32x4.add(f32x4.gt(m, c), f32x4.gt(m, d));
  const ef = i32x4.add(f32x4.gt(m, e), f32x4.gt(m, f));
  return i32x4.add(i32x4.add(ab, cd), i32x4.add(ef, f32x4.gt(m, g)));
}

/** Codes with 8 more for negative values, but not of 0. */
// @inline
function withSigns(codes: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  // Saturation keeps the signs of the words.
  const signs = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  const eight = i16x8.shr_u(v128.and(signs, i8x16.splat(-128)), 4);
  return v128.or(codes, v128.and(eight, i8x16.ne(codes, i8x16.splat(0))));
}

/** Codes of 16 values, at most 24 d: differences of neighbours are exact, so borders decide. */
// @inline
function sixteen(src: usize, d: v128): v128 {
  const a = f32x4.mul(d, f32x4.splat(0.5));
  const b = f32x4.mul(d, f32x4.splat(1.5));
  const c = f32x4.mul(d, f32x4.splat(2.5));
  const e = f32x4.mul(d, f32x4.splat(3.5));
  const f = f32x4.mul(d, f32x4.splat(5));
  const g = f32x4.mul(d, f32x4.splat(7));
  const h = f32x4.mul(d, f32x4.splat(10));
  const v0 = v128.load(src);
  const v1 = v128.load(src, 16);
  const v2 = v128.load(src, 32);
  const v3 = v128.load(src, 48);
  const p01 = i16x8.narrow_i32x4_s(passed(v0, a, b, c, e, f, g, h), passed(v1, a, b, c, e, f, g, h));
  const p23 = i16x8.narrow_i32x4_s(passed(v2, a, b, c, e, f, g, h), passed(v3, a, b, c, e, f, g, h));
  return withSigns(i8x16.neg(i8x16.narrow_i16x8_s(p01, p23)), v0, v1, v2, v3);
}

/** Codes by the number of halves that a magnitude reaches into, of 32: borders are multiples of a half that belong to the code below. */
const BY_HALVES = memory.data<u8>([
  0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
]);
/** The last number of halves, and 2^23. */
const HALVES = memory.data<f32>([31, 8388608]);

/** How many halves a magnitude reaches into, in the low bits; `factor` is 2 / d. */
// @inline
function halvesOf(x: v128, factor: v128): v128 {
  const halves = f32x4.ceil(f32x4.mul(f32x4.abs(x), factor));
  return f32x4.add(f32x4.pmin(v128.load32_splat(HALVES), halves), v128.load32_splat(HALVES, 4));
}

/** The same codes where d is a power of two from 2^-126 on: then quotients are exact. */
// @inline
function sixteenOfPower(src: usize, factor: v128): v128 {
  const a = v128.load(src);
  const b = v128.load(src, 16);
  const c = v128.load(src, 32);
  const d = v128.load(src, 48);
  const halves = narrowPushed(halvesOf(a, factor), halvesOf(b, factor), halvesOf(c, factor), halvesOf(d, factor));
  const upper = i8x16.sub(halves, i8x16.splat(16));
  const low = i8x16.swizzle(v128.load(BY_HALVES), halves);
  return withSigns(v128.or(low, i8x16.swizzle(v128.load(BY_HALVES, 16), upper)), a, b, c, d);
}

/** floorf(log2f(x)): just below a power of two the float32 logarithm is that of the power itself. */
function floorLog2(x: f32): i32 {
  const wide = reinterpret<u64>(<f64>x);
  const above = <i32>(wide >>> 52) - 1022;
  // The mantissa under the exponent of 1/2: x / 2^above.
  const short = 1 - reinterpret<f64>((wide & 0x000fffffffffffff) | 0x3fe0000000000000);
  if (short > 0.000244140625) return above - 1;
  return <i32>floor(<f32>(<f64>above - (short + (short * short) / 2) * Math.LOG2E));
}

/** Half of 2^(e - 127). */
export function halfPower(e: u32): f32 {
  return reinterpret<f32>(e < 2 ? 0x00200000 << e : (e - 1) << 23);
}

function joinOf(src: usize, d: f32): v128 {
  return joinNibbles(sixteen(src, f32x4.splat(d)), sixteen(src + 64, f32x4.splat(d)));
}

// @inline
function joinOfPower(src: usize, factor: f32): v128 {
  return joinNibbles(sixteenOfPower(src, f32x4.splat(factor)), sixteenOfPower(src + 64, f32x4.splat(factor)));
}

/** Answers as `verdict` says. */
export function encodeMxfp4(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, src += 128, dst += 17) {
    const peak = largest(src, 32);
    sane = v128.and(sane, f32x4.lt(peak, f32x4.splat(Infinity)));
    const most = f32x4.extract_lane(peak, 0);
    const e: u32 = most > 0 ? (floorLog2(most) + 125) & 255 : 0;
    // The scale that is no number: of values about 2^-126, whose exponent goes below zero.
    if (e === 255) sane = i32x4.splat(0);
    store<u8>(dst, <u8>e);
    v128.store(dst, e < 2 ? joinOf(src, halfPower(e)) : joinOfPower(src, reinterpret<f32>((256 - e) << 23)), 1);
  }
  return verdict(sane);
}

/** Unsigned e4m3, rounded half up, at most 448. */
function unsignedE4m3(value: f32): u32 {
  if (!(value > 0)) return 0;
  const x = min<f32>(value, 448);
  const word = reinterpret<u32>(x);
  const exponent = <i32>(word >>> 23) - 120;
  if (exponent <= 0) return min<u32>(7, <u32>(x * 512 + 0.5));
  if (exponent >= 15) return 0x7e;
  const bits = ((<u32>exponent) << 3) + ((word >>> 20) & 7) + ((word >>> 19) & 1);
  return bits >= 120 ? 0x7e : bits;
}

/** Half of the value of an unsigned e4m3 that is no NaN. */
export function halfE4m3(bits: u32): f32 {
  return bits < 8 ? <f32>bits * 0.0009765625 : reinterpret<f32>((bits << 20) + (119 << 23));
}

/** Answers as `verdict` says. */
export function encodeNvfp4(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, dst += 36)
    for (let s = 0; s < 4; s++, src += 64) {
      const peak = largest(src, 16);
      sane = v128.and(sane, f32x4.lt(peak, f32x4.splat(Infinity)));
      const most = f32x4.extract_lane(peak, 0);
      const bits = unsignedE4m3(most / 6);
      const d = halfE4m3(bits);
      store<u8>(dst + s, <u8>bits);
      const codes = most < 24 * d ? sixteen(src, f32x4.splat(d)) : slowCodes(src, d);
      const pairs = v128.or(
        codes,
        i16x8.shl(i8x16.shuffle(codes, codes, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15), 4),
      );
      v128.store64_lane(dst + 4 + (s << 3), pairs, 0);
    }
  return verdict(sane);
}
