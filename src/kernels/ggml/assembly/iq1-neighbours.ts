/** Of the neighbours of eight values the one of least weighted error under one scale, levels standing for any values. AssemblyScript. */
import { listOf } from "./neighbours";

/** Costs of eight coordinates at up to four levels. */
const COSTS: usize = 40960;
/** By offset of half a point about what its four coordinates cost. */
const HALVES: usize = COSTS + 128;
/** More than 1 by more than all roundings of eight sums. */
const SAFE: f32 = 1.000004;

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

/** Cost of a coordinate at its level in a half of a point. */
// @inline
function costAt(coordinate: usize, offset: u32): f32 {
  const shift = 1 + ((<u32>coordinate & 3) << 1);
  return load<f32>(COSTS + (coordinate << 4) + ((offset >>> shift) & 12));
}

/** Error of a point, its terms in order. */
// @inline
function errorOf(low: u32, high: u32): f32 {
  const four: f32 = costAt(0, low) + costAt(1, low) + costAt(2, low) + costAt(3, low);
  return four + costAt(4, high) + costAt(5, high) + costAt(6, high) + costAt(7, high);
}

/**
 * Of the neighbours at `place` of eight values at x with weights w: the code of least error, the first of equals; -1 where
 * no error is finite. Most are passed over by a sum of two table entries that is near their error.
 */
export function nearestOfEight(place: i32, x: usize, w: usize, values: v128): i32 {
  for (let i: usize = 0; i < 8; i++) v128.store(COSTS + (i << 4), costs(x + (i << 2), w + (i << 2), values));
  fillSums(COSTS, HALVES);
  fillSums(COSTS + 64, HALVES + 1024);
  const list = listOf(place);
  const end = list + 4 + (load<u32>(list) << 2);
  let least: f32 = f32.MAX_VALUE;
  let limit = least;
  let best: usize = 0;
  for (let point = list + 4; point < end; point += 4) {
    const low = <u32>load<u16>(point);
    const high = <u32>load<u16>(point, 2);
    if (load<f32>(HALVES + (low >> 1)) + load<f32>(HALVES + (high >> 1)) > limit) continue;
    const error = errorOf(low, high);
    if (!(error < least)) continue;
    least = error;
    limit = least * SAFE;
    best = point;
  }
  if (best === 0) return -1;
  return <i32>((<u32>load<u16>(best) >> 3) | ((<u32>load<u16>(best, 2) - 2048) << 5));
}
