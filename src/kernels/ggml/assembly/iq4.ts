/** 4-bit codes of 16 uneven values: iq4_nl and iq4_xs. AssemblyScript. */
import { narrow } from "./block";
import { peakOf, sumOfSquares } from "./k-quants";
import { gather, nearestInts, peaks, sumSquares, W, weighImportance, weighSquares, X } from "./lanes";
import { BYTES, packBlock } from "./pack";
import { EPSILON, storeHalf } from "./scalar";

const FLOATS: usize = 128;
/** Scales of up to eight blocks. */
const SCALES: usize = 5120;

/** `more` where x has passed the border; what is not a number passes all. */
function climb(q: v128, x: v128, border: f32, more: f32): v128 {
  return f32x4.add(q, v128.andnot(f32x4.splat(more), f32x4.lt(x, f32x4.splat(border))));
}

/** The value nearest to each x, the upper one of a tie. */
function nearestValues(x: v128): v128 {
  let q = f32x4.splat(-127);
  q = climb(q, x, -115.5, 23);
  q = climb(q, x, -93.5, 21);
  q = climb(q, x, -74, 18);
  q = climb(q, x, -57, 16);
  q = climb(q, x, -42, 14);
  q = climb(q, x, -28.5, 13);
  q = climb(q, x, -16, 12);
  q = climb(q, x, -4.5, 11);
  q = climb(q, x, 7, 12);
  q = climb(q, x, 19, 12);
  q = climb(q, x, 31.5, 13);
  q = climb(q, x, 45.5, 15);
  q = climb(q, x, 61, 16);
  q = climb(q, x, 79, 20);
  q = climb(q, x, 101, 24);
  return q;
}

function count(code: v128, x: v128, border: f32): v128 {
  return i32x4.add(code, v128.andnot(i32x4.splat(1), f32x4.lt(x, f32x4.splat(border))));
}

/** Codes of those values. */
function nearestCodes(x: v128): v128 {
  let code = i32x4.splat(0);
  code = count(code, x, -115.5);
  code = count(code, x, -93.5);
  code = count(code, x, -74);
  code = count(code, x, -57);
  code = count(code, x, -42);
  code = count(code, x, -28.5);
  code = count(code, x, -16);
  code = count(code, x, -4.5);
  code = count(code, x, 7);
  code = count(code, x, 19);
  code = count(code, x, 31.5);
  code = count(code, x, 45.5);
  code = count(code, x, 61);
  code = count(code, x, 79);
  code = count(code, x, 101);
  return code;
}

let sumqx: v128 = f32x4.splat(0);
let sumq2: v128 = f32x4.splat(0);

function sumNearest(id: v128): void {
  let qx = f32x4.splat(0);
  let q2 = f32x4.splat(0);
  for (let at: usize = 0; at < 512; at += 16) {
    const x = v128.load(X + at);
    const q = nearestValues(f32x4.mul(id, x));
    const wq = f32x4.mul(v128.load(W + at), q);
    qx = f32x4.add(qx, f32x4.mul(wq, x));
    q2 = f32x4.add(q2, f32x4.mul(wq, q));
  }
  sumqx = qx;
  sumq2 = q2;
}

/** Scales of least weighted error of four blocks. */
function searchScales(): v128 {
  const zero = f32x4.splat(0);
  const peak = peaks(512);
  const none = f32x4.lt(f32x4.abs(peak), f32x4.splat(EPSILON));
  sumNearest(f32x4.div(f32x4.splat(1), f32x4.div(f32x4.neg(peak), f32x4.splat(-127))));
  let d = v128.and(f32x4.div(sumqx, sumq2), f32x4.gt(sumq2, zero));
  let best = f32x4.mul(d, sumqx);
  for (let step = -7; step <= 7; step++) {
    sumNearest(f32x4.div(f32x4.splat(<f32>(step - 127)), peak));
    const grows = f32x4.gt(f32x4.mul(sumqx, sumqx), f32x4.mul(best, sumq2));
    const better = v128.and(f32x4.gt(sumq2, zero), grows);
    d = v128.bitselect(f32x4.div(sumqx, sumq2), d, better);
    best = v128.bitselect(f32x4.mul(d, sumqx), best, better);
  }
  return v128.andnot(d, none);
}

function reciprocal(d: f32): f32 {
  return d === 0 ? 0 : 1 / d;
}

/** Sixteen codes of values times id. */
function codesOf(src: usize, id: v128): v128 {
  return narrow(
    nearestCodes(f32x4.mul(id, v128.load(src))),
    nearestCodes(f32x4.mul(id, v128.load(src, 16))),
    nearestCodes(f32x4.mul(id, v128.load(src, 32))),
    nearestCodes(f32x4.mul(id, v128.load(src, 48))),
  );
}

function encodeCodes(src: usize, dst: usize, id: f32): void {
  const factor = f32x4.splat(id);
  v128.store(BYTES, codesOf(src, factor));
  v128.store(BYTES + 16, codesOf(src + 64, factor));
  packBlock(BYTES, dst);
}

/** Values and weights of four blocks into place; with a stride of 0 four times the same block. */
function prepare(src: usize, weights: usize, stride: usize): void {
  gather(src, stride, 32, X);
  if (weights === 0) weighSquares(32);
  else gather(weights, stride, 32, W);
}

/** Blocks of one row; `weights` is 0 without importance. */
export function encodeIq4Nl(src: usize, dst: usize, blocks: i32, weights: usize): void {
  for (let i = 0; i < blocks; ) {
    const together = blocks - i >= 4 ? 4 : 1;
    prepare(src, weights, together === 4 ? FLOATS : 0);
    if (weights !== 0) weighImportance(32, f32x4.mul(sumSquares(32), f32x4.splat(2.0 / 32.0)));
    v128.store(SCALES, searchScales());
    for (let k = 0; k < together; k++, src += FLOATS, dst += 18) {
      const d = load<f32>(SCALES + (k << 2));
      storeHalf(dst, d);
      encodeCodes(src, dst + 2, reciprocal(d));
    }
    if (weights !== 0) weights += FLOATS * together;
    i += together;
  }
}

/** One super-block. */
function encodeXs(src: usize, dst: usize, weights: usize): void {
  const sigma2 = f32x4.splat(weights === 0 ? 0 : sumOfSquares(src) * <f32>(2.0 / 256.0));
  for (let half: usize = 0; half < 2; half++) {
    prepare(src + 512 * half, weights === 0 ? 0 : weights + 512 * half, FLOATS);
    if (weights !== 0) weighImportance(32, sigma2);
    v128.store(SCALES + 16 * half, searchScales());
  }
  const d: f32 = -peakOf(SCALES, 8) / 32;
  const id = reciprocal(d);
  storeHalf(dst, d);
  let high: u32 = 0;
  let low: u32 = 0;
  for (let block: usize = 0; block < 8; block++) {
    const exact = f32x4.splat(id * load<f32>(SCALES + (block << 2)));
    const scale = i32x4.extract_lane(nearestInts(exact, i32x4.splat(-32), i32x4.splat(31)), 0);
    encodeCodes(src + FLOATS * block, dst + 8 + (block << 4), reciprocal(d * <f32>scale));
    low |= ((scale + 32) & 15) << (4 * <u32>block);
    high |= ((scale + 32) >> 4) << (2 * <u32>block);
  }
  store<u16>(dst + 2, <u16>high);
  store<u32>(dst + 4, low);
}

/** Super-blocks of one row; `weights` is 0 without importance. */
export function encodeIq4Xs(src: usize, dst: usize, blocks: i32, weights: usize): void {
  for (let i = 0; i < blocks; i++, src += 1024, dst += 136) {
    encodeXs(src, dst, weights);
    if (weights !== 0) weights += 1024;
  }
}
