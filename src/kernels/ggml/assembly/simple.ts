/** Blocks of 32: q4_0 q4_1 q5_0 q5_1 q8_0. AssemblyScript. */
import { CODES, gather, makeQkx, makeQx, mins, scales, W, weighImportance, X } from "./lanes";
import { BYTES, highBits, narrow, packBlock } from "./pack";
import { storeHalf } from "./scalar";

const FLOATS: usize = 128;

function largestLane(a: v128): f32 {
  const b = f32x4.max(a, i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return max(f32x4.extract_lane(b, 0), f32x4.extract_lane(b, 1));
}

function smallestLane(a: v128): f32 {
  const b = f32x4.min(a, i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return min(f32x4.extract_lane(b, 0), f32x4.extract_lane(b, 1));
}

function largestMagnitude(src: usize): f32 {
  let most = f32x4.abs(v128.load(src));
  for (let at: usize = 16; at < FLOATS; at += 16) most = f32x4.max(most, f32x4.abs(v128.load(src + at)));
  return largestLane(most);
}

/** The first value of magnitude `most`; 0 in a block of zeros. */
function peakOf(src: usize, most: f32): f32 {
  if (most === 0) return 0;
  const wanted = f32x4.splat(most);
  for (let at: usize = 0; at < FLOATS; at += 16) {
    const found = i32x4.bitmask(f32x4.eq(f32x4.abs(v128.load(src + at)), wanted));
    if (found !== 0) return load<f32>(src + at + <usize>(ctz(found) << 2));
  }
  return 0;
}

/** The first value that equals `value`: zeros keep the sign that C finds first. */
function firstEqual(src: usize, value: f32): f32 {
  for (let at: usize = 0; at < FLOATS; at += 4) if (load<f32>(src + at) === value) return load<f32>(src + at);
  return value;
}

function reciprocal(d: f32): f32 {
  return d === 0 ? 0 : 1 / d;
}

/** Codes trunc((x - min) * id + offset), at most `top`; an infinite id gives 0 everywhere. */
function truncate(src: usize, least: f32, id: f32, offset: f32, top: i32): void {
  if (!(abs(id) < Infinity)) {
    memory.fill(BYTES, 0, 32);
    return;
  }
  const m = f32x4.splat(least);
  const factor = f32x4.splat(id);
  const add = f32x4.splat(offset);
  const high = i8x16.splat(<i8>top);
  for (let half: usize = 0; half < 2; half++) {
    const at = src + 64 * half;
    const a = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at), m), factor), add));
    const b = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 16), m), factor), add));
    const c = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 32), m), factor), add));
    const d = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 48), m), factor), add));
    v128.store(BYTES + 16 * half, i8x16.min_u(narrow(a, b, c, d), high));
  }
}

/** Writes the codes of `bits` bits; answers where the block ends. */
function pack(codes: usize, to: usize, bits: i32): usize {
  if (bits === 5) {
    store<u32>(to, highBits(codes));
    to += 4;
  }
  packBlock(codes, to);
  return to + 16;
}

/** q4_0 and q5_0 without importance. */
export function encodeSigned(src: usize, dst: usize, blocks: i32, bits: i32): void {
  const top: i32 = 1 << (bits - 1);
  for (let i = 0; i < blocks; i++, src += FLOATS) {
    const d: f32 = peakOf(src, largestMagnitude(src)) / <f32>-top;
    storeHalf(dst, d);
    truncate(src, 0, reciprocal(d), <f32>top + 0.5, 2 * top - 1);
    dst = pack(BYTES, dst + 2, bits);
  }
}

/** q4_1 and q5_1 without importance. */
export function encodeAffine(src: usize, dst: usize, blocks: i32, bits: i32): void {
  const top: i32 = (1 << bits) - 1;
  for (let i = 0; i < blocks; i++, src += FLOATS) {
    let low = v128.load(src);
    let high = low;
    for (let at: usize = 16; at < FLOATS; at += 16) {
      low = f32x4.min(low, v128.load(src + at));
      high = f32x4.max(high, v128.load(src + at));
    }
    let least = smallestLane(low);
    const most = largestLane(high);
    if (least === 0) least = firstEqual(src, 0);
    const d: f32 = most === least ? 0 : (most - least) / <f32>top;
    storeHalf(dst, d);
    storeHalf(dst + 2, least);
    truncate(src, least, reciprocal(d), 0.5, top);
    dst = pack(BYTES, dst + 4, bits);
  }
}

/** Lane `lane` of the float codes as bytes, `offset` added. */
function lanesToBytes(lane: usize, offset: i32): void {
  for (let i: usize = 0; i < 32; i++)
    store<u8>(BYTES + i, <u8>(<i32>load<f32>(CODES + (i << 4) + (lane << 2)) + offset));
}

function laneOf(values: v128, index: i32): f32 {
  v128.store(BYTES + 64, values);
  return load<f32>(BYTES + 64 + <usize>(index << 2));
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
  for (let i = 0; i < blocks; ) {
    const count = blocks - i >= 4 ? 4 : 1;
    const stride = count === 4 ? FLOATS : 0;
    gather(src, stride, 32, X);
    gather(weights, stride, 32, W);
    weighImportance(32, f32x4.splat(sigma2));
    if (affine) makeQkx(32, (1 << bits) - 1, -0.9, 0.05, 36, false);
    else makeQx(32, 1 << (bits - 1));
    for (let k = 0; k < count; k++) {
      storeHalf(dst, laneOf(scales, k));
      if (affine) storeHalf(dst + 2, -laneOf(mins, k));
      lanesToBytes(<usize>k, affine ? 0 : 1 << (bits - 1));
      dst = pack(BYTES, dst + (affine ? 4 : 2), bits);
    }
    src += FLOATS * <usize>count;
    weights += FLOATS * <usize>count;
    i += count;
  }
}

/** Half away from zero: a quarter of a step lost by adding 0.5 would show. */
function rounded(x: v128): v128 {
  const whole = f32x4.trunc(x);
  const away = f32x4.ge(f32x4.abs(f32x4.sub(x, whole)), f32x4.splat(0.5));
  const one = v128.or(v128.and(x, i32x4.splat(i32.MIN_VALUE)), f32x4.splat(1));
  return i32x4.trunc_sat_f32x4_s(f32x4.add(whole, v128.and(one, away)));
}

export function encodeBytes(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += FLOATS, dst += 34) {
    const d: f32 = largestMagnitude(src) / 127;
    const id = reciprocal(d);
    storeHalf(dst, d);
    if (!(id < Infinity)) {
      memory.fill(dst + 2, 0, 32);
      continue;
    }
    const factor = f32x4.splat(id);
    for (let half: usize = 0; half < 2; half++) {
      const at = src + 64 * half;
      const ab = i16x8.narrow_i32x4_s(
        rounded(f32x4.mul(v128.load(at), factor)),
        rounded(f32x4.mul(v128.load(at, 16), factor)),
      );
      const cd = i16x8.narrow_i32x4_s(
        rounded(f32x4.mul(v128.load(at, 32), factor)),
        rounded(f32x4.mul(v128.load(at, 48), factor)),
      );
      v128.store(dst + 2 + 16 * half, i8x16.narrow_i16x8_s(ab, cd));
    }
  }
}
