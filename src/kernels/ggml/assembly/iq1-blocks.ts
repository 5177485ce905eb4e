/** Super-blocks of iq1_s and iq1_m, as in `iq1-s.ts` and `iq1-m.ts`. AssemblyScript. */
import { largest, narrow } from "./block";
import { RESULT, trySplits } from "./iq1";
import { nearestOfEight } from "./iq1-neighbours";
import { placeOf } from "./neighbours";
import { halfOf, nearest, storeHalf } from "./scalar";

/** Weights of the super-block, and what the levels of its values stand for. */
const WEIGHTS: usize = 45056;
const VALUES: usize = WEIGHTS + 1024;
/** Sums of sorted values, as the split searches want them. */
const SUMS: usize = VALUES + 1024;
/** How many values of the sub-block are smaller, and which value has that many. */
const RANKS: usize = SUMS + 384;
const ORDER: usize = RANKS + 128;
const SCALES: usize = ORDER + 32;
const SHIFTS: usize = SCALES + 64;
/** Codes, then indices, of the groups of a sub-block. */
const CODES: usize = SHIFTS + 16;

/** What the levels stand for, shifted up and down. */
const SHIFTED = memory.data<f32>([-0.875, 0.125, 1.125, 0, -1.125, -0.125, 0.875, 0]);
const LANES = memory.data<i32>([0, 1, 2, 3]);

let hasNoCode: bool = false;
/** Of the sub-block at hand. */
let scale: f32 = 0;
let shift: i32 = 0;

function weigh(x: usize, weights: usize): void {
  let sum: f32 = 0;
  for (let at: usize = 0; at < 1024; at += 4) sum += load<f32>(x + at) * load<f32>(x + at);
  const sigma = f32x4.splat((2 * sum) / 256);
  for (let at: usize = 0; at < 1024; at += 16) {
    const value = v128.load(x + at);
    const square = f32x4.mul(value, value);
    if (weights === 0) v128.store(WEIGHTS + at, square);
    else v128.store(WEIGHTS + at, f32x4.mul(v128.load(weights + at), f32x4.sqrt(f32x4.add(sigma, square))));
  }
}

/** Ranks of four values: how many are smaller, or equal and before. */
function rankFour(x: usize, first: usize, n: usize): v128 {
  const mine = v128.load(x + (first << 2));
  const lanes = v128.load(LANES);
  let below = i32x4.splat(0);
  let j: usize = 0;
  for (; j < first; j++) below = i32x4.add(below, f32x4.le(v128.load32_splat(x + (j << 2)), mine));
  for (; j < first + 4; j++) {
    const other = v128.load32_splat(x + (j << 2));
    const before = i32x4.lt_s(i32x4.splat(<i32>(j - first)), lanes);
    below = i32x4.add(below, v128.or(f32x4.lt(other, mine), v128.and(f32x4.eq(other, mine), before)));
  }
  for (; j < n; j++) below = i32x4.add(below, f32x4.lt(v128.load32_splat(x + (j << 2)), mine));
  return i32x4.neg(below);
}

function rank(x: usize, n: usize): void {
  for (let i: usize = 0; i < n; i += 4) v128.store(RANKS + (i << 2), rankFour(x, i, n));
  for (let i: usize = 0; i < n; i++) store<u8>(ORDER + <usize>load<u32>(RANKS + (i << 2)), <u8>i);
}

/** iq1_s: 33 sums of w x, and 40 floats on of w. */
function sumSorted(x: usize, w: usize): void {
  let sumX: f32 = 0;
  let sumW: f32 = 0;
  store<f32>(SUMS, 0);
  store<f32>(SUMS, 0, 160);
  for (let j: usize = 0; j < 32; j++) {
    const i = (<usize>load<u8>(ORDER + j)) << 2;
    sumX += load<f32>(w + i) * load<f32>(x + i);
    sumW += load<f32>(w + i);
    store<f32>(SUMS + (j << 2), sumX, 4);
    store<f32>(SUMS + (j << 2), sumW, 164);
  }
}

/** Lanes of a value of either half: its w x and w count there. */
const HALVES = memory.data<i32>([-1, -1, 0, 0, 0, 0, -1, -1]);

/** iq1_m: 17 sums each of w x and w of both halves, 24 floats apart. */
function sumHalves(x: usize, w: usize): void {
  let sum = f32x4.splat(0);
  for (let at: usize = SUMS, j: usize = 0; ; at += 4, j++) {
    v128.store32_lane(at, sum, 0);
    v128.store32_lane(at, sum, 2, 96);
    v128.store32_lane(at, sum, 1, 192);
    v128.store32_lane(at, sum, 3, 288);
    if (j === 16) break;
    const i = <usize>load<u8>(ORDER + j);
    const weight = v128.load32_splat(w + (i << 2));
    const product = f32x4.mul(weight, v128.load32_splat(x + (i << 2)));
    const both = i8x16.shuffle(product, weight, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    sum = f32x4.add(sum, v128.and(both, v128.load(HALVES + ((i >> 3) << 4))));
  }
}

// @inline
function levelsOf(at: usize, first: v128, second: v128): v128 {
  const ranks = v128.load(RANKS + (at << 2));
  return i32x4.add(i32x4.splat(2), i32x4.add(i32x4.lt_s(ranks, first), i32x4.lt_s(ranks, second)));
}

/** Codes of the split; a negative scale turns levels and shifts round, of which `highest` is the last. */
function splitCodes(n: usize, highest: i32): void {
  const first = i32x4.splat(load<i32>(RESULT));
  const second = i32x4.splat(load<i32>(RESULT, 4));
  const turned = scale < 0;
  for (let at: usize = 0; at < n; at += 16) {
    let levels = narrow(
      levelsOf(at, first, second),
      levelsOf(at + 4, first, second),
      levelsOf(at + 8, first, second),
      levelsOf(at + 12, first, second),
    );
    if (turned) levels = i8x16.sub(i8x16.splat(2), levels);
    const bytes = i32x4.shr_u(i32x4.mul(levels, i32x4.splat(0x01041040)), 24);
    store<u16>(CODES + (at >> 2), <u16>(i32x4.extract_lane(bytes, 0) | (i32x4.extract_lane(bytes, 1) << 8)));
    store<u16>(CODES + (at >> 2), <u16>(i32x4.extract_lane(bytes, 2) | (i32x4.extract_lane(bytes, 3) << 8)), 2);
  }
  if (!turned) return;
  scale = -scale;
  shift = highest - shift;
}

/** Where the values of the levels of group k are. */
// @inline
function valuesOf(k: i32, n: usize): usize {
  const down = n === 32 ? shift : (shift >> (1 - k)) & 1;
  return SHIFTED + ((<usize>down) << 4);
}

/** What the levels in the four lowest pairs of bits of a code stand for. */
// @inline
function fourValues(levels: v128, code: i32): v128 {
  const pairs = i32x4.shr_u(i32x4.mul(i32x4.splat(code & 255), i32x4(64, 16, 4, 1)), 6);
  const places = i32x4.mul(v128.and(pairs, i32x4.splat(3)), i32x4.splat(0x04040404));
  return i8x16.swizzle(levels, i32x4.add(places, i32x4.splat(0x03020100)));
}

/** Puts each group on the grid, `CODES` become indices and `VALUES` are filled. True if all were on it. */
function toGrid(x: usize, w: usize, n: usize, values: usize): bool {
  let all = true;
  for (let k = 0; k < <i32>n / 8; k++) {
    const table = valuesOf(k, n);
    let code = <i32>load<u16>(CODES + (k << 1));
    const place = placeOf(code);
    if (place < 0) {
      all = false;
      const from = (<usize>k) << 5;
      const near = nearestOfEight(place, x + from, w + from, f32x4.mul(f32x4.splat(scale), v128.load(table)));
      if (near < 0) hasNoCode = true;
      else code = near;
    }
    store<u16>(CODES + (k << 1), <u16>placeOf(code));
    const at = values + ((<usize>k) << 5);
    const levels = v128.load(table);
    v128.store(at, fourValues(levels, code));
    v128.store(at, fourValues(levels, code >> 8), 16);
  }
  return all;
}

/** Scale of least error for the levels; the one before where that has no meaning. */
function scaleOfLevels(x: usize, w: usize, n: usize, values: usize): f32 {
  let qx: f32 = 0;
  let q2: f32 = 0;
  for (let at: usize = 0; at < n << 2; at += 4) {
    const q = load<f32>(values + at);
    const wq = load<f32>(w + at) * q;
    qx += wq * load<f32>(x + at);
    q2 += wq * q;
  }
  return qx > 0 && q2 > 0 ? qx / q2 : scale;
}

/** Searches sub-block `sub` of n values; false if it stays zero. */
function searchSub(x: usize, sub: usize, n: usize, epsilon: f32): bool {
  const at = (sub * n) << 2;
  x += at;
  const w = WEIGHTS + at;
  if (f32x4.extract_lane(largest(x, <i32>n), 0) < epsilon) return false;
  rank(x, n);
  if (n === 32) sumSorted(x, w);
  else sumHalves(x, w);
  shift = trySplits(SUMS, n);
  if (shift < 0) return false;
  scale = load<f32>(RESULT, 8);
  splitCodes(n, n === 32 ? 1 : 3);
  if (!toGrid(x, w, n, VALUES + at)) scale = scaleOfLevels(x, w, n, VALUES + at);
  if (!(scale >= 0)) hasNoCode = true;
  return true;
}

/** Codes of scales d (2 l + 1), l from 0 to 7. */
function scaleCode(id: f32, value: f32): i32 {
  return max(0, min(7, nearest(<f32>0.5 * (id * value - 1))));
}

function encodeS(x: usize, dst: usize, weights: usize): void {
  memory.fill(dst, 0, 50);
  weigh(x, weights);
  let most: f32 = 0;
  for (let sub: usize = 0; sub < 8; sub++) {
    if (searchSub(x, sub, 32, 1e-12)) {
      let high = shift << 15;
      for (let k: usize = 0; k < 4; k++) {
        const index = <i32>load<u16>(CODES + (k << 1));
        store<u8>(dst + 2 + (sub << 2) + k, <u8>index);
        high |= (index >> 8) << (3 * <i32>k);
      }
      store<u16>(dst + 34 + (sub << 1), <u16>high);
    } else scale = 0;
    store<f32>(SCALES + (sub << 2), scale);
    if (!(most > scale)) most = scale;
  }
  const d: f32 = most / 15;
  storeHalf(dst, d * 1.125);
  const id: f32 = 1 / d;
  for (let sub: usize = 0; sub < 8; sub++) {
    const high = dst + 35 + (sub << 1);
    if (most === 0) store<u8>(high, load<u8>(high) & 0x7f);
    else store<u8>(high, load<u8>(high) | <u8>(scaleCode(id, load<f32>(SCALES + (sub << 2))) << 4));
  }
}

/** The scale of least error for all levels and codes of scales. */
function scaleOfAll(x: usize, dst: usize, d: f32): f32 {
  const id: f32 = 1 / d;
  let qx: f32 = 0;
  let q2: f32 = 0;
  for (let sub: usize = 0; sub < 16; sub++) {
    const code = scaleCode(id, load<f32>(SCALES + (sub << 2)));
    const word = dst + 48 + ((sub >> 2) << 1);
    store<u16>(word, load<u16>(word) | <u16>(code << (3 * (<i32>sub & 3))));
    for (let at = sub << 6; at < (sub + 1) << 6; at += 4) {
      const q = load<f32>(VALUES + at) * <f32>((code << 1) + 1);
      const wq = load<f32>(WEIGHTS + at) * q;
      qx += wq * load<f32>(x + at);
      q2 += wq * q;
    }
  }
  return q2 > 0 ? qx / q2 : d;
}

/** Indices and shifts of a sub-block of iq1_m; those of zeros are the first point's, shifted up. */
function storeSub(dst: usize, sub: usize): void {
  const first = <i32>load<u16>(CODES);
  const second = <i32>load<u16>(CODES, 2);
  store<u8>(dst + (sub << 1), <u8>first);
  store<u8>(dst + (sub << 1), <u8>second, 1);
  store<u8>(dst + 32 + sub, <u8>((first >> 8) | ((second >> 8) << 4)));
}

function encodeM(x: usize, dst: usize, weights: usize): void {
  memory.fill(dst, 0, 56);
  weigh(x, weights);
  let most: f32 = 0;
  for (let sub: usize = 0; sub < 16; sub++) {
    const found = searchSub(x, sub, 16, 1e-7);
    if (found) storeSub(dst, sub);
    else {
      scale = 0;
      shift = 0;
      const up = f32x4.splat(load<f32>(SHIFTED));
      for (let at = sub << 6; at < (sub + 1) << 6; at += 16) v128.store(VALUES + at, up);
    }
    store<u8>(SHIFTS + sub, <u8>shift);
    store<f32>(SCALES + (sub << 2), scale);
    if (!(most > scale)) most = scale;
  }
  if (most === 0) return;
  const bits = halfOf(scaleOfAll(x, dst, most / 15) * 1.1125);
  for (let sub: usize = 0; sub < 16; sub++) {
    const two = <u32>load<u8>(SHIFTS + sub);
    store<u8>(dst + 32 + sub, load<u8>(dst + 32 + sub) | <u8>(((two & 2) << 2) | ((two & 1) << 7)));
  }
  for (let word: u32 = 0; word < 4; word++) {
    const at = dst + 49 + (word << 1);
    store<u8>(at, load<u8>(at) | <u8>(((bits >>> (4 * word)) & 15) << 4));
  }
}

/** Super-blocks of one row; `weights` is 0 without importance. Answers the first that has no code, or -1. */
export function encodeIq1(src: usize, dst: usize, blocks: i32, weights: usize, isM: bool): i32 {
  memory.fill(SUMS, 255, 384);
  for (let i = 0; i < blocks; i++, src += 1024) {
    hasNoCode = false;
    if (isM) encodeM(src, dst, weights);
    else encodeS(src, dst, weights);
    if (hasNoCode) return i;
    dst += isM ? 56 : 50;
    if (weights !== 0) weights += 1024;
  }
  return -1;
}
