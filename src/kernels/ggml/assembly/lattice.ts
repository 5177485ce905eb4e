/** The search of the IQ2 and IQ3 types, as in `lattice-search.ts`. AssemblyScript. */
import { narrow } from "./block";
import { nearestInts } from "./lanes";
import { nearestOfEight, placeOf, storeEight, storeNearestOfFour } from "./neighbours";
import { makeQp } from "./scalar";

const MAGNITUDES: usize = 5120;
const WEIGHTS: usize = MAGNITUDES + 128;
const ROOTS: usize = WEIGHTS + 128;
/** Weights times magnitudes. */
const PRODUCTS: usize = ROOTS + 128;
/** Levels l of the sub-block, as bytes 2 l + 1. */
const LEVELS: usize = PRODUCTS + 128;
const ON_GRID: usize = LEVELS + 32;
/** What the search says of a super-block: grid indices, signs, which sub-blocks were zero, scales. */
const INDICES: usize = 6144;
const SIGNS: usize = INDICES + 128;
const SKIPPED: usize = SIGNS + 32;
const SCALES: usize = SKIPPED + 16;
/** Of up to 32 tried scales: levels, which groups were on the grid, sums of w q x and w q q. */
const TRIALS: usize = 36864;
const TRIALS_ON_GRID: usize = TRIALS + 1024;
const SUMS_QX: usize = TRIALS_ON_GRID + 256;
const SUMS_Q2: usize = SUMS_QX + 128;

let coordinates: i32 = 8;
let sub: i32 = 16;
let top: i32 = 3;
let evenSigns: bool = false;
let epsilon: f32 = 0;
let steps: i32 = 9;
let step: f32 = 0;
/** 0 those off the grid, 1 all if any is off the grid, 2 all. */
let refine: i32 = 0;
let searchesMaximum: bool = false;
let hasNoCode: bool = false;

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
  step = stepSize;
  refine = refines;
  searchesMaximum = ownMaximum;
}

function flipCheapest(x: usize, at: i32): i32 {
  let cheapest = 0;
  let least: f32 = 0;
  for (let i = 0; i < 8; i++) {
    const value = load<f32>(x + ((at + i) << 2));
    const cost = load<f32>(WEIGHTS + ((at + i) << 2)) * value * value;
    if (i > 0 && !(cost < least)) continue;
    least = cost;
    cheapest = i;
  }
  const place = MAGNITUDES + ((at + cheapest) << 2);
  store<f32>(place, -load<f32>(place));
  return cheapest;
}

/** Magnitudes and sign bits of eight values. */
function splitSigns(x: usize, at: i32): i32 {
  let signs = 0;
  for (let i = 0; i < 8; i++) {
    const value = load<f32>(x + ((at + i) << 2));
    if (value < 0) signs |= 1 << i;
    store<f32>(MAGNITUDES + ((at + i) << 2), value < 0 ? -value : value);
  }
  if (!evenSigns) return signs;
  if (popcnt(signs) & 1) signs ^= 1 << flipCheapest(x, at);
  return signs & 127;
}

/** Nearest levels of four values. */
// @inline
function nearestLevels(id: v128, at: usize): v128 {
  const scaled = f32x4.sub(f32x4.mul(id, v128.load(MAGNITUDES + at)), f32x4.splat(1));
  return nearestInts(f32x4.mul(f32x4.splat(0.5), scaled), i32x4.splat(0), i32x4.splat(top - 1));
}

/** Codes of four groups of four levels, each in 32 bits. */
// @inline
function codesOfFour(levels: v128): v128 {
  const pairs = v128.or(v128.and(levels, i16x8.splat(7)), i16x8.shr_u(levels, 5));
  return v128.or(v128.and(pairs, i32x4.splat(63)), i32x4.shr_u(pairs, 10));
}

/** Gives eight values off the grid the best neighbour. Answers whether they were on the grid. */
function settleEight(code: i32, at: i32, scale: f32, out: usize): bool {
  const place = placeOf(code);
  if (place >= 0) return true;
  const values = f32x4.mul(f32x4.splat(scale), f32x4(1, 3, 5, 0));
  const nearest = nearestOfEight(place, MAGNITUDES + (at << 2), ROOTS + (at << 2), values);
  if (nearest < 0) hasNoCode = true;
  else storeEight(out + at, nearest);
  return false;
}

/** The same of four values. */
function settleFour(code: i32, at: i32, scale: f32, out: usize): bool {
  const place = placeOf(code);
  if (place >= 0) return true;
  if (!storeNearestOfFour(place, MAGNITUDES + (at << 2), ROOTS + (at << 2), scale, out + at)) hasNoCode = true;
  return false;
}

/** Rounds the sub-block at a scale; which groups were on the grid goes to `onGrid`. */
function round(id: f32, scale: f32, out: usize, onGrid: usize): void {
  const factor = f32x4.splat(id);
  for (let at = 0; at < sub; at += 16) {
    const from = <usize>(at << 2);
    const a = nearestLevels(factor, from);
    const b = nearestLevels(factor, from + 16);
    const levels = narrow(a, b, nearestLevels(factor, from + 32), nearestLevels(factor, from + 48));
    v128.store(out + at, i8x16.add(i8x16.add(levels, levels), i8x16.splat(1)));
    if (coordinates === 8) {
      const codes = i32x4.mul(levels, i32x4.splat(0x01041040));
      const first = (i32x4.extract_lane(codes, 0) >>> 24) | ((i32x4.extract_lane(codes, 1) >>> 24) << 8);
      const second = (i32x4.extract_lane(codes, 2) >>> 24) | ((i32x4.extract_lane(codes, 3) >>> 24) << 8);
      store<u8>(onGrid + (at >> 3), settleEight(first, at, scale, out) ? 1 : 0);
      store<u8>(onGrid + (at >> 3), settleEight(second, at + 8, scale, out) ? 1 : 0, 1);
    } else {
      const codes = codesOfFour(levels);
      const k = onGrid + (at >> 2);
      store<u8>(k, settleFour(i32x4.extract_lane(codes, 0), at, scale, out) ? 1 : 0);
      store<u8>(k, settleFour(i32x4.extract_lane(codes, 1), at + 4, scale, out) ? 1 : 0, 1);
      store<u8>(k, settleFour(i32x4.extract_lane(codes, 2), at + 8, scale, out) ? 1 : 0, 2);
      store<u8>(k, settleFour(i32x4.extract_lane(codes, 3), at + 12, scale, out) ? 1 : 0, 3);
    }
  }
}

let sumsQx: v128 = f32x4.splat(0);
let sumsQ2: v128 = f32x4.splat(0);

/** Adds four values of four trials; `q` has the trials of each value side by side. */
// @inline
function addFour(q: v128, at: usize): void {
  const low = i16x8.extend_low_i8x16_u(q);
  const high = i16x8.extend_high_i8x16_u(q);
  const a = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(low));
  const b = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(low));
  const c = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(high));
  const d = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(high));
  let qx = f32x4.add(sumsQx, f32x4.mul(v128.load32_splat(PRODUCTS + at), a));
  qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(PRODUCTS + at, 4), b));
  qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(PRODUCTS + at, 8), c));
  sumsQx = f32x4.add(qx, f32x4.mul(v128.load32_splat(PRODUCTS + at, 12), d));
  let q2 = f32x4.add(sumsQ2, f32x4.mul(f32x4.mul(v128.load32_splat(WEIGHTS + at), a), a));
  q2 = f32x4.add(q2, f32x4.mul(f32x4.mul(v128.load32_splat(WEIGHTS + at, 4), b), b));
  q2 = f32x4.add(q2, f32x4.mul(f32x4.mul(v128.load32_splat(WEIGHTS + at, 8), c), c));
  sumsQ2 = f32x4.add(q2, f32x4.mul(f32x4.mul(v128.load32_splat(WEIGHTS + at, 12), d), d));
}

/** Sums of w q x and w q q of four trials, q = 2 l + 1: a lane is a trial, so each keeps the order of its values. */
function sumTrials(trials: usize): void {
  sumsQx = f32x4.splat(0);
  sumsQ2 = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>sub; at += 16) {
    const a = v128.load(trials + at);
    const b = v128.load(trials + at, 32);
    const c = v128.load(trials + at, 64);
    const d = v128.load(trials + at, 96);
    const ab = i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const cd = i8x16.shuffle(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const ab2 = i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const cd2 = i8x16.shuffle(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const from = at << 2;
    addFour(i8x16.shuffle(ab, cd, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23), from);
    addFour(i8x16.shuffle(ab, cd, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31), from + 16);
    addFour(i8x16.shuffle(ab2, cd2, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23), from + 32);
    addFour(i8x16.shuffle(ab2, cd2, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31), from + 48);
  }
}

/** Tries all scales; the levels of the best are in `LEVELS`. Answers the scale of least error. */
function tryScales(most: f32, start: f32): f32 {
  const count = 2 * steps + 1;
  for (let k = 0; k < count; k++) {
    const id: f32 = (<f32>((top << 1) - 1) + <f32>(k - steps) * step) / most;
    round(id, 1 / id, TRIALS + (k << 5), TRIALS_ON_GRID + (k << 3));
  }
  for (let k = 0; k < count; k += 4) {
    sumTrials(TRIALS + (k << 5));
    v128.store(SUMS_QX + (k << 2), sumsQx);
    v128.store(SUMS_Q2 + (k << 2), sumsQ2);
  }
  let scale = start;
  let best: f32 = 0;
  let chosen = -1;
  for (let k = 0; k < count; k++) {
    const qx = load<f32>(SUMS_QX + (k << 2));
    const q2 = load<f32>(SUMS_Q2 + (k << 2));
    if (!(q2 > 0 && qx * qx > best * q2)) continue;
    scale = qx / q2;
    best = scale * qx;
    chosen = k;
  }
  if (chosen < 0) return scale;
  v128.store(LEVELS, v128.load(TRIALS + (chosen << 5)));
  v128.store(LEVELS, v128.load(TRIALS + (chosen << 5), 16), 16);
  store<u64>(ON_GRID, load<u64>(TRIALS_ON_GRID + (chosen << 3)));
  return scale;
}

function needsRefinement(): bool {
  if (refine === 2) return true;
  for (let k = 0; k < sub / coordinates; k++) if (load<u8>(ON_GRID + k) === 0) return true;
  return false;
}

/** Levels again for the scale that was found, then the scale again for the levels. */
function refineLevels(scale: f32): f32 {
  round(1 / scale, scale, TRIALS, TRIALS_ON_GRID);
  for (let at = 0, k = 0; at < sub; at += coordinates, k++)
    if (refine !== 0 || load<u8>(ON_GRID + k) === 0) memory.copy(LEVELS + at, TRIALS + at, coordinates);
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
  let most = load<f32>(MAGNITUDES);
  for (let i = 1; i < sub; i++) {
    const magnitude = load<f32>(MAGNITUDES + (i << 2));
    if (!(most > magnitude)) most = magnitude;
  }
  if (most < epsilon || most === 0) return -Infinity;
  let scale: f32 = most / <f32>((top << 1) - 1);
  if (searchesMaximum) {
    scale = makeQp(sub, top + 1, MAGNITUDES, TRIALS, WEIGHTS);
    most = scale * <f32>top;
    if (most <= 0) return -Infinity;
  }
  const begin: u32 = refine === 1 ? 0 : 0x01010101;
  store<u32>(ON_GRID, begin);
  store<u32>(ON_GRID, begin, 4);
  scale = tryScales(most, scale);
  return scale > 0 && needsRefinement() ? refineLevels(scale) : scale;
}

/** The code of a group of `LEVELS`. */
function codeOf(at: usize): i32 {
  const levels = i8x16.shr_u(v128.load(LEVELS + at), 1);
  if (coordinates === 4) return i32x4.extract_lane(codesOfFour(levels), 0);
  const codes = i32x4.mul(levels, i32x4.splat(0x01041040));
  return (i32x4.extract_lane(codes, 0) >>> 24) | ((i32x4.extract_lane(codes, 1) >>> 24) << 8);
}

function searchSub(x: usize, index: i32): f32 {
  const signs = SIGNS + (index * sub) / 8;
  for (let k = 0; k < sub / 8; k++) store<u8>(signs + k, <u8>splitSigns(x, 8 * k));
  for (let i: usize = 0; i < <usize>(sub << 2); i += 16) {
    const w = v128.load(WEIGHTS + i);
    v128.store(ROOTS + i, f32x4.sqrt(w));
    v128.store(PRODUCTS + i, f32x4.mul(w, v128.load(MAGNITUDES + i)));
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
