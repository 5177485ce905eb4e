/** Blocks of 32: q4_0 q4_1 q5_0 q5_1 q8_0. AssemblyScript. */
import {
  extremeOfEach,
  extremes,
  haveHalves,
  joinNibbles,
  largest,
  NO_NUMBER,
  narrowPushed,
  pushed,
  reciprocals,
  verdict,
} from "./block";
import { gather, W, W2, weighImportance, X, X2 } from "./lanes";
import { makeQkx } from "./make-qkx";
import { makeQx } from "./make-qx";
import { BYTES, highBits, packBlock } from "./pack";
import { firstBadFloat, halves } from "./plain";
import { storeHalf } from "./scalar";

const FLOATS: usize = 128;
/** Of four blocks: the least value, the inverse of the scale, and what stands before the codes. */
const LEAST: usize = BYTES + 256;
const INVERSE: usize = LEAST + 16;
const HEADS: usize = INVERSE + 16;
/** Of up to eight blocks. */
const SCALES: usize = LEAST;
const MINS: usize = SCALES + 32;

/** The first value of magnitude `most`; 0 in a block of zeros. */
function firstPeak(src: usize, most: f32): f32 {
  if (most === 0) return 0;
  for (let at: usize = 0; at < FLOATS; at += 4) if (abs(load<f32>(src + at)) === most) return load<f32>(src + at);
  return 0;
}

/** The first value that equals `value`: zeros keep the sign that C finds first. */
function firstEqual(src: usize, value: f32): f32 {
  for (let at: usize = 0; at < FLOATS; at += 4) if (load<f32>(src + at) === value) return load<f32>(src + at);
  return value;
}

/** Codes trunc((x - min) * id + 0.5), at most `top`, where the scale is infinite; 0 where its inverse is. */
function truncate(src: usize, least: f32, id: f32, top: i32): void {
  memory.fill(BYTES, 0, 32);
  if (!(abs(id) < Infinity)) return;
  for (let i = 0; i < 32; i++) {
    const code = <i32>(<i8>(<i32>((load<f32>(src + (i << 2)) - least) * id + 0.5)));
    store<u8>(BYTES + i, <u8>min(code, top));
  }
}

/** Writes 32 codes; answers where the block ends. */
function pack(codes: usize, to: usize, bits: i32): usize {
  if (bits === 5) {
    store<u32>(to, highBits(codes));
    to += 4;
  }
  packBlock(codes, to);
  return to + 16;
}

/** Of 4 and of 5 bits what is added before rounding down and the highest code; then the same of codes above a minimum. */
const ROUNDING = memory.data<f32>([8.5, 15, 16.5, 31, 0.5]);
const SIXTEEN = memory.data<f32>([16]);

/** Codes of four values as float32; those above a minimum do not pass the highest one. */
// @inline
function code(at: usize, bits: i32, affine: bool, least: v128, id: v128): v128 {
  const rounding = affine ? ROUNDING + 16 : bits === 4 ? ROUNDING : ROUNDING + 8;
  const x = v128.load(at);
  const scaled = f32x4.mul(affine ? f32x4.sub(x, least) : x, id);
  const floor = f32x4.floor(f32x4.add(scaled, v128.load32_splat(rounding)));
  return affine ? floor : f32x4.pmin(floor, v128.load32_splat(rounding, 4));
}

/** Codes of four values and, times 16, those of the four that are 16 behind them. */
// @inline
function pair(at: usize, affine: bool, least: v128, id: v128): v128 {
  const high = f32x4.mul(code(at + 64, 4, affine, least, id), v128.load32_splat(SIXTEEN));
  return pushed(f32x4.add(code(at, 4, affine, least, id), high));
}

/** Codes of 4 bits of a block; answers what was pushed. */
// @inline
function storeNibbles(src: usize, to: usize, affine: bool, least: v128, id: v128): v128 {
  const a = pair(src, affine, least, id);
  const b = pair(src + 16, affine, least, id);
  const c = pair(src + 32, affine, least, id);
  const d = pair(src + 48, affine, least, id);
  v128.store(to, narrowPushed(a, b, c, d));
  return v128.or(v128.or(a, b), v128.or(c, d));
}

/** What was pushed of the last sixteen values. */
let seen: v128 = i32x4.splat(0);

/** Sixteen codes of 5 bits. */
// @inline
function sixteen(at: usize, affine: bool, least: v128, id: v128): v128 {
  const a = pushed(code(at, 5, affine, least, id));
  const b = pushed(code(at + 16, 5, affine, least, id));
  const c = pushed(code(at + 32, 5, affine, least, id));
  const d = pushed(code(at + 48, 5, affine, least, id));
  seen = v128.or(v128.or(a, b), v128.or(c, d));
  return narrowPushed(a, b, c, d);
}

/** Codes of 5 bits of a block; answers what was pushed. */
// @inline
function storeFive(src: usize, to: usize, affine: bool, least: v128, id: v128): v128 {
  const a = sixteen(src, affine, least, id);
  const first = seen;
  const b = sixteen(src + 64, affine, least, id);
  const high = <u32>i8x16.bitmask(i16x8.shl(a, 3)) | ((<u32>i8x16.bitmask(i16x8.shl(b, 3))) << 16);
  store<u32>(to, high);
  v128.store(to, joinNibbles(a, b), 4);
  return v128.or(first, seen);
}

// @inline
function storeCodes(src: usize, to: usize, bits: i32, affine: bool, least: v128, id: v128): v128 {
  return bits === 4 ? storeNibbles(src, to, affine, least, id) : storeFive(src, to, affine, least, id);
}

/** Extremes of four blocks, `stride` bytes apart. */
// @inline
function extremesOfFour(src: usize, stride: usize, isMax: bool): v128 {
  return extremeOfEach(
    extremes(src, 32, isMax),
    extremes(src + stride, 32, isMax),
    extremes(src + 2 * stride, 32, isMax),
    extremes(src + 3 * stride, 32, isMax),
    isMax,
  );
}

/** The value of largest magnitude of each of four blocks, the first of equals. */
// @inline
function peaksOfFour(src: usize, stride: usize): v128 {
  const high = extremesOfFour(src, stride, true);
  const low = f32x4.neg(extremesOfFour(src, stride, false));
  const peaks = v128.bitselect(high, f32x4.neg(low), f32x4.gt(high, low));
  const ties = f32x4.eq(high, low);
  return v128.any_true(ties) ? firstOfEach(src, stride, peaks, ties, true) : peaks;
}

/** The smallest value of each of four blocks. */
// @inline
function leastOfFour(src: usize, stride: usize): v128 {
  const least = extremesOfFour(src, stride, false);
  const zeros = f32x4.eq(least, f32x4.splat(0));
  return v128.any_true(zeros) ? firstOfEach(src, stride, least, zeros, false) : least;
}

/** Extremes of four blocks with the first value that C would take where `doubtful`: by magnitude, or by value. */
function firstOfEach(src: usize, stride: usize, found: v128, doubtful: v128, byMagnitude: bool): v128 {
  v128.store(LEAST, found);
  for (let k = 0; k < 4; k++, src += stride) {
    if (!((i32x4.bitmask(doubtful) >> k) & 1)) continue;
    const value = load<f32>(LEAST + (k << 2));
    store<f32>(LEAST + (k << 2), byMagnitude ? firstPeak(src, abs(value)) : firstEqual(src, value));
  }
  return v128.load(LEAST);
}

/** Codes of a block beside which, or in which, a scale or its inverse is infinite; answers whether its values are finite. */
function encodeUnusual(src: usize, to: usize, bits: i32, affine: bool, least: f32, id: f32): bool {
  if (abs(id) < Infinity && !(affine && id === 0)) {
    storeCodes(src, to, bits, affine, f32x4.splat(least), f32x4.splat(id));
  } else {
    truncate(src, least, id, (1 << bits) - 1);
    pack(BYTES, to, bits);
  }
  return firstBadFloat(src, 32) < 0;
}

/**
 * Blocks of q4_0 and q5_0, or of q4_1 and q5_1, without importance, four at a time; the last ones alone. Answers as `verdict`
 * says.
 */
// @inline
function encodeFours(src: usize, dst: usize, blocks: i32, bits: i32, affine: bool): i32 {
  const top: i32 = affine ? (1 << bits) - 1 : 1 << (bits - 1);
  const head: usize = affine ? 4 : 2;
  const bytes: usize = head + (bits === 4 ? 16 : 20);
  let sane = i32x4.splat(-1);
  let seen = i32x4.splat(0);
  while (blocks > 0) {
    const count = blocks >= 4 ? 4 : 1;
    const stride = count === 4 ? FLOATS : 0;
    // Dividing by a power of two is multiplying by its inverse.
    const least = affine ? leastOfFour(src, stride) : peaksOfFour(src, stride);
    const d = affine
      ? f32x4.div(f32x4.sub(extremesOfFour(src, stride, true), least), f32x4.splat(<f32>top))
      : f32x4.mul(least, f32x4.splat(-1 / <f32>top));
    const id = reciprocals(d);
    sane = v128.and(sane, haveHalves(d));
    if (affine) sane = v128.and(sane, haveHalves(least));
    v128.store(LEAST, least);
    v128.store(INVERSE, id);
    v128.store(HEADS, affine ? v128.or(halves(d), i32x4.shl(halves(least), 16)) : halves(d));
    const ordinary = i32x4.all_true(
      v128.and(f32x4.lt(f32x4.abs(id), f32x4.splat(Infinity)), f32x4.lt(f32x4.abs(d), f32x4.splat(Infinity))),
    );
    for (let at: usize = 0; at < <usize>(count << 2); at += 4, src += FLOATS, dst += bytes) {
      if (affine) store<u32>(dst, load<u32>(HEADS + at));
      else store<u16>(dst, load<u16>(HEADS + at));
      if (ordinary) {
        const scale = v128.load32_splat(INVERSE + at);
        seen = v128.or(seen, storeCodes(src, dst + head, bits, affine, v128.load32_splat(LEAST + at), scale));
      } else if (!encodeUnusual(src, dst + head, bits, affine, load<f32>(LEAST + at), load<f32>(INVERSE + at)))
        sane = i32x4.splat(0);
    }
    blocks -= count;
  }
  return verdict(v128.and(sane, i32x4.eq(v128.and(seen, i32x4.splat(NO_NUMBER)), i32x4.splat(0))));
}

/** q4_0 and q5_0 without importance. */
export function encodeSigned(src: usize, dst: usize, blocks: i32, bits: i32): i32 {
  return bits === 4 ? encodeFours(src, dst, blocks, 4, false) : encodeFours(src, dst, blocks, 5, false);
}

/** q4_1 and q5_1 without importance. */
export function encodeAffine(src: usize, dst: usize, blocks: i32, bits: i32): i32 {
  return bits === 4 ? encodeFours(src, dst, blocks, 4, true) : encodeFours(src, dst, blocks, 5, true);
}

/** Values and weights of four blocks, ready to be searched. */
// @inline
function prepare(src: usize, weights: usize, stride: usize, sigma2: f32, x: usize, w: usize): void {
  gather(src, stride, 32, x);
  gather(weights, stride, 32, w);
  weighImportance(32, f32x4.splat(sigma2), x, w);
}

/** Codes of up to eight blocks, two sets of four, at `BYTES`; scales at `SCALES`, minima at `MINS`. */
function searchAffine(src: usize, weights: usize, count: i32, sigma2: f32, top: i32): void {
  const stride = count >= 4 ? FLOATS : 0;
  const second = count === 8 ? 4 * FLOATS : 0;
  prepare(src, weights, stride, sigma2, X, W);
  prepare(src + second, weights + second, stride, sigma2, X2, W2);
  makeQkx(32, top, -0.9, 0.05, 36, BYTES, SCALES, MINS);
}

/** The same of up to four blocks without minima. */
function searchSigned(src: usize, weights: usize, count: i32, sigma2: f32, top: i32): void {
  prepare(src, weights, count === 4 ? FLOATS : 0, sigma2, X, W);
  v128.store(SCALES, makeQx(32, top, BYTES));
}

/** The four formats with importance; blocks of one row, `weights` theirs, sigma2 the mean square of the row. */
export function encodeWeighted(
  src: usize,
  dst: usize,
  blocks: i32,
  weights: usize,
  sigma2: f32,
  bits: i32,
  affine: bool,
): void {
  while (blocks > 0) {
    const count = affine && blocks >= 8 ? 8 : blocks >= 4 ? 4 : 1;
    if (affine) searchAffine(src, weights, count, sigma2, (1 << bits) - 1);
    else searchSigned(src, weights, count, sigma2, 1 << (bits - 1));
    for (let k: usize = 0; k < <usize>count; k++) {
      storeHalf(dst, load<f32>(SCALES + (k << 2)));
      if (affine) storeHalf(dst + 2, -load<f32>(MINS + (k << 2)));
      dst = pack(BYTES + (k << 5), dst + (affine ? 4 : 2), bits);
    }
    src += FLOATS * <usize>count;
    weights += FLOATS * <usize>count;
    blocks -= count;
  }
}

/** Four values rounded half away from zero: the float32 below 0.5 is enough to carry what is half. */
// @inline
function rounded(at: usize, id: v128): v128 {
  const x = f32x4.mul(v128.load(at), id);
  const half = v128.or(v128.and(x, i32x4.splat(i32.MIN_VALUE)), f32x4.splat(0.49999997));
  const magic = f32x4.splat(12582912);
  return i32x4.sub(f32x4.add(f32x4.trunc(f32x4.add(x, half)), magic), magic);
}

// @inline
function sixteenBytes(at: usize, id: v128): v128 {
  const ab = i16x8.narrow_i32x4_s(rounded(at, id), rounded(at + 16, id));
  const cd = i16x8.narrow_i32x4_s(rounded(at + 32, id), rounded(at + 48, id));
  return i8x16.narrow_i16x8_s(ab, cd);
}

/** q8_0. Answers as `verdict` says. */
export function encodeBytes(src: usize, dst: usize, blocks: i32): i32 {
  let sane = i32x4.splat(-1);
  for (let i = 0; i < blocks; i++, src += FLOATS, dst += 34) {
    const d = f32x4.div(largest(src, 32), f32x4.splat(127));
    const id = reciprocals(d);
    sane = v128.and(sane, haveHalves(d));
    v128.store16_lane(dst, halves(d), 0);
    if (!(f32x4.extract_lane(id, 0) < Infinity)) {
      memory.fill(dst + 2, 0, 32);
      continue;
    }
    v128.store(dst, sixteenBytes(src, id), 2);
    v128.store(dst, sixteenBytes(src + 64, id), 18);
  }
  return verdict(sane);
}
