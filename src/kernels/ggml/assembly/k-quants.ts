/** Super-blocks of 256: q2_k q3_k q4_k q5_k q6_k. AssemblyScript. */
import { narrow } from "./block";
import {
  gather,
  nearestInts,
  sumWeights,
  W,
  W2,
  weighImportance,
  weighMagnitudes,
  weighRaised,
  weighSquares,
  X,
  X2,
} from "./lanes";
import { makeQkx, makeQkxAbsolute } from "./make-qkx";
import { makeQp } from "./make-qp";
import { makeQ3, makeQx, SETS } from "./make-qx";
import { BYTES, packBits, packNibbles, packPairs } from "./pack";
import { EPSILON, nearest, ofHalf, storeHalf } from "./scalar";

const SUPER_BYTES: usize = 1024;

/** Up to 16 floats each. */
const SCALES: usize = 5120;
const MINS: usize = SCALES + 64;
const SUMS: usize = MINS + 64;
/** Up to 16 bytes each. */
const SCALE_CODES: usize = SUMS + 64;
const MIN_CODES: usize = SCALE_CODES + 16;
/** Of four groups of 16. */
const GROUP_CODES: usize = MIN_CODES + 16;

export function sumOfSquares(src: usize): f32 {
  let sum: f32 = 0;
  for (let at: usize = 0; at < SUPER_BYTES; at += 4) sum += load<f32>(src + at) * load<f32>(src + at);
  return sum;
}

/** Codes again for the scale and minimum that the block holds; a scale of zero keeps them. */
function requantize(src: usize, first: usize, n: usize, scale: f32, min: f32, low: i32, high: i32): void {
  if (scale === 0) return;
  const d = f32x4.splat(scale);
  const m = f32x4.splat(min);
  const least = i32x4.splat(low);
  const most = i32x4.splat(high);
  for (let i = first; i < first + n; i += 16) {
    const at = src + (i << 2);
    const a = nearestInts(f32x4.div(f32x4.add(v128.load(at), m), d), least, most);
    const b = nearestInts(f32x4.div(f32x4.add(v128.load(at, 16), m), d), least, most);
    const c = nearestInts(f32x4.div(f32x4.add(v128.load(at, 32), m), d), least, most);
    const e = nearestInts(f32x4.div(f32x4.add(v128.load(at, 48), m), d), least, most);
    const zero = i32x4.splat(-low);
    v128.store(BYTES + i, narrow(i32x4.add(a, zero), i32x4.add(b, zero), i32x4.add(c, zero), i32x4.add(e, zero)));
  }
}

/** Codes on the grid from 0 to the largest of n values; answers its step. */
function gridCodes(values: usize, n: i32, top: f32, codes: usize): f32 {
  let most: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(values + (i << 2));
    if (value > most) most = value;
  }
  const inverse: f32 = most > 0 ? top / most : 0;
  for (let i = 0; i < n; i++) store<u8>(codes + i, <u8>nearest(inverse * load<f32>(values + (i << 2))));
  return most / top;
}

function clampCodes(top: u8): void {
  for (let i = 0; i < 32; i++) store<u8>(SCALE_CODES + i, min(load<u8>(SCALE_CODES + i), top));
}

/** Scales and minima of all groups; `kind` 2, 4, 5 says which format, `weights` is 0 without importance. */
function affineScales(src: usize, d: usize, weights: usize, kind: i32): void {
  const n: usize = kind === 2 ? 16 : 32;
  const top = kind === 2 ? 3 : kind === 4 ? 15 : 31;
  const scaleTop = kind === 2 ? 15 : 63;
  const groups = <i32>(256 / n);
  const sum: f32 = weights === 0 ? 0 : sumOfSquares(src);
  const sigma2: f32 = kind === 2 ? sum / 256 : (2 * sum) / 256;
  for (let first: usize = 0; first < <usize>groups; first += 8) {
    const at = first * n * 4;
    const to = BYTES + first * n;
    const second = at + 16 * n;
    const scales = SCALES + (first << 2);
    const mins = MINS + (first << 2);
    gather(src + at, n * 4, <i32>n, X);
    gather(src + second, n * 4, <i32>n, X2);
    if (weights !== 0) {
      gather(weights + at, n * 4, <i32>n, W);
      gather(weights + second, n * 4, <i32>n, W2);
      weighImportance(<i32>n, f32x4.splat(sigma2), X, W);
      weighImportance(<i32>n, f32x4.splat(sigma2), X2, W2);
      v128.store(SUMS + (first << 2), sumWeights(<i32>n, W));
      v128.store(SUMS + (first << 2), sumWeights(<i32>n, W2), 16);
      makeQkx(<i32>n, top, -0.9, 0.05, 36, to, scales, mins);
    } else if (kind === 2) {
      weighMagnitudes(16, X, W);
      weighMagnitudes(16, X2, W2);
      makeQkxAbsolute(to, scales, mins);
    } else {
      weighRaised(32, X, W);
      weighRaised(32, X2, W2);
      if (kind === 4) makeQkx(32, 15, -1, 0.1, 20, to, scales, mins);
      else makeQkx(32, 31, -0.5, 0.1, 15, to, scales, mins);
    }
  }
  if (weights !== 0) {
    storeHalf(d, makeQp(groups, scaleTop, SCALES, SCALE_CODES, SUMS));
    storeHalf(d + 2, makeQp(groups, scaleTop, MINS, MIN_CODES, SUMS));
    if (kind === 5) clampCodes(63);
  } else {
    storeHalf(d, gridCodes(SCALES, groups, <f32>scaleTop, SCALE_CODES));
    storeHalf(d + 2, gridCodes(MINS, groups, <f32>scaleTop, MIN_CODES));
    if (kind !== 2) clampCodes(63);
  }
}

/** Codes again from d and dmin at `d` and the codes of the scales and minima. */
function requantizeAffine(src: usize, d: usize, n: usize, top: i32): void {
  const scale = ofHalf(load<u16>(d));
  const min = ofHalf(load<u16>(d + 2));
  for (let j: usize = 0; j < 256 / n; j++) {
    const code = <f32>load<u8>(SCALE_CODES + j);
    requantize(src, j * n, n, scale * code, min * <f32>load<u8>(MIN_CODES + j), 0, top);
  }
}

/** Twelve bytes of eight scales and minima of 6 bits; the codes become what was really stored. */
function packScales(to: usize): void {
  for (let j: usize = 0; j < 4; j++) {
    const s = load<u8>(SCALE_CODES + j + 4);
    const m = load<u8>(MIN_CODES + j + 4);
    store<u8>(to + j, load<u8>(SCALE_CODES + j) | ((s >> 4) << 6));
    store<u8>(to + j + 4, load<u8>(MIN_CODES + j) | ((m >> 4) << 6));
    store<u8>(to + j + 8, (s & 15) | ((m & 15) << 4));
  }
  for (let j: usize = 0; j < 4; j++) {
    const both = load<u8>(to + j + 8);
    const s = load<u8>(to + j);
    const m = load<u8>(to + j + 4);
    store<u8>(SCALE_CODES + j, s & 63);
    store<u8>(MIN_CODES + j, m & 63);
    store<u8>(SCALE_CODES + j + 4, (both & 15) | ((s >> 6) << 4));
    store<u8>(MIN_CODES + j + 4, (both >> 4) | ((m >> 6) << 4));
  }
}

function encodeQ2(src: usize, dst: usize, weights: usize): void {
  affineScales(src, dst + 80, weights, 2);
  for (let j: usize = 0; j < 16; j++) {
    const both = load<u8>(SCALE_CODES + j) | (load<u8>(MIN_CODES + j) << 4);
    store<u8>(dst + j, both);
    store<u8>(SCALE_CODES + j, both & 15);
    store<u8>(MIN_CODES + j, both >> 4);
  }
  requantizeAffine(src, dst + 80, 16, 3);
  packPairs(dst + 16, 0);
}

function encodeQ4(src: usize, dst: usize, weights: usize): void {
  affineScales(src, dst, weights, 4);
  packScales(dst + 4);
  requantizeAffine(src, dst, 32, 15);
  packNibbles(dst + 16, 32);
}

function encodeQ5(src: usize, dst: usize, weights: usize): void {
  affineScales(src, dst, weights, 5);
  packScales(dst + 4);
  requantizeAffine(src, dst, 32, 31);
  packBits(dst + 16, 4);
  packNibbles(dst + 48, 32);
}

/** The value of largest magnitude of n, the first of equals. */
export function peakOf(values: usize, n: usize): f32 {
  let peak: f32 = 0;
  for (let i: usize = 0; i < n << 2; i += 4) {
    const value = load<f32>(values + i);
    if (abs(value) > abs(peak)) peak = value;
  }
  return peak;
}

/** Scales of 16 groups; `kind` 3 or 6. */
function signedScales(src: usize, weights: usize, kind: i32): void {
  const top = kind === 3 ? 4 : 32;
  const sigma2: f32 = kind === 3 && weights !== 0 ? (2 * sumOfSquares(src)) / 256 : 0;
  for (let first: usize = 0; first < 16; first += 4) {
    gather(src + (first << 6), 64, 16, X);
    if (weights === 0) weighSquares(16);
    else {
      gather(weights + (first << 6), 64, 16, W);
      if (kind === 3) {
        weighImportance(16, f32x4.splat(sigma2), X, W);
        v128.store(SUMS + (first << 2), sumWeights(16, W));
      }
    }
    v128.store(SCALES + (first << 2), makeQx(16, top, BYTES + (first << 4)));
  }
}

/** Scales of the 16 groups of a q3_k block without weights. */
function q3Groups(src: usize): void {
  for (let first: usize = 0; first < 1024; first += 256) gather(src + first, 64, 16, SETS + first);
  makeQ3(BYTES, SCALES);
}

/** d; the codes of the scales, -32 to 31, become signed bytes. */
function q3Scales(weights: usize): f32 {
  if (weights !== 0) {
    // The 16 scales are one group more: in lane 0, the others copies of it.
    gather(SCALES, 0, 16, X);
    gather(SUMS, 0, 16, W);
    const scales = makeQx(16, 32, GROUP_CODES);
    v128.store(SCALE_CODES, i8x16.sub(v128.load(GROUP_CODES), i8x16.splat(32)));
    return f32x4.extract_lane(scales, 0);
  }
  const peak = peakOf(SCALES, 16);
  if (peak === 0) {
    memory.fill(SCALE_CODES, <u8>-32, 16);
    return 0;
  }
  const iscale: f32 = -32 / peak;
  for (let j: usize = 0; j < 16; j++) {
    const code = <i8>nearest(iscale * load<f32>(SCALES + (j << 2)));
    store<i8>(SCALE_CODES + j, max<i8>(-32, min<i8>(31, code)));
  }
  return 1 / iscale;
}

function packQ3Scales(to: usize): void {
  const shifted = i8x16.add(v128.load(SCALE_CODES), i8x16.splat(32));
  v128.store(MIN_CODES, shifted);
  for (let j: usize = 0; j < 8; j++)
    store<u8>(to + j, (load<u8>(MIN_CODES + j) & 15) | ((load<u8>(MIN_CODES + j + 8) & 15) << 4));
  for (let j: usize = 0; j < 4; j++) {
    let byte: u8 = 0;
    for (let k: usize = 0; k < 4; k++) byte |= (load<u8>(MIN_CODES + j + 4 * k) >> 4) << (2 * <u8>k);
    store<u8>(to + 8 + j, byte);
  }
}

function encodeQ3(src: usize, dst: usize, weights: usize): void {
  if (weights === 0) q3Groups(src);
  else signedScales(src, weights, 3);
  const d = storeHalf(dst + 108, q3Scales(weights));
  packQ3Scales(dst + 96);
  for (let j: usize = 0; j < 16; j++) requantize(src, j << 4, 16, d * <f32>load<i8>(SCALE_CODES + j), -0.0, -4, 3);
  packBits(dst, 2);
  packPairs(dst + 32, 0);
}

function encodeQ6(src: usize, dst: usize, weights: usize): void {
  signedScales(src, weights, 6);
  const peak = peakOf(SCALES, 16);
  if (abs(peak) < EPSILON) {
    memory.fill(dst, 0, 210);
    return;
  }
  const iscale: f32 = -128 / peak;
  const d = storeHalf(dst + 208, 1 / iscale);
  for (let j: usize = 0; j < 16; j++) {
    const code = <i8>min(127, nearest(iscale * load<f32>(SCALES + (j << 2))));
    store<i8>(dst + 192 + j, code);
    requantize(src, j << 4, 16, d * <f32>code, -0.0, -32, 31);
  }
  packNibbles(dst, 64);
  packPairs(dst + 128, 4);
}

/** Super-blocks of one row; `weights` is 0 without importance. */
export function encodeK(src: usize, dst: usize, blocks: i32, weights: usize, kind: i32): void {
  for (let i = 0; i < blocks; i++, src += SUPER_BYTES) {
    if (kind === 2) {
      encodeQ2(src, dst, weights);
      dst += 84;
    } else if (kind === 3) {
      encodeQ3(src, dst, weights);
      dst += 110;
    } else if (kind === 4) {
      encodeQ4(src, dst, weights);
      dst += 144;
    } else if (kind === 5) {
      encodeQ5(src, dst, weights);
      dst += 176;
    } else {
      encodeQ6(src, dst, weights);
      dst += 210;
    }
    if (weights !== 0) weights += SUPER_BYTES;
  }
}
