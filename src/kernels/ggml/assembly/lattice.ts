/** The search of the IQ2 and IQ3 types, as in `lattice-search.ts`, on tables that the caller puts into memory. AssemblyScript. */
import { makeQp, nearest } from "./scalar";

const MAGNITUDES: usize = 5120;
const WEIGHTS: usize = MAGNITUDES + 128;
const ROOTS: usize = WEIGHTS + 128;
const LEVELS: usize = ROOTS + 128;
const TRIAL: usize = LEVELS + 32;
const ON_GRID: usize = TRIAL + 32;
const TRIAL_ON_GRID: usize = ON_GRID + 8;
/** Costs of eight coordinates at every level. */
const COSTS: usize = 5632;
/** What the search says of a super-block: grid indices, signs, which sub-blocks were zero, scales. */
const INDICES: usize = 6144;
const SIGNS: usize = INDICES + 128;
const SKIPPED: usize = SIGNS + 32;
const SCALES: usize = SKIPPED + 16;

let coordinates: i32 = 8;
let bits: i32 = 2;
/** Levels of all grid points, times 32: the distance of two levels in `COSTS`. */
let levels: usize = 0;
/** By the code of a point: its grid index, or -1 - where its neighbours are in `lists`. */
let places: usize = 0;
/** A count and so many grid indices for every point that is not in the grid. */
let lists: usize = 0;

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

export function setTables(dimensions: i32, levelBits: i32, levelsAt: usize, placesAt: usize, listsAt: usize): void {
  coordinates = dimensions;
  bits = levelBits;
  levels = levelsAt;
  places = placesAt;
  lists = listsAt;
}

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

/** Grid index of the neighbour of least error, -1 where no error is finite. */
function bestNeighbour(list: usize, at: i32, scale: f32): i32 {
  const x = MAGNITUDES + (at << 2);
  const w = ROOTS + (at << 2);
  for (let level = 0; level < top; level++) {
    const value = f32x4.splat(scale * <f32>((level << 1) + 1));
    for (let i: usize = 0; i < <usize>(coordinates << 2); i += 16) {
      const difference = f32x4.sub(value, v128.load(x + i));
      const weighted = f32x4.mul(v128.load(w + i), difference);
      v128.store(COSTS + (level << 5) + i, f32x4.mul(weighted, difference));
    }
  }
  const count = <i32>load<u16>(list);
  let least: f32 = f32.MAX_VALUE;
  let best = -1;
  for (let k = 1; k <= count; k++) {
    const index = <i32>load<u16>(list + (k << 1));
    const point = levels + index * coordinates;
    let error = load<f32>(COSTS + <usize>load<u8>(point));
    for (let i = 1; i < coordinates; i++) error += load<f32>(COSTS + <usize>load<u8>(point + i) + (i << 2));
    if (error < least) {
      least = error;
      best = index;
    }
  }
  return best;
}

function codeOf(out: usize, at: i32): i32 {
  let code = 0;
  for (let i = 0; i < coordinates; i++) code |= (<i32>load<u8>(out + at + i)) << (bits * i);
  return code;
}

/** Grid index of a point, or -1 - where its neighbours are; -1 for levels that no point has. */
function placeOf(out: usize, at: i32): i32 {
  const code = codeOf(out, at);
  return code >> (bits * coordinates) === 0 ? load<i32>(places + (code << 2)) : -1;
}

/** Rounds one group at a scale; off the grid it gets the best neighbour. Answers whether it was on the grid. */
function roundGroup(id: f32, scale: f32, at: i32, out: usize): bool {
  for (let i = at; i < at + coordinates; i++) {
    const l = nearest(<f32>0.5 * (id * load<f32>(MAGNITUDES + (i << 2)) - 1));
    store<u8>(out + i, <u8>max(0, min(top - 1, l)));
  }
  const place = placeOf(out, at);
  if (place >= 0) return true;
  const index = bestNeighbour(lists + ((-1 - place) << 1), at, scale);
  if (index < 0) hasNoCode = true;
  else for (let i = 0; i < coordinates; i++) store<u8>(out + at + i, load<u8>(levels + index * coordinates + i) >> 5);
  return false;
}

let sumqx: f32 = 0;
let sumq2: f32 = 0;

function sumLevels(codes: usize): void {
  let qx: f32 = 0;
  let q2: f32 = 0;
  for (let i = 0; i < sub; i++) {
    const w = load<f32>(WEIGHTS + (i << 2));
    const q = <f32>(((<i32>load<u8>(codes + i)) << 1) + 1);
    qx += w * load<f32>(MAGNITUDES + (i << 2)) * q;
    q2 += w * q * q;
  }
  sumqx = qx;
  sumq2 = q2;
}

function tryScales(most: f32, start: f32): f32 {
  let scale = start;
  let best: f32 = 0;
  for (let i = -steps; i <= steps; i++) {
    const id: f32 = (<f32>((top << 1) - 1) + <f32>i * step) / most;
    const tried: f32 = 1 / id;
    for (let at = 0, k = 0; at < sub; at += coordinates, k++)
      store<u8>(TRIAL_ON_GRID + k, roundGroup(id, tried, at, TRIAL) ? 1 : 0);
    sumLevels(TRIAL);
    if (!(sumq2 > 0 && sumqx * sumqx > best * sumq2)) continue;
    scale = sumqx / sumq2;
    best = scale * sumqx;
    memory.copy(LEVELS, TRIAL, 32);
    store<u64>(ON_GRID, load<u64>(TRIAL_ON_GRID));
  }
  return scale;
}

function needsRefinement(): bool {
  if (refine === 2) return true;
  for (let k = 0; k < sub / coordinates; k++) if (load<u8>(ON_GRID + k) === 0) return true;
  return false;
}

function refineLevels(scale: f32): f32 {
  const id: f32 = 1 / scale;
  for (let at = 0, k = 0; at < sub; at += coordinates, k++)
    if (refine !== 0 || load<u8>(ON_GRID + k) === 0) roundGroup(id, scale, at, LEVELS);
  sumLevels(LEVELS);
  return sumq2 > 0 ? sumqx / sumq2 : scale;
}

/** Scale of a sub-block whose signs are split and whose weights are in place; NaN where it counts as zero. */
function searchScale(): f32 {
  let most = load<f32>(MAGNITUDES);
  for (let i = 1; i < sub; i++) {
    const magnitude = load<f32>(MAGNITUDES + (i << 2));
    if (!(most > magnitude)) most = magnitude;
  }
  if (most < epsilon || most === 0) return -Infinity;
  let scale: f32 = most / <f32>((top << 1) - 1);
  if (searchesMaximum) {
    scale = makeQp(sub, top + 1, MAGNITUDES, LEVELS, WEIGHTS);
    most = scale * <f32>top;
    if (most <= 0) return -Infinity;
  }
  memory.fill(ON_GRID, refine === 1 ? 0 : 1, 8);
  scale = tryScales(most, scale);
  return scale > 0 && needsRefinement() ? refineLevels(scale) : scale;
}

function searchSub(x: usize, index: i32): f32 {
  for (let i = 0; i < sub; i += 4) v128.store(ROOTS + (i << 2), f32x4.sqrt(v128.load(WEIGHTS + (i << 2))));
  const signs = SIGNS + (index * sub) / 8;
  for (let k = 0; k < sub / 8; k++) store<u8>(signs + k, <u8>splitSigns(x, 8 * k));
  memory.fill(LEVELS, 0, 32);
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
    const place = placeOf(LEVELS, at);
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
