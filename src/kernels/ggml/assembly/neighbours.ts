/**
 * The points of a codebook: the one of a code, or of its neighbours the one of least weighted error. Tables are put into
 * memory by the caller. A code has the levels of a point side by side; levels l are kept as bytes 2 l + 1. AssemblyScript.
 */

/** Costs of eight coordinates at up to four levels, or of four at eight. */
const COSTS: usize = 40960;
/** For each byte of a code about what its four coordinates cost, those of the lower byte first. */
const LOWER: usize = COSTS + 128;
const UPPER: usize = LOWER + 1024;
/** More than 1 by more than all roundings of eight sums. */
const SAFE: f32 = 1.000004;
/** Lists up to this length are gone through without tables. */
const FEW: u32 = 8;

/** By the code of a point: its index in the codebook, or -1 - where its neighbours are. */
let places: usize = 0;
/** Two bits a level: of every point that is not in the codebook a count and so many codes. Three: eights, see `storeNearestOfFour`. */
let lists: usize = 0;

export function setTables(placesAt: usize, listsAt: usize): void {
  places = placesAt;
  lists = listsAt;
}

/** Index of a point, or -1 - where its neighbours are. */
// @inline
export function placeOf(code: i32): i32 {
  return load<i32>(places + (code << 2));
}

/** Four levels of two bits as bytes 2 l + 1. */
// @inline
function odd(byte: u32): u32 {
  const levels = (byte & 3) | ((byte & 12) << 6) | ((byte & 48) << 12) | ((byte & 192) << 18);
  return (levels << 1) + 0x01010101;
}

/** Costs of one coordinate at levels 0 to 2; `values` is what they stand for. */
// @inline
function costs(x: usize, w: usize, values: v128): v128 {
  const difference = f32x4.sub(values, v128.load32_splat(x));
  return f32x4.mul(f32x4.mul(v128.load32_splat(w), difference), difference);
}

/** Sums of the costs of four coordinates for all 81 of their levels. */
// @inline
function fillSums(costsAt: usize, to: usize): void {
  const first = v128.load(costsAt);
  const a = f32x4.add(first, v128.load32_splat(costsAt, 16));
  const b = f32x4.add(first, v128.load32_splat(costsAt, 20));
  const c = f32x4.add(first, v128.load32_splat(costsAt, 24));
  for (let k: usize = 0; k < 3; k++)
    for (let j: usize = 0; j < 3; j++) {
      const two = f32x4.splat(load<f32>(costsAt + (j << 2), 32) + load<f32>(costsAt + (k << 2), 48));
      const at = to + (k << 8) + (j << 6);
      v128.store(at, f32x4.add(a, two));
      v128.store(at, f32x4.add(b, two), 16);
      v128.store(at, f32x4.add(c, two), 32);
    }
}

// @inline
function costAt(coordinate: usize, code: u32): f32 {
  return load<f32>(COSTS + (coordinate << 4) + (((code >>> ((<u32>coordinate) << 1)) & 3) << 2));
}

/** Error of a point, its terms in order. */
// @inline
function errorOf(code: u32): f32 {
  const four: f32 = costAt(0, code) + costAt(1, code) + costAt(2, code) + costAt(3, code);
  return four + costAt(4, code) + costAt(5, code) + costAt(6, code) + costAt(7, code);
}

/** The code of least error of a list, the first of equals; -1 where no error is finite. */
function nearestOfFew(list: usize, end: usize): i32 {
  let least: f32 = f32.MAX_VALUE;
  let best = -1;
  for (let at = list; at < end; at += 2) {
    const code = <u32>load<u16>(at, 2);
    const error = errorOf(code);
    if (!(error < least)) continue;
    least = error;
    best = <i32>code;
  }
  return best;
}

/** The same: most are passed over by a sum of two table entries that is near their error. */
function nearestOfMany(list: usize, end: usize): i32 {
  fillSums(COSTS, LOWER);
  fillSums(COSTS + 64, UPPER);
  let least: f32 = f32.MAX_VALUE;
  let limit = least;
  let best = -1;
  for (let at = list; at < end; at += 2) {
    const code = <u32>load<u16>(at, 2);
    if (load<f32>(LOWER + ((code & 255) << 2)) + load<f32>(UPPER + ((code >>> 8) << 2)) > limit) continue;
    const error = errorOf(code);
    if (!(error < least)) continue;
    least = error;
    limit = least * SAFE;
    best = <i32>code;
  }
  return best;
}

/** Of the neighbours at `place` of eight values at x with weights w: the code of least error, -1 where no error is finite. */
export function nearestOfEight(place: i32, x: usize, w: usize, values: v128): i32 {
  for (let i: usize = 0; i < 8; i++) v128.store(COSTS + (i << 4), costs(x + (i << 2), w + (i << 2), values));
  const list = lists + ((-1 - place) << 1);
  const count = <u32>load<u16>(list);
  const end = list + ((<usize>count) << 1);
  return count > FEW ? nearestOfMany(list, end) : nearestOfFew(list, end);
}

/** Eight levels of a code as bytes 2 l + 1. */
// @inline
export function storeEight(to: usize, code: i32): void {
  store<u32>(to, odd(<u32>code & 255));
  store<u32>(to, odd(<u32>code >>> 8), 4);
}

/** One coordinate's part of the errors of four neighbours. */
// @inline
function part(levels: v128, scale: v128, x: v128, w: v128): v128 {
  const difference = f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(levels)), x);
  return f32x4.mul(f32x4.mul(w, difference), difference);
}

/** Errors of four neighbours whose levels stand in 16 bytes, those of each coordinate side by side. */
// @inline
function errors(
  bytes: v128,
  scale: v128,
  x0: v128,
  x1: v128,
  x2: v128,
  x3: v128,
  w0: v128,
  w1: v128,
  w2: v128,
  w3: v128,
): v128 {
  const low = i16x8.extend_low_i8x16_u(bytes);
  const high = i16x8.extend_high_i8x16_u(bytes);
  let error = part(i32x4.extend_low_i16x8_u(low), scale, x0, w0);
  error = f32x4.add(error, part(i32x4.extend_high_i16x8_u(low), scale, x1, w1));
  error = f32x4.add(error, part(i32x4.extend_low_i16x8_u(high), scale, x2, w2));
  return f32x4.add(error, part(i32x4.extend_high_i16x8_u(high), scale, x3, w3));
}

/** Where the levels of the neighbours of an eight begin. */
const PLACES = memory.data<i32>([32, 36, 40, 44]);

// @inline
function turned(a: v128): v128 {
  return i8x16.shuffle(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}

// @inline
function swapped(a: v128): v128 {
  return i8x16.shuffle(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
}

/**
 * Of the neighbours at `place` of four values: writes the levels of least error, the first of equals; false where no error
 * is finite. They come in eights: twice 16 bytes as `errors` reads them, then four bytes each. The last one is repeated.
 */
export function storeNearestOfFour(place: i32, x: usize, w: usize, step: f32, to: usize): bool {
  const scale = f32x4.splat(step);
  const x0 = v128.load32_splat(x);
  const x1 = v128.load32_splat(x, 4);
  const x2 = v128.load32_splat(x, 8);
  const x3 = v128.load32_splat(x, 12);
  const w0 = v128.load32_splat(w);
  const w1 = v128.load32_splat(w, 4);
  const w2 = v128.load32_splat(w, 8);
  const w3 = v128.load32_splat(w, 12);
  const first = lists + ((<usize>(-1 - place) >>> 6) << 6);
  const end = first + ((<usize>(-1 - place) & 63) << 6);
  let least = f32x4.splat(f32.MAX_VALUE);
  let point = i32x4.splat(-1);
  for (let at = first; at < end; at += 64) {
    const places = i32x4.add(i32x4.splat(<i32>at), v128.load(PLACES));
    const a = errors(v128.load(at), scale, x0, x1, x2, x3, w0, w1, w2, w3);
    const b = errors(v128.load(at, 16), scale, x0, x1, x2, x3, w0, w1, w2, w3);
    const isA = f32x4.lt(a, least);
    least = v128.bitselect(a, least, isA);
    point = v128.bitselect(places, point, isA);
    const isB = f32x4.lt(b, least);
    least = v128.bitselect(b, least, isB);
    point = v128.bitselect(i32x4.add(places, i32x4.splat(16)), point, isB);
  }
  let lowest = f32x4.pmin(least, turned(least));
  lowest = f32x4.pmin(lowest, swapped(lowest));
  if (!(f32x4.extract_lane(lowest, 0) < f32.MAX_VALUE)) return false;
  // Of equal ones the first of the list.
  let chosen = v128.or(point, f32x4.ne(least, lowest));
  chosen = i32x4.min_u(chosen, turned(chosen));
  chosen = i32x4.min_u(chosen, swapped(chosen));
  store<u32>(to, load<u32>(<usize>i32x4.extract_lane(chosen, 0)));
  return true;
}
