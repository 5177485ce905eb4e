/** The search of the IQ2 and IQ3 types, as in `lattice-search.ts`. AssemblyScript. */
import { extreme, extremes, narrow, spread } from "./block";
import { nearestInts } from "./lanes";
import { makeQp } from "./make-qp";
import { forgetGroups, limitSteps, placeOf, setGroups, storeNearest } from "./neighbours";

const MAGNITUDES: usize = 5120;
const WEIGHTS: usize = MAGNITUDES + 128;
const ROOTS: usize = WEIGHTS + 128;
/** Weights times magnitudes. */
const PRODUCTS: usize = ROOTS + 128;
/** Levels l of the sub-block, as bytes 2 l + 1. */
const LEVELS: usize = PRODUCTS + 128;
/** Of every value its root and twice that times its magnitude, side by side. */
const PAIRS: usize = 5696;
/** What the search says of a super-block: grid indices, signs, which sub-blocks were zero, scales. */
const INDICES: usize = 6144;
const SIGNS: usize = INDICES + 128;
const SKIPPED: usize = SIGNS + 32;
const SCALES: usize = SKIPPED + 16;
/** Of up to 32 tried scales: levels, sums of w q x and w q q, what is divided by the maximum, inverse scales, scales. */
const TRIALS: usize = 36864;
const SUMS_QX: usize = TRIALS + 1024;
const SUMS_Q2: usize = SUMS_QX + 128;
const NUMERATORS: usize = SUMS_Q2 + 128;
const INVERSES: usize = NUMERATORS + 128;
const STEPS: usize = INVERSES + 128;
/** Codes of the tried scales, group by group, 64 bytes each. */
const CODES: usize = STEPS + 128;

let coordinates: i32 = 8;
let sub: i32 = 16;
let top: i32 = 3;
let evenSigns: bool = false;
let epsilon: f32 = 0;
let steps: i32 = 9;
/** 0 those off the grid, 1 all if any is off the grid, 2 all. */
let refine: i32 = 0;
let searchesMaximum: bool = false;
let hasNoCode: bool = false;
/** Of the sub-block at hand: the scale of least error so far, and a bit for each group whose code for it is off the grid. */
let bestScale: f32 = 0;
let offGrid: i32 = 0;

export function setSearch(
  length: i32,
  levelCount: i32,
  even: bool,
  least: f32,
  stepCount: i32,
  stepSize: f32,
  refines: i32,
  ownMaximum: bool,
): void {
  coordinates = levelCount === 3 ? 8 : 4;
  sub = length;
  top = levelCount;
  evenSigns = even;
  epsilon = least;
  steps = stepCount;
  refine = refines;
  searchesMaximum = ownMaximum;
  for (let k = 0; k < 32; k++) store<f32>(NUMERATORS + (k << 2), <f32>((top << 1) - 1) + <f32>(k - steps) * stepSize);
  setGroups(MAGNITUDES, ROOTS, PAIRS);
}

/** The first place of eight that costs least, one by one: costs may be no numbers. */
function slowCheapest(a: v128, b: v128): i32 {
  v128.store(TRIALS, a);
  v128.store(TRIALS, b, 16);
  let cheapest = 0;
  for (let i = 1; i < 8; i++) if (load<f32>(TRIALS + (i << 2)) < load<f32>(TRIALS + (cheapest << 2))) cheapest = i;
  return cheapest;
}

/** Cost of the signs of four values. */
// @inline
function signCosts(x: v128, at: usize): v128 {
  return f32x4.mul(f32x4.mul(v128.load(WEIGHTS + at), x), x);
}

/** Turns the magnitude negative whose sign costs least; answers its place. */
function flipCheapest(x: usize, at: usize): i32 {
  const a = signCosts(v128.load(x + at), at);
  const b = signCosts(v128.load(x + at, 16), at + 16);
  const least = spread(extreme(a, b, false), false);
  const isNumber = v128.and(f32x4.eq(a, a), f32x4.eq(b, b));
  const isLeast = i32x4.bitmask(f32x4.eq(a, least)) | (i32x4.bitmask(f32x4.eq(b, least)) << 4);
  const cheapest = i32x4.all_true(isNumber) ? ctz(isLeast) : slowCheapest(a, b);
  const place = MAGNITUDES + at + ((<usize>cheapest) << 2);
  store<f32>(place, -load<f32>(place));
  return cheapest;
}

/** Magnitudes and sign bits of eight values. */
function splitSigns(x: usize, at: usize): i32 {
  const a = v128.load(x + at);
  const b = v128.load(x + at, 16);
  v128.store(MAGNITUDES + at, f32x4.abs(a));
  v128.store(MAGNITUDES + at, f32x4.abs(b), 16);
  const zero = f32x4.splat(0);
  const signs = i32x4.bitmask(f32x4.lt(a, zero)) | (i32x4.bitmask(f32x4.lt(b, zero)) << 4);
  if (!evenSigns) return signs;
  return (popcnt(signs) & 1 ? signs ^ (1 << flipCheapest(x, at)) : signs) & 127;
}

/**
 * 1 and 1.5 * 2^24, whose last bit is 2: added to a value it gives half of it, ties to even, in its last bits. In memory:
 * a constant vector would be put together again in every turn of a loop.
 */
const ROUNDING = memory.data<f32>([1, 25165824]);

/** Nearest levels of four values; `fast` where their products with `id` are below 2^22. */
// @inline
function nearestLevels(id: v128, at: usize, fast: bool): v128 {
  const scaled = f32x4.sub(f32x4.mul(id, v128.load(MAGNITUDES + at)), v128.load32_splat(ROUNDING));
  if (!fast) return nearestInts(f32x4.mul(f32x4.splat(0.5), scaled), i32x4.splat(0), i32x4.splat(255));
  const magic = v128.load32_splat(ROUNDING, 4);
  return i32x4.sub(f32x4.add(scaled, magic), magic);
}

/** Codes of four groups of four levels, each in 32 bits. */
// @inline
function codesOfFour(levels: v128): v128 {
  const pairs = v128.or(v128.and(levels, i16x8.splat(7)), i16x8.shr_u(levels, 5));
  return v128.or(v128.and(pairs, i32x4.splat(63)), i32x4.shr_u(pairs, 10));
}

/** Half the codes of two groups of eight levels, each in 32 bits. */
// @inline
function halfCodes(levels: v128): v128 {
  return i32x4.shr_u(i32x4.mul(levels, i32x4.splat(0x01041040)), 24);
}

/** Rounds the sub-block at an inverse scale: levels go to `out`, codes to `codes`. */
// @inline
function round(inverse: f32, out: usize, codes: usize, fast: bool): void {
  const id = f32x4.splat(inverse);
  const most = i8x16.splat(<i8>(top - 1));
  for (let at: usize = 0; at < <usize>sub; at += 16, codes += (16 * 64) / <usize>coordinates) {
    const from = at << 2;
    const a = nearestLevels(id, from, fast);
    const b = nearestLevels(id, from + 16, fast);
    const c = nearestLevels(id, from + 32, fast);
    const levels = i8x16.min_u(narrow(a, b, c, nearestLevels(id, from + 48, fast)), most);
    v128.store(out + at, i8x16.add(i8x16.add(levels, levels), i8x16.splat(1)));
    if (coordinates === 8) {
      const two = halfCodes(levels);
      const whole = v128.or(two, i64x2.shr_u(two, 24));
      v128.store16_lane(codes, whole, 0);
      v128.store16_lane(codes, whole, 4, 64);
    } else {
      const four = codesOfFour(levels);
      v128.store16_lane(codes, four, 0);
      v128.store16_lane(codes, four, 2, 64);
      v128.store16_lane(codes, four, 4, 128);
      v128.store16_lane(codes, four, 6, 192);
    }
  }
}

/** Rounds at `count` inverse scales, of which the last is the largest; `most` is the largest magnitude. */
function roundAll(count: i32, most: f32): void {
  const fast = load<f32>(INVERSES + ((count - 1) << 2)) * most < 4194304;
  for (let k: usize = 0; k < <usize>count; k++) {
    const inverse = load<f32>(INVERSES + (k << 2));
    if (fast) round(inverse, TRIALS + (k << 5), CODES + (k << 1), true);
    else round(inverse, TRIALS + (k << 5), CODES + (k << 1), false);
  }
}

/** Bits of the first 32 codes of a group that differ from the next. */
// @inline
function changes(codes: usize): u32 {
  const a = i16x8.ne(v128.load(codes), v128.load(codes, 2));
  const b = i16x8.ne(v128.load(codes, 16), v128.load(codes, 18));
  const c = i16x8.ne(v128.load(codes, 32), v128.load(codes, 34));
  const d = i16x8.ne(v128.load(codes, 48), v128.load(codes, 50));
  return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(a, b)) | ((<u32>i8x16.bitmask(i8x16.narrow_i16x8_s(c, d))) << 16);
}

/** Gives a group the best neighbours under all scales whose code is off the grid. Neighbouring scales mostly have the same code. */
function settle(group: usize, count: u32): void {
  const codes = CODES + (group << 6);
  const out = TRIALS + group * <usize>coordinates;
  const last: u32 = 1 << (count - 1);
  let ends = (changes(codes) & (last - 1)) | last;
  for (let first: usize = 0; ends !== 0; ends &= ends - 1) {
    const end = <usize>ctz(ends) + 1;
    const place = placeOf(load<u16>(codes + (first << 1)));
    if (place < 0 && !storeNearest(place, group, STEPS + (first << 2), end - first, out + (first << 5)))
      hasNoCode = true;
    first = end;
  }
}

/** Bytes of two trials in turns. */
// @inline
function interleaved(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

/** One of four values under four trials, of 16 bytes. */
// @inline
function levelsFrom(q: v128, isHigh: bool, isUpper: bool): v128 {
  const eight = isHigh ? i16x8.extend_high_i8x16_u(q) : i16x8.extend_low_i8x16_u(q);
  return f32x4.convert_i32x4_s(isUpper ? i32x4.extend_high_i16x8_u(eight) : i32x4.extend_low_i16x8_u(eight));
}

/** w q x of one value under four trials. */
// @inline
function product(at: usize, q: v128): v128 {
  return f32x4.mul(v128.load32_splat(at, PRODUCTS), q);
}

/** w q q of one value under four trials. */
// @inline
function square(at: usize, q: v128): v128 {
  return f32x4.mul(f32x4.mul(v128.load32_splat(at, WEIGHTS), q), q);
}

/** Transposes four values each of four trials: 16 bytes, the trials of each value side by side. */
// @inline
function transposed(ab: v128, cd: v128, isHigh: bool): v128 {
  return isHigh
    ? i8x16.shuffle(ab, cd, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31)
    : i8x16.shuffle(ab, cd, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
}

/** Puts the sums of w q x and w q q, q = 2 l + 1, of the four trials from number `k` on: a lane is a trial, so each keeps the order of its values. */
function sumTrials(k: i32): void {
  const trials = TRIALS + ((<usize>k) << 5);
  let qx = f32x4.splat(0);
  let q2 = qx;
  for (let at: usize = 0; at < <usize>sub; at += 8) {
    const from = trials + at;
    const ab = interleaved(v128.load64_zero(from), v128.load64_zero(from, 32));
    const cd = interleaved(v128.load64_zero(from, 64), v128.load64_zero(from, 96));
    const first = transposed(ab, cd, false);
    const second = transposed(ab, cd, true);
    const a = levelsFrom(first, false, false);
    const b = levelsFrom(first, false, true);
    const c = levelsFrom(first, true, false);
    const d = levelsFrom(first, true, true);
    const e = levelsFrom(second, false, false);
    const f = levelsFrom(second, false, true);
    const g = levelsFrom(second, true, false);
    const h = levelsFrom(second, true, true);
    const place = at << 2;
    qx = f32x4.add(f32x4.add(qx, product(place, a)), product(place + 4, b));
    qx = f32x4.add(f32x4.add(qx, product(place + 8, c)), product(place + 12, d));
    qx = f32x4.add(f32x4.add(qx, product(place + 16, e)), product(place + 20, f));
    qx = f32x4.add(f32x4.add(qx, product(place + 24, g)), product(place + 28, h));
    q2 = f32x4.add(f32x4.add(q2, square(place, a)), square(place + 4, b));
    q2 = f32x4.add(f32x4.add(q2, square(place + 8, c)), square(place + 12, d));
    q2 = f32x4.add(f32x4.add(q2, square(place + 16, e)), square(place + 20, f));
    q2 = f32x4.add(f32x4.add(q2, square(place + 24, g)), square(place + 28, h));
  }
  v128.store(k << 2, qx, SUMS_QX);
  v128.store(k << 2, q2, SUMS_Q2);
}

/** Puts the scales that are tried and their inverses into place. */
function spreadScales(most: f32): void {
  const divisor = f32x4.splat(most);
  for (let at: usize = 0; at < 128; at += 16) {
    const inverse = f32x4.div(v128.load(NUMERATORS + at), divisor);
    v128.store(INVERSES + at, inverse);
    v128.store(STEPS + at, f32x4.div(f32x4.splat(1), inverse));
  }
  limitSteps(load<f32>(STEPS, 124), load<f32>(STEPS));
}

/** The trial of least error, -1 where none is better than nothing; its scale is in `bestScale`. */
function bestTrial(count: i32): i32 {
  let best: f32 = 0;
  let chosen = -1;
  for (let k = 0; k < count; k++) {
    const qx = load<f32>(SUMS_QX + (k << 2));
    const q2 = load<f32>(SUMS_Q2 + (k << 2));
    if (!(q2 > 0 && qx * qx > best * q2)) continue;
    bestScale = qx / q2;
    best = bestScale * qx;
    chosen = k;
  }
  return chosen;
}

/** Tries all scales up to that of `most`; the levels of the best are in `LEVELS`, its groups off the grid in `offGrid`. */
function tryScales(most: f32, largest: f32): void {
  const count = 2 * steps + 1;
  spreadScales(most);
  roundAll(count, largest);
  for (let group = 0; group < sub / coordinates; group++) settle(group, count);
  for (let k = 0; k < count; k += 4) sumTrials(k);
  const chosen = bestTrial(count);
  if (chosen < 0) return;
  v128.store(LEVELS, v128.load(TRIALS + (chosen << 5)));
  v128.store(LEVELS, v128.load(TRIALS + (chosen << 5), 16), 16);
  offGrid = 0;
  for (let group = 0; group < sub / coordinates; group++)
    if (placeOf(load<u16>(CODES + (group << 6) + (chosen << 1))) < 0) offGrid |= 1 << group;
}

/** Levels again for the scale that was found, then the scale again for the levels. */
function refineLevels(scale: f32, largest: f32): f32 {
  store<f32>(INVERSES, 1 / scale);
  store<f32>(STEPS, scale);
  limitSteps(scale, scale);
  roundAll(1, largest);
  for (let group = 0, at = 0; at < sub; at += coordinates, group++) {
    if (refine === 0 && ((offGrid >> group) & 1) === 0) continue;
    settle(group, 1);
    memory.copy(LEVELS + at, TRIALS + at, coordinates);
  }
  let qx: f32 = 0;
  let q2: f32 = 0;
  for (let i = 0; i < sub; i++) {
    const q = <f32>load<u8>(LEVELS + i);
    qx += load<f32>(PRODUCTS + (i << 2)) * q;
    q2 += load<f32>(WEIGHTS + (i << 2)) * q * q;
  }
  return q2 > 0 ? qx / q2 : scale;
}

/** Scale of a sub-block whose signs are split and whose weights are in place; -Infinity where it counts as zero. */
function searchScale(): f32 {
  const largest = f32x4.extract_lane(spread(extremes(MAGNITUDES, sub, true), true), 0);
  if (largest < epsilon || largest === 0) return -Infinity;
  let most = largest;
  bestScale = most / <f32>((top << 1) - 1);
  if (searchesMaximum) {
    bestScale = makeQp(sub, top + 1, MAGNITUDES, TRIALS, WEIGHTS);
    most = bestScale * <f32>top;
    if (most <= 0) return -Infinity;
  }
  offGrid = refine === 1 ? 255 : 0;
  forgetGroups();
  tryScales(most, largest);
  return bestScale > 0 && (refine === 2 || offGrid !== 0) ? refineLevels(bestScale, largest) : bestScale;
}

/** The code of a group of `LEVELS`. */
function codeOf(at: usize): i32 {
  const levels = i8x16.shr_u(v128.load(LEVELS + at), 1);
  if (coordinates === 4) return i32x4.extract_lane(codesOfFour(levels), 0);
  const codes = halfCodes(levels);
  return i32x4.extract_lane(codes, 0) | (i32x4.extract_lane(codes, 1) << 8);
}

function searchSub(x: usize, index: i32): f32 {
  const signs = SIGNS + (index * sub) / 8;
  for (let k = 0; k < sub / 8; k++) store<u8>(signs + k, <u8>splitSigns(x, (<usize>k) << 5));
  for (let i: usize = 0; i < <usize>(sub << 2); i += 16) {
    const w = v128.load(WEIGHTS + i);
    const x = v128.load(MAGNITUDES + i);
    const root = f32x4.sqrt(w);
    v128.store(ROOTS + i, root);
    v128.store(PRODUCTS + i, f32x4.mul(w, x));
    const twice = f32x4.mul(root, f32x4.add(x, x));
    v128.store(PAIRS + (i << 1), i8x16.shuffle(root, twice, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23));
    v128.store(
      PAIRS + (i << 1),
      i8x16.shuffle(root, twice, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
      16,
    );
  }
  memory.fill(LEVELS, 1, 32);
  let scale = searchScale();
  const skipped = scale === -Infinity;
  store<u8>(SKIPPED + index, skipped ? 1 : 0);
  if (skipped) {
    memory.fill(signs, 0, sub / 8);
    return 0;
  }
  if (scale < 0) {
    scale = -scale;
    for (let k = 0; k < sub / 8; k++) store<u8>(signs + k, ~load<u8>(signs + k) & (evenSigns ? 127 : 255));
  }
  for (let at = 0; at < sub; at += coordinates) {
    const place = placeOf(codeOf(at));
    if (place < 0) hasNoCode = true;
    store<u16>(INDICES + (((index * sub + at) / coordinates) << 1), <u16>place);
  }
  if (!(scale >= 0)) hasNoCode = true;
  return scale;
}

/** Weights of a sub-block: by importance, or squares with a share of sigma2 added. */
function weigh(x: usize, weights: usize, sigma2: f32, share: f32): void {
  const sigma = f32x4.splat(sigma2);
  const added = f32x4.splat(share);
  for (let i: usize = 0; i < <usize>(sub << 2); i += 16) {
    const value = v128.load(x + i);
    const square = f32x4.mul(value, value);
    if (weights === 0) v128.store(WEIGHTS + i, f32x4.add(added, square));
    else v128.store(WEIGHTS + i, f32x4.mul(v128.load(weights + i), f32x4.sqrt(f32x4.add(sigma, square))));
  }
}

/** Searches one super-block; the answer is the largest scale, NaN if the block has no code. */
export function searchSuper(x: usize, weights: usize, sigmaFactor: f32, raises: bool): f32 {
  let sum: f32 = 0;
  for (let at: usize = 0; at < 1024; at += 4) sum += load<f32>(x + at) * load<f32>(x + at);
  const sigma2: f32 = (sigmaFactor * sum) / 256;
  memory.fill(INDICES, 0, 128);
  hasNoCode = false;
  let most: f32 = 0;
  for (let index = 0; index < 256 / sub; index++) {
    weigh(x, weights, sigma2, raises ? <f32>0.25 * sigma2 : -0.0);
    const scale = searchSub(x, index);
    store<f32>(SCALES + (index << 2), scale);
    if (!(most > scale)) most = scale;
    x += <usize>(sub << 2);
    if (weights !== 0) weights += <usize>(sub << 2);
  }
  return hasNoCode ? NaN : most;
}
