/**
 * The points of a codebook: the one of a code, or of its neighbours the one of least weighted error. Tables are put into
 * memory by the caller. A code has the levels of a point side by side; levels l are kept as bytes 2 l + 1. AssemblyScript.
 */

/** Costs of eight coordinates at up to four levels, or of four at eight. */
const COSTS: usize = 40960;
/** For each byte of a code the least that its four coordinates can cost, those of the lower byte first. */
const LOWER: usize = COSTS + 128;
const UPPER: usize = LOWER + 1024;
/** Less than 1 by more than all roundings of eight sums. */
const SAFE: f32 = 0.999996;

/** By the code of a point: its index in the codebook, or -1 - where its neighbours are. */
let places: usize = 0;
/** Two bits a level: of every point that is not in the codebook a count and so many codes. Three: quads, see `nearestOfFour`. */
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

/** Sums of the costs of four coordinates for all 81 of their levels, a little less than they are. */
// @inline
function fillSums(costsAt: usize, to: usize): void {
  const safe = f32x4.splat(SAFE);
  const first = f32x4.mul(v128.load(costsAt), safe);
  for (let k: usize = 0; k < 3; k++) {
    const fourth = f32x4.add(first, f32x4.mul(v128.load32_splat(costsAt + 48 + (k << 2)), safe));
    for (let j: usize = 0; j < 3; j++) {
      const third = f32x4.add(fourth, f32x4.mul(v128.load32_splat(costsAt + 32 + (j << 2)), safe));
      const at = to + (k << 8) + (j << 6);
      v128.store(at, f32x4.add(third, f32x4.mul(v128.load32_splat(costsAt, 16), safe)));
      v128.store(at, f32x4.add(third, f32x4.mul(v128.load32_splat(costsAt, 20), safe)), 16);
      v128.store(at, f32x4.add(third, f32x4.mul(v128.load32_splat(costsAt, 24), safe)), 32);
    }
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

/**
 * Of the neighbours at `place` of eight values at x with weights w: the code of least error, the first of equals, -1 where
 * no error is finite. Most are passed over by a sum of two table entries that is never above their error.
 */
export function nearestOfEight(place: i32, x: usize, w: usize, values: v128): i32 {
  for (let i: usize = 0; i < 8; i++) v128.store(COSTS + (i << 4), costs(x + (i << 2), w + (i << 2), values));
  fillSums(COSTS, LOWER);
  fillSums(COSTS + 64, UPPER);
  const list = lists + ((-1 - place) << 1);
  const end = list + ((<usize>load<u16>(list)) << 1);
  let least: f32 = f32.MAX_VALUE;
  let best = -1;
  for (let at = list; at < end; at += 2) {
    const code = <u32>load<u16>(at, 2);
    if (!(load<f32>(LOWER + ((code & 255) << 2)) + load<f32>(UPPER + ((code >>> 8) << 2)) < least)) continue;
    const error = errorOf(code);
    if (!(error < least)) continue;
    least = error;
    best = <i32>code;
  }
  return best;
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
  const difference = f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_u(levels)), x);
  return f32x4.mul(f32x4.mul(w, difference), difference);
}

/**
 * Of the neighbours at `place` of four values: writes the levels of least error, the first of equals; false where no error
 * is finite. Four neighbours are a quad, the bytes of each coordinate side by side; a last quad repeats its last neighbour.
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
  const first = lists + ((<usize>(-1 - place) >>> 4) << 4);
  const end = first + ((<usize>(-1 - place) & 15) << 4);
  let least = f32x4.splat(f32.MAX_VALUE);
  let quad = i32x4.splat(-1);
  for (let at = first; at < end; at += 16) {
    const bytes = v128.load(at);
    const low = i16x8.extend_low_i8x16_u(bytes);
    const high = i16x8.extend_high_i8x16_u(bytes);
    let error = part(i32x4.extend_low_i16x8_u(low), scale, x0, w0);
    error = f32x4.add(error, part(i32x4.extend_high_i16x8_u(low), scale, x1, w1));
    error = f32x4.add(error, part(i32x4.extend_low_i16x8_u(high), scale, x2, w2));
    error = f32x4.add(error, part(i32x4.extend_high_i16x8_u(high), scale, x3, w3));
    const better = f32x4.lt(error, least);
    least = v128.bitselect(error, least, better);
    quad = v128.bitselect(i32x4.splat(<i32>at), quad, better);
  }
  // The least of the lanes; of equal ones the first quad, then the first lane.
  let lowest = f32x4.pmin(least, i8x16.shuffle(least, least, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  lowest = f32x4.pmin(lowest, i8x16.shuffle(lowest, lowest, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  const lane = i32x4.add(quad, v128.load(LANES));
  const candidates = v128.or(lane, v128.not(f32x4.eq(least, lowest)));
  let chosen = i32x4.min_u(
    candidates,
    i8x16.shuffle(candidates, candidates, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7),
  );
  chosen = i32x4.min_u(chosen, i8x16.shuffle(chosen, chosen, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  if (!(f32x4.extract_lane(lowest, 0) < f32.MAX_VALUE)) return false;
  const point = <usize>i32x4.extract_lane(chosen, 0);
  store<u8>(to, load<u8>(point));
  store<u8>(to, load<u8>(point, 4), 1);
  store<u8>(to, load<u8>(point, 8), 2);
  store<u8>(to, load<u8>(point, 12), 3);
  return true;
}

/** Numbers of the lanes. */
const LANES = memory.data<i32>([0, 1, 2, 3]);
