/** Values of the K-quants' super-blocks. AssemblyScript. */
import { highNibbles, lowNibbles, pairsOf, put, putAffine } from "./decode";
import { ofHalf } from "./scalar";

/** Bit `n` of 16 bytes. */
// @inline
function bitMask(n: i32): v128 {
  return i8x16.splat(<i8>((<i32>1) << n));
}

export function decodeQ2K(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 84) {
    const d = ofHalf(load<u16>(src, 80));
    const dmin = ofHalf(load<u16>(src, 82));
    let sub = src;
    for (let half = src + 16; half < src + 80; half += 32)
      for (let n = 0; n < 4; n++)
        for (let at = half; at < half + 32; at += 16, sub++, dst += 64) {
          const both = <u32>load<u8>(sub);
          const min = f32x4.splat(-(dmin * <f32>(both >>> 4)));
          putAffine(pairsOf(v128.load(at), n), f32x4.splat(d * <f32>(both & 15)), min, dst);
        }
  }
}

/** The signed scales of q3_k, 6 bits each. */
// @inline
function scaleQ3(at: usize, j: usize): f32 {
  const nibble = <i32>(load<u8>(at + (j & 7)) >> (j < 8 ? 0 : 4)) & 15;
  const high = (<i32>load<u8>(at + 8 + (j & 3)) >> ((<i32>(j >> 2)) << 1)) & 3;
  return <f32>((nibble | (high << 4)) - 32);
}

/** Bit `n` of 16 bytes as 4 where it is not set. */
// @inline
function missing(bytes: v128, n: i32): v128 {
  const bit = bitMask(n);
  return v128.andnot(i8x16.splat(4), i8x16.eq(v128.and(bytes, bit), bit));
}

export function decodeQ3K(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 110) {
    const d = ofHalf(load<u16>(src, 108));
    for (let j: usize = 0; j < 16; j++, dst += 64) {
      const part: usize = (j & 1) << 4;
      const pairs = pairsOf(v128.load(src + 32 + ((j >> 3) << 5) + part), <i32>(j >> 1) & 3);
      const codes = i8x16.sub(pairs, missing(v128.load(src + part), <i32>(j >> 1)));
      put(codes, f32x4.splat(d * scaleQ3(src + 96, j)), dst);
    }
  }
}

/** Scale j of the twelve bytes of q4_k and q5_k. */
// @inline
function scaleOf(at: usize, j: usize): f32 {
  if (j < 4) return <f32>(<i32>load<u8>(at + j) & 63);
  return <f32>((<i32>load<u8>(at + j + 4) & 15) | ((<i32>load<u8>(at + j - 4) >> 6) << 4));
}

// @inline
function minOf(at: usize, j: usize): f32 {
  if (j < 4) return <f32>(<i32>load<u8>(at + j + 4) & 63);
  return <f32>((<i32>load<u8>(at + j + 4) >> 4) | ((<i32>load<u8>(at + j) >> 6) << 4));
}

export function decodeQ4K(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 144) {
    const d = ofHalf(load<u16>(src));
    const dmin = ofHalf(load<u16>(src, 2));
    for (let j: usize = 0; j < 8; j++, dst += 128) {
      const scale = f32x4.splat(d * scaleOf(src + 4, j));
      const min = f32x4.splat(-(dmin * minOf(src + 4, j)));
      const a = v128.load(src + 16 + ((j >> 1) << 5));
      const b = v128.load(src + 32 + ((j >> 1) << 5));
      putAffine(j & 1 ? highNibbles(a) : lowNibbles(a), scale, min, dst);
      putAffine(j & 1 ? highNibbles(b) : lowNibbles(b), scale, min, dst + 64);
    }
  }
}

/** Bit `n` of 16 bytes as 16. */
// @inline
function sixteens(bytes: v128, n: i32): v128 {
  const bit = bitMask(n);
  return v128.and(i8x16.splat(16), i8x16.eq(v128.and(bytes, bit), bit));
}

export function decodeQ5K(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 176) {
    const d = ofHalf(load<u16>(src));
    const dmin = ofHalf(load<u16>(src, 2));
    for (let j: usize = 0; j < 8; j++, dst += 128) {
      const scale = f32x4.splat(d * scaleOf(src + 4, j));
      const min = f32x4.splat(-(dmin * minOf(src + 4, j)));
      const a = v128.load(src + 48 + ((j >> 1) << 5));
      const b = v128.load(src + 64 + ((j >> 1) << 5));
      const low = v128.or(j & 1 ? highNibbles(a) : lowNibbles(a), sixteens(v128.load(src, 16), <i32>j));
      const high = v128.or(j & 1 ? highNibbles(b) : lowNibbles(b), sixteens(v128.load(src, 32), <i32>j));
      putAffine(low, scale, min, dst);
      putAffine(high, scale, min, dst + 64);
    }
  }
}

export function decodeQ6K(src: usize, dst: usize, blocks: i32): void {
  const offset = i8x16.splat(32);
  for (let i = 0; i < blocks; i++, src += 210) {
    const d = ofHalf(load<u16>(src, 208));
    for (let j: usize = 0; j < 16; j++, dst += 64) {
      const nibbles = v128.load(src + ((j >> 3) << 6) + ((j & 3) << 4));
      const pairs = pairsOf(v128.load(src + 128 + ((j >> 3) << 5) + ((j & 1) << 4)), <i32>(j >> 1) & 3);
      const low = j & 4 ? highNibbles(nibbles) : lowNibbles(nibbles);
      const codes = i8x16.sub(v128.or(low, i16x8.shl(pairs, 4)), offset);
      put(codes, f32x4.splat(d * <f32>load<i8>(src + 192 + j)), dst);
    }
  }
}
