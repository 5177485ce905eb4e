/**
 * The points of a codebook: the one of a code, or of its neighbours those of least weighted error. Tables are put into
 * memory by the caller (`wasm-lattice.ts`). A code has the levels of a point side by side. AssemblyScript.
 *
 * Where level l stands for 2 l + 1, the error of a point q under a step s is sum(w (s q - x)^2), that is s (s A - B) + C
 * with A = sum(w q^2), B = sum(2 w q x), C = sum(w x^2). A and B are sums over the halves of the point and do not depend
 * on the step: tables by half are filled once, and s A - B ranks the points for four steps at a time. Only where the best
 * two are so near that roundings could turn them round, errors are summed up as ggml sums them.
 */

/** By the code of a point: its index in the codebook, or -1 - where its neighbours are. */
let places: usize = 0;
/** Of every point that is not in the codebook a count in 32 bits and so many points, each two offsets of 16 bits into a table. */
let lists: usize = 0;
/** Coordinates of half a point: 4 of two bits each, or 2 of three. */
let half: usize = 4;
/** Bytes of the entries of all lower halves in a table; those of the upper ones follow. */
let halfBytes: usize = 2048;

/** All bits of the number of a point in its list, counted from 1. */
let numbers: i32 = 511;

/** Bytes 2 l + 1 of half a point, by its offset in a table. */
const ODDS: usize = 40960;
/** Tables of A and B: four groups of eight coordinates or eight groups of four. */
const TABLES: usize = 49152;
/** By group: whether its table is filled, and C, negative where s A - B does not rank. */
const FILLED: usize = 39936;
const ENERGIES: usize = FILLED + 32;
/** Where the points of eight steps are in their list, and the ranks up to which others may be better. */
const CHOSEN: usize = ENERGIES + 32;
const LIMITS: usize = CHOSEN + 32;
/** All bits but those of a number, then 1, in all lanes. */
const MASK: usize = LIMITS + 32;
/** Keeps an address: what is loaded is not computed again in every turn of a loop. */
const ADDRESS: usize = MASK + 32;

/** Values and weights of all groups, and of each value w and 2 w x side by side. */
let values: usize = 0;
let weights: usize = 0;
let pairs: usize = 0;
/** Whether all steps lie between those two. */
let regularSteps: bool = false;

/** q^2 and q of all levels. */
const LEVELS = memory.data<f32>([1, 1, 9, 3, 25, 5, 49, 7, 81, 9, 121, 11, 169, 13, 225, 15]);

/** What all roundings of two errors come to, as a part of C and the lesser error: 294 of 2^-24 at most. */
const ROUNDING: f32 = 1.0 / 32768.0;
/** Within these nothing overflows, and what underflows is less than `ROUNDING` of the energy. */
const LEAST_STEP: f32 = 1.0 / 1099511627776.0;
const MOST_STEP: f32 = 1024;
const MOST_VALUE: f32 = 16384;
const MOST_WEIGHT: f32 = 1099511627776;
const LEAST_ENERGY: f32 = 7.888609052210118e-31;
const MOST_ENERGY: f32 = 1.152921504606847e18;

/** Tables for points of eight coordinates or four; no list has more than `longest` points. */
export function setTables(placesAt: usize, listsAt: usize, coordinates: usize, longest: i32): void {
  numbers = (1 << (32 - clz(longest))) - 1;
  v128.store(MASK, i32x4.splat(~numbers));
  v128.store(MASK, i32x4.splat(1), 16);
  places = placesAt;
  lists = listsAt;
  half = coordinates >> 1;
  halfBytes = half === 4 ? 2048 : 512;
  const bits = half === 4 ? 2 : 3;
  for (let at: usize = 0; at < 2 * halfBytes; at += 8)
    for (let i: usize = 0; i < half; i++) {
      const level = (at >> (3 + bits * i)) & ((1 << bits) - 1);
      store<u8>(ODDS + at + i, <u8>(2 * level + 1));
    }
}

/** Where the groups are whose neighbours are asked for. */
export function setGroups(valuesAt: usize, weightsAt: usize, pairsAt: usize): void {
  values = valuesAt;
  weights = weightsAt;
  pairs = pairsAt;
}

/** Whether s A - B ranks points under steps from `least` to `most`. */
export function limitSteps(least: f32, most: f32): void {
  regularSteps = least > LEAST_STEP && most < MOST_STEP;
}

/** Makes all tables be filled again when they are needed. */
export function forgetGroups(): void {
  v128.store(FILLED, i32x4.splat(0));
  v128.store(FILLED, i32x4.splat(0), 16);
}

/** Index of a point, or -1 - where its neighbours are. */
// @inline
export function placeOf(code: i32): i32 {
  return load<i32>(places + (code << 2));
}

/** List of the neighbours at a place. */
// @inline
export function listOf(place: i32): usize {
  return lists + ((-1 - place) << 2);
}

/** The same w and 2 w x times those of two levels. */
// @inline
function twoLevels(at: usize, level: usize): v128 {
  return f32x4.mul(v128.load64_splat(at), v128.load(LEVELS + (level << 3)));
}

/** The same for one level, twice. */
// @inline
function oneLevel(at: usize, level: usize): v128 {
  return f32x4.mul(v128.load64_splat(at), v128.load64_splat(LEVELS + (level << 3)));
}

/** A and B of all levels of four coordinates. */
function fillFours(at: usize, to: usize): void {
  const low = twoLevels(at, 0);
  const high = twoLevels(at, 2);
  const a = oneLevel(at + 8, 0);
  const b = oneLevel(at + 8, 1);
  const c = oneLevel(at + 8, 2);
  for (let k: usize = 0; k < 3; k++)
    for (let j: usize = 0; j < 3; j++) {
      const two = f32x4.add(oneLevel(at + 24, k), oneLevel(at + 16, j));
      const entry = to + (k << 9) + (j << 7);
      v128.store(entry, f32x4.add(low, f32x4.add(a, two)));
      v128.store(entry, f32x4.add(high, f32x4.add(a, two)), 16);
      v128.store(entry, f32x4.add(low, f32x4.add(b, two)), 32);
      v128.store(entry, f32x4.add(high, f32x4.add(b, two)), 48);
      v128.store(entry, f32x4.add(low, f32x4.add(c, two)), 64);
      v128.store(entry, f32x4.add(high, f32x4.add(c, two)), 80);
    }
}

/** A and B of all levels of two coordinates. */
function fillTwos(at: usize, to: usize): void {
  const a = twoLevels(at, 0);
  const b = twoLevels(at, 2);
  const c = twoLevels(at, 4);
  const d = twoLevels(at, 6);
  for (let level: usize = 0; level < 8; level++, to += 64) {
    const second = oneLevel(at + 8, level);
    v128.store(to, f32x4.add(a, second));
    v128.store(to, f32x4.add(b, second), 16);
    v128.store(to, f32x4.add(c, second), 32);
    v128.store(to, f32x4.add(d, second), 48);
  }
}

// @inline
function tableOf(group: usize): usize {
  return TABLES + 2 * group * halfBytes;
}

// @inline
function opaque(address: usize): usize {
  store<usize>(ADDRESS, address);
  return load<usize>(ADDRESS);
}

/** Fills the table of a group where that has not been done. */
function prepare(group: usize): void {
  if (load<u32>(FILLED + (group << 2)) !== 0) return;
  store<u32>(FILLED + (group << 2), 1);
  const from = pairs + ((group * half) << 4);
  const to = tableOf(group);
  if (half === 4) fillFours(from, to);
  else fillTwos(from, to);
  if (half === 4) fillFours(from + 32, to + halfBytes);
  else fillTwos(from + 16, to + halfBytes);
  store<f32>(ENERGIES + (group << 2), energyOf((group * half) << 3));
}

/** C of the group at `from`, -1 where something of it is too large or too small for `ROUNDING`. */
function energyOf(from: usize): f32 {
  let energy: f32 = 0;
  let weight: f32 = 0;
  let most: f32 = 0;
  for (let at = from; at < from + (half << 3); at += 4) {
    const x = load<f32>(values + at);
    const w = load<f32>(weights + at);
    energy += w * x * x;
    weight = max(weight, w);
    most = max(most, abs(x));
  }
  const isRegular = energy > LEAST_ENERGY && energy < MOST_ENERGY && weight < MOST_WEIGHT && most < MOST_VALUE;
  return isRegular ? energy : -1;
}

/** Error of a point as ggml sums it. */
function errorOf(point: usize, x: usize, w: usize, step: f32): f32 {
  let error: f32 = 0;
  for (let side: usize = 0; side < 2; side++) {
    const odds = ODDS + <usize>load<u16>(point + (side << 1));
    for (let i: usize = 0; i < half; i++, x += 4, w += 4) {
      const difference = step * <f32>load<u8>(odds + i) - load<f32>(x);
      error += load<f32>(w) * difference * difference;
    }
  }
  return error;
}

/** The point of least error of a list, the first of equals; 0 where no error is finite. Those that rank above `limit` are passed over. */
function nearestExactly(list: usize, group: usize, step: f32, limit: f32): usize {
  const x = values + ((group * half) << 3);
  const w = weights + ((group * half) << 3);
  const table = tableOf(group);
  const end = list + 4 + (load<u32>(list) << 2);
  let least: f32 = f32.MAX_VALUE;
  let best: usize = 0;
  for (let point = list + 4; point < end; point += 4) {
    const low = table + <usize>load<u16>(point);
    const high = table + <usize>load<u16>(point, 2);
    const rank = step * (load<f32>(low) + load<f32>(high)) - (load<f32>(low, 4) + load<f32>(high, 4));
    if (rank > limit) continue;
    const error = errorOf(point, x, w, step);
    if (!(error < least)) continue;
    least = error;
    best = point;
  }
  return best;
}

/** Keeps limits and points of four steps; answers the steps for which roundings decide, as bits. */
// @inline
function keepFour(at: usize, steps: usize, energy: v128, best: v128, second: v128, list: usize): i32 {
  const energies = f32x4.div(energy, v128.load(steps));
  const rounded = f32x4.mul(f32x4.splat(ROUNDING), f32x4.add(best, f32x4.add(energies, energies)));
  // The numbers move two ranks by so much of the lesser one.
  const numbered = f32x4.mul(f32x4.splat(<f32>(numbers + 1) / 4194304), f32x4.abs(best));
  const limits = f32x4.add(best, f32x4.add(rounded, numbered));
  const index = v128.and(best, i32x4.splat(numbers));
  v128.store(CHOSEN + at, i32x4.add(i32x4.splat(<i32>list), i32x4.shl(index, 2)));
  v128.store(LIMITS + at, limits);
  return i32x4.bitmask(f32x4.le(second, limits));
}

/** A and B of a point, side by side and twice. */
// @inline
function sumsOf(table: usize, point: usize): v128 {
  const low = v128.load64_splat(table + <usize>load<u16>(point));
  return f32x4.add(low, v128.load64_splat(table + <usize>load<u16>(point, 2)));
}

/** The first, or the second, lane in all lanes. */
// @inline
function spreadLane(both: v128, isFirst: bool): v128 {
  return isFirst
    ? i8x16.shuffle(both, both, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3)
    : i8x16.shuffle(both, both, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
}

/** Ranks under four steps; the lowest bits become the number of the point. */
// @inline
function ranks(steps: v128, a: v128, b: v128, mask: v128, number: v128): v128 {
  return v128.or(v128.and(f32x4.sub(f32x4.mul(steps, a), b), mask), number);
}

/** Puts the points that rank best under four steps into `CHOSEN`. Answers as `keepFour` does. */
function rankFour(list: usize, group: usize, steps: usize): i32 {
  const table = opaque(tableOf(group));
  const end = list + 4 + (load<u32>(list) << 2);
  const mask = v128.load(MASK);
  const one = v128.load(MASK, 16);
  const s = v128.load(steps);
  let best = f32x4.splat(f32.MAX_VALUE);
  let second = best;
  let number = one;
  for (let point = list + 4; point < end; point += 4) {
    const both = sumsOf(table, point);
    const rank = ranks(s, spreadLane(both, true), spreadLane(both, false), mask, number);
    second = f32x4.pmin(second, f32x4.pmax(rank, best));
    best = f32x4.pmin(best, rank);
    number = i32x4.add(number, one);
  }
  return keepFour(0, steps, v128.load32_splat(ENERGIES + (group << 2)), best, second, list);
}

/** The same of eight steps. */
function rankEight(list: usize, group: usize, steps: usize): i32 {
  const table = opaque(tableOf(group));
  const end = list + 4 + (load<u32>(list) << 2);
  const mask = v128.load(MASK);
  const one = v128.load(MASK, 16);
  const s0 = v128.load(steps);
  const s1 = v128.load(steps, 16);
  let best0 = f32x4.splat(f32.MAX_VALUE);
  let best1 = best0;
  let second0 = best0;
  let second1 = best0;
  let number = one;
  for (let point = list + 4; point < end; point += 4) {
    const both = sumsOf(table, point);
    const a = spreadLane(both, true);
    const b = spreadLane(both, false);
    const rank0 = ranks(s0, a, b, mask, number);
    const rank1 = ranks(s1, a, b, mask, number);
    second0 = f32x4.pmin(second0, f32x4.pmax(rank0, best0));
    second1 = f32x4.pmin(second1, f32x4.pmax(rank1, best1));
    best0 = f32x4.pmin(best0, rank0);
    best1 = f32x4.pmin(best1, rank1);
    number = i32x4.add(number, one);
  }
  const energy = v128.load32_splat(ENERGIES + (group << 2));
  const first = keepFour(0, steps, energy, best0, second0, list);
  return first | (keepFour(16, steps + 16, energy, best1, second1, list) << 4);
}

/** Puts the points of least error under up to eight steps into `CHOSEN`, 0 where no error is finite. */
function nearestOfEight(list: usize, group: usize, steps: usize, count: usize): void {
  let unsure = (1 << (<i32>count)) - 1;
  const regular = regularSteps && load<f32>(ENERGIES + (group << 2)) > 0;
  if (regular) unsure &= count > 4 ? rankEight(list, group, steps) : rankFour(list, group, steps);
  for (; unsure !== 0; unsure &= unsure - 1) {
    const at = (<usize>ctz(unsure)) << 2;
    const limit = regular ? load<f32>(LIMITS + at) : Infinity;
    store<u32>(CHOSEN + at, <u32>nearestExactly(list, group, load<f32>(steps + at), limit));
  }
}

/** Writes the levels of the point at `point` as bytes 2 l + 1. */
// @inline
function storeOdds(point: usize, to: usize): void {
  const low = ODDS + <usize>load<u16>(point);
  const high = ODDS + <usize>load<u16>(point, 2);
  if (half === 4) {
    store<u32>(to, load<u32>(low));
    store<u32>(to, load<u32>(high), 4);
  } else {
    store<u16>(to, load<u16>(low));
    store<u16>(to, load<u16>(high), 2);
  }
}

/**
 * Of the neighbours at `place` of a group: writes the levels of least error under `count` steps, the first of equals, 32
 * bytes apart. False where no error is finite.
 */
export function storeNearest(place: i32, group: usize, steps: usize, count: usize, to: usize): bool {
  const list = listOf(place);
  prepare(group);
  let all = true;
  for (let k: usize = 0; k < count; k += 8, steps += 32) {
    const n = min(8, count - k);
    nearestOfEight(list, group, steps, n);
    for (let at: usize = 0; at < n << 2; at += 4, to += 32) {
      const point = <usize>load<u32>(CHOSEN + at);
      if (point === 0) all = false;
      else storeOdds(point, to);
    }
  }
  return all;
}
