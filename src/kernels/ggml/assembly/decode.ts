/** Values of blocks of 32, of few bits and of 4-bit floats; each value is what the TypeScript gives. AssemblyScript. */
import { halfE4m3, halfPower } from "./fp4";
import { ofHalf } from "./scalar";

/** Sixteen signed bytes times a scale. */
// @inline
export function put(codes: v128, scale: v128, to: usize): void {
  const low = i16x8.extend_low_i8x16_s(codes);
  const high = i16x8.extend_high_i8x16_s(codes);
  v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))));
  v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), 16);
  v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), 32);
  v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), 48);
}

/** Sixteen bytes times a scale, `min` added. */
// @inline
export function putAffine(codes: v128, scale: v128, min: v128, to: usize): void {
  const low = i16x8.extend_low_i8x16_u(codes);
  const high = i16x8.extend_high_i8x16_u(codes);
  const a = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)));
  const b = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)));
  const c = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)));
  const d = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)));
  v128.store(to, f32x4.add(a, min));
  v128.store(to, f32x4.add(b, min), 16);
  v128.store(to, f32x4.add(c, min), 32);
  v128.store(to, f32x4.add(d, min), 48);
}

// @inline
export function halfAt(at: usize): v128 {
  return f32x4.splat(ofHalf(load<u16>(at)));
}

// @inline
export function lowNibbles(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

// @inline
export function highNibbles(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

/** q8_0. */
export function decodeBytes(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 34, dst += 128) {
    const d = halfAt(src);
    put(v128.load(src, 2), d, dst);
    put(v128.load(src, 18), d, dst + 64);
  }
}

/** Sixteen fifth bits as 16 in each byte. */
// @inline
function fifthBits(bits: u32): v128 {
  const word = i32x4.splat(<i32>bits);
  const bytes = i8x16.shuffle(word, word, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const mask = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(bytes, mask), mask), i8x16.splat(16));
}

/** q4_0 and q5_0. */
export function decodeSigned(src: usize, dst: usize, blocks: i32, bits: i32): void {
  const top = i8x16.splat(bits === 4 ? 8 : 16);
  const codesAt: usize = bits === 4 ? 2 : 6;
  for (let i = 0; i < blocks; i++, src += codesAt + 16, dst += 128) {
    const d = halfAt(src);
    const bytes = v128.load(src + codesAt);
    let low = lowNibbles(bytes);
    let high = highNibbles(bytes);
    if (bits === 5) {
      low = v128.or(low, fifthBits(load<u16>(src, 2)));
      high = v128.or(high, fifthBits(load<u16>(src, 4)));
    }
    put(i8x16.sub(low, top), d, dst);
    put(i8x16.sub(high, top), d, dst + 64);
  }
}

/** q4_1 and q5_1. */
export function decodeAffine(src: usize, dst: usize, blocks: i32, bits: i32): void {
  const codesAt: usize = bits === 4 ? 4 : 8;
  for (let i = 0; i < blocks; i++, src += codesAt + 16, dst += 128) {
    const d = halfAt(src);
    const min = halfAt(src + 2);
    const bytes = v128.load(src + codesAt);
    let low = lowNibbles(bytes);
    let high = highNibbles(bytes);
    if (bits === 5) {
      low = v128.or(low, fifthBits(load<u16>(src, 4)));
      high = v128.or(high, fifthBits(load<u16>(src, 6)));
    }
    putAffine(low, d, min, dst);
    putAffine(high, d, min, dst + 64);
  }
}

/** What 16 codes of 4 bits stand for, in the low and the high nibbles of 16 bytes. */
// @inline
function putTable(bytes: v128, table: v128, scale: v128, to: usize): void {
  put(i8x16.swizzle(table, lowNibbles(bytes)), scale, to);
  put(i8x16.swizzle(table, highNibbles(bytes)), scale, to + 64);
}

// @inline
function unevenValues(): v128 {
  return i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

// @inline
function fp4Values(): v128 {
  return i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

export function decodeIq4Nl(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 18, dst += 128) putTable(v128.load(src, 2), unevenValues(), halfAt(src), dst);
}

export function decodeIq4Xs(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 136) {
    const d = ofHalf(load<u16>(src));
    let high = <u32>load<u16>(src, 2);
    let low = load<u32>(src, 4);
    for (let at = src + 8; at < src + 136; at += 16, dst += 128, high >>>= 2, low >>>= 4) {
      const scale = <f32>(<i32>((low & 15) | ((high & 3) << 4)) - 32);
      putTable(v128.load(at), unevenValues(), f32x4.splat(d * scale), dst);
    }
  }
}

export function decodeMxfp4(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 17, dst += 128)
    putTable(v128.load(src, 1), fp4Values(), f32x4.splat(halfPower(load<u8>(src))), dst);
}

export function decodeNvfp4(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 36)
    for (let s: usize = 0; s < 4; s++, dst += 64) {
      const byte = <u32>load<u8>(src + s);
      const scale = f32x4.splat(byte === 127 ? 0 : halfE4m3(byte & 127));
      const bytes = v128.load64_zero(src + 4 + (s << 3));
      const codes = i64x2.replace_lane(lowNibbles(bytes), 1, i64x2.extract_lane(highNibbles(bytes), 0));
      put(i8x16.swizzle(fp4Values(), codes), scale, dst);
    }
}

export function decodeQ1(src: usize, dst: usize, blocks: i32): void {
  const bits = i32x4(1, 2, 4, 8);
  for (let i = 0; i < blocks; i++, src += 18) {
    const d = halfAt(src);
    for (let at = src + 2; at < src + 18; at++, dst += 32) {
      const byte = i32x4.splat(load<u8>(at));
      const low = i32x4.eq(v128.and(byte, bits), i32x4.splat(0));
      const high = i32x4.eq(v128.and(byte, i32x4.shl(bits, 4)), i32x4.splat(0));
      v128.store(dst, v128.xor(d, i32x4.shl(low, 31)));
      v128.store(dst, v128.xor(d, i32x4.shl(high, 31)), 16);
    }
  }
}

export function decodeQ2(src: usize, dst: usize, blocks: i32): void {
  const factors = i32x4(64, 16, 4, 1);
  for (let i = 0; i < blocks; i++, src += 18) {
    const d = halfAt(src);
    for (let at = src + 2; at < src + 18; at++, dst += 16) {
      const moved = i32x4.shr_u(i32x4.mul(i32x4.splat(load<u8>(at)), factors), 6);
      const code = i32x4.sub(v128.and(moved, i32x4.splat(3)), i32x4.splat(1));
      v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(code), d));
    }
  }
}

/** Pair `n` of each of 16 bytes. */
// @inline
export function pairsOf(bytes: v128, n: i32): v128 {
  return v128.and(i16x8.shr_u(bytes, 2 * n), i8x16.splat(3));
}

export function decodeTq2(src: usize, dst: usize, blocks: i32): void {
  const one = i8x16.splat(1);
  for (let i = 0; i < blocks; i++, src += 66) {
    const d = halfAt(src + 64);
    for (let half = src; half < src + 64; half += 32)
      for (let n = 0; n < 4; n++, dst += 128) {
        put(i8x16.sub(pairsOf(v128.load(half), n), one), d, dst);
        put(i8x16.sub(pairsOf(v128.load(half, 16), n), one), d, dst + 64);
      }
  }
}

/** The highest base-3 digit of 16 bytes, less 1. */
// @inline
function topDigits(bytes: v128): v128 {
  const digits = i8x16.add(i8x16.ge_u(bytes, i8x16.splat(<i8>86)), i8x16.ge_u(bytes, i8x16.splat(-85)));
  return i8x16.sub(i8x16.splat(-1), digits);
}

/** Five digits of 16 bytes, `apart` bytes of values apart: times three moves a digit to the top. */
// @inline
function putDigits(bytes: v128, d: v128, to: usize, apart: usize): void {
  for (let n = 0; n < 5; n++, to += apart) {
    put(topDigits(bytes), d, to);
    bytes = i8x16.add(bytes, i8x16.add(bytes, bytes));
  }
}

export function decodeTq1(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 54, dst += 1024) {
    const d = halfAt(src + 52);
    putDigits(v128.load(src), d, dst, 128);
    putDigits(v128.load(src, 16), d, dst + 64, 128);
    putDigits(v128.load(src, 32), d, dst + 640, 64);
    let bytes = v128.load32_zero(src, 48);
    for (let n: usize = 0; n < 64; n += 16) {
      const digits = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(topDigits(bytes)));
      v128.store(dst + 960 + n, f32x4.mul(f32x4.convert_i32x4_s(digits), d));
      bytes = i8x16.add(bytes, i8x16.add(bytes, bytes));
    }
  }
}
