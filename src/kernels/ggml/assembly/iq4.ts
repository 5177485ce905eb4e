/** 4-bit codes of 16 uneven values: iq4_nl and iq4_xs. AssemblyScript. */
import { peakOf, sumOfSquares } from "./k-quants";
import { gather, nearestInts, sumSquares, W, weighImportance, weighSquares, X } from "./lanes";
import { peaks } from "./make-qx";
import { BYTES, packBlock } from "./pack";
import { EPSILON, storeHalf } from "./scalar";

const FLOATS: usize = 128;
/** Scales of up to eight blocks. */
const SCALES: usize = 5120;

/** What the codes stand for. */
const VALUES = memory.data<i8>([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);
/**
 * Between two values lies a border, a multiple of 1/2, from which on the upper one is nearer. For every 8 from -128 on: how many
 * borders lie below or at the beginning, and at which half of these 8 lies one more, 16 for none.
 */
const PASSED = memory.data<u8>([
  0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14, 15, 15, 15,
]);
const NEXT = memory.data<u8>([
  16, 9, 16, 16, 5, 16, 12, 16, 14, 16, 12, 16, 7, 16, 16, 7, 14, 16, 6, 15, 16, 11, 16, 10, 16, 14, 16, 16, 10, 16, 16,
  16,
]);
/** Halves are counted between these; and what leaves their number from -256 on in the low bits of a float32. */
const HALVES = memory.data<f32>([-256, 255, 8388864]);

/** Whole halves from -128 on, of [0, 511]; what is not a number has all. */
// @inline
function halvesOf(x: v128): v128 {
  const below = f32x4.pmin(v128.load32_splat(HALVES, 4), f32x4.add(x, x));
  const whole = f32x4.floor(f32x4.pmax(v128.load32_splat(HALVES), below));
  return v128.and(f32x4.add(whole, v128.load32_splat(HALVES, 8)), i32x4.splat(511));
}

/** A byte of a table of 32 for each of 16 numbers; `upper` is less by 16. */
// @inline
function lookUp(table: usize, numbers: v128, upper: v128): v128 {
  return v128.or(i8x16.swizzle(v128.load(table), numbers), i8x16.swizzle(v128.load(table, 16), upper));
}

/** Codes of the values nearest to 16 values, the upper ones of ties. */
// @inline
function nearestCodes(a: v128, b: v128, c: v128, d: v128): v128 {
  const low = i16x8.narrow_i32x4_s(halvesOf(a), halvesOf(b));
  const high = i16x8.narrow_i32x4_s(halvesOf(c), halvesOf(d));
  const eighths = i8x16.narrow_i16x8_u(i16x8.shr_u(low, 4), i16x8.shr_u(high, 4));
  const fifteen = i16x8.splat(15);
  const rests = i8x16.narrow_i16x8_u(v128.and(low, fifteen), v128.and(high, fifteen));
  const upper = i8x16.sub(eighths, i8x16.splat(16));
  return i8x16.sub(lookUp(PASSED, eighths, upper), i8x16.ge_u(rests, lookUp(NEXT, eighths, upper)));
}

let sumqx: v128 = f32x4.splat(0);
let sumq2: v128 = f32x4.splat(0);

// @inline
function weighted(at: usize, q: v128): v128 {
  return f32x4.mul(v128.load(W + at), q);
}

function sumNearest(id: v128): void {
  let qx = f32x4.splat(0);
  let q2 = f32x4.splat(0);
  for (let at: usize = 0; at < 512; at += 64) {
    const a = v128.load(X + at);
    const b = v128.load(X + at, 16);
    const c = v128.load(X + at, 32);
    const d = v128.load(X + at, 48);
    const codes = nearestCodes(f32x4.mul(id, a), f32x4.mul(id, b), f32x4.mul(id, c), f32x4.mul(id, d));
    const values = i8x16.swizzle(v128.load(VALUES), codes);
    const low = i16x8.extend_low_i8x16_s(values);
    const high = i16x8.extend_high_i8x16_s(values);
    const qa = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low));
    const qb = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low));
    const qc = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high));
    const qd = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high));
    const wa = weighted(at, qa);
    const wb = weighted(at + 16, qb);
    const wc = weighted(at + 32, qc);
    const wd = weighted(at + 48, qd);
    qx = f32x4.add(f32x4.add(qx, f32x4.mul(wa, a)), f32x4.mul(wb, b));
    qx = f32x4.add(f32x4.add(qx, f32x4.mul(wc, c)), f32x4.mul(wd, d));
    q2 = f32x4.add(f32x4.add(q2, f32x4.mul(wa, qa)), f32x4.mul(wb, qb));
    q2 = f32x4.add(f32x4.add(q2, f32x4.mul(wc, qc)), f32x4.mul(wd, qd));
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
  return nearestCodes(
    f32x4.mul(id, v128.load(src)),
    f32x4.mul(id, v128.load(src, 16)),
    f32x4.mul(id, v128.load(src, 32)),
    f32x4.mul(id, v128.load(src, 48)),
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
    if (weights !== 0) weighImportance(32, f32x4.mul(sumSquares(32, X), f32x4.splat(2.0 / 32.0)), X, W);
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
    if (weights !== 0) weighImportance(32, sigma2, X, W);
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
