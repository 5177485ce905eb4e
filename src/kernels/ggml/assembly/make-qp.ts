/** `make_qp_quants`: the search for the scale of codes that are not negative. AssemblyScript. */
import { nearestFour } from "./lanes";
import { EPSILON, nearest } from "./scalar";

/** Steps of the inverse scales that are tried after the first. */
const STEPS = memory.data<f32>([-4, -3, -2, -1, 1, 2, 3, 4]);
/** Errors under them, then their inverse scales. */
const ERRORS: usize = 39424;

let sumlx: f32 = 0;
let suml2: f32 = 0;

/** Weighted squared error of one value under four scales. */
// @inline
function errorOf(value: v128, weight: v128, scale: v128, levels: v128): v128 {
  const difference = f32x4.sub(value, f32x4.mul(scale, f32x4.convert_i32x4_s(levels)));
  return f32x4.mul(f32x4.mul(weight, difference), difference);
}

/** The inverse scale of least error, the first of equals: `first`, or one of the others, each a step of 0.1 apart. */
function chooseInverse(n: i32, top: i32, x: usize, weights: usize, first: f32, most: f32): f32 {
  const one = f32x4.splat(1);
  const divisor = f32x4.splat(most);
  const tenth = f32x4.splat(0.1);
  const topF = f32x4.splat(<f32>top);
  const a = f32x4.splat(first);
  const b = f32x4.div(f32x4.add(f32x4.mul(tenth, v128.load(STEPS)), topF), divisor);
  const c = f32x4.div(f32x4.add(f32x4.mul(tenth, v128.load(STEPS, 16)), topF), divisor);
  const scaleA = f32x4.div(one, a);
  const scaleB = f32x4.div(one, b);
  const scaleC = f32x4.div(one, c);
  const limit = i32x4.splat(top);
  let errorA = f32x4.splat(0);
  let errorB = errorA;
  let errorC = errorA;
  for (let at: usize = 0; at < <usize>(n << 2); at += 4) {
    const value = v128.load32_splat(x + at);
    const weight = v128.load32_splat(weights + at);
    // The first codes are bytes, held under no limit.
    const levels = v128.and(nearestFour(f32x4.mul(a, value)), i32x4.splat(255));
    errorA = f32x4.add(errorA, errorOf(value, weight, scaleA, levels));
    const levelsB = i32x4.min_s(nearestFour(f32x4.mul(b, value)), limit);
    errorB = f32x4.add(errorB, errorOf(value, weight, scaleB, levelsB));
    const levelsC = i32x4.min_s(nearestFour(f32x4.mul(c, value)), limit);
    errorC = f32x4.add(errorC, errorOf(value, weight, scaleC, levelsC));
  }
  v128.store(ERRORS, errorB);
  v128.store(ERRORS, errorC, 16);
  v128.store(ERRORS, b, 32);
  v128.store(ERRORS, c, 48);
  let best = f32x4.extract_lane(errorA, 0);
  let chosen = first;
  for (let at = ERRORS; at < ERRORS + 32; at += 4) {
    if (!(load<f32>(at) < best)) continue;
    best = load<f32>(at);
    chosen = load<f32>(at, 32);
  }
  return chosen;
}

/** Moves the code of one value where that lessens the error; answers whether it did. */
function improve(top: i32, x: usize, code: usize, weight: usize): bool {
  const w = load<f32>(weight);
  const value = load<f32>(x);
  const old = <i32>load<u8>(code);
  let slx = sumlx - w * value * <f32>old;
  let sl2 = suml2 - w * <f32>old * <f32>old;
  if (!(slx > 0 && sl2 > 0)) return false;
  const l = min(nearest((value * sl2) / slx), top);
  if (l === old) return false;
  slx += w * value * <f32>l;
  sl2 += w * <f32>l * <f32>l;
  if (!(slx * slx * suml2 > sumlx * sumlx * sl2)) return false;
  store<u8>(code, <u8>l);
  sumlx = slx;
  suml2 = sl2;
  return true;
}

/** Whether the code of one of four values may move, the ones before it staying where they are. */
// @inline
function mayImprove(top: i32, x: usize, codes: usize, weights: usize): bool {
  const zero = f32x4.splat(0);
  const w = v128.load(weights);
  const value = v128.load(x);
  const oldCodes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(codes)));
  const old = f32x4.convert_i32x4_s(oldCodes);
  const slx = f32x4.sub(f32x4.splat(sumlx), f32x4.mul(f32x4.mul(w, value), old));
  const sl2 = f32x4.sub(f32x4.splat(suml2), f32x4.mul(f32x4.mul(w, old), old));
  const l = i32x4.min_s(nearestFour(f32x4.div(f32x4.mul(value, sl2), slx)), i32x4.splat(top));
  const positive = v128.and(f32x4.gt(slx, zero), f32x4.gt(sl2, zero));
  return v128.any_true(v128.and(positive, i32x4.ne(l, oldCodes)));
}

/** One round over all codes. */
function improveAll(n: i32, top: i32, x: usize, codes: usize, weights: usize): bool {
  let changed = false;
  for (let i: usize = 0; i < <usize>n; i += 4) {
    const at = i << 2;
    if (!mayImprove(top, x + at, codes + i, weights + at)) continue;
    for (let k: usize = 0; k < 4; k++)
      if (improve(top, x + at + (k << 2), codes + i + k, weights + at + (k << 2))) changed = true;
  }
  return changed;
}

/** Scale and byte codes of [0, top] of n floats, a multiple of four. */
export function makeQp(n: i32, top: i32, x: usize, codes: usize, weights: usize): f32 {
  let most: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + (i << 2));
    if (!(most > value)) most = value;
  }
  if (most < EPSILON) {
    memory.fill(codes, 0, n);
    return 0;
  }
  const chosen = chooseInverse(n, top, x, weights, <f32>top / most, most);
  sumlx = 0;
  suml2 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + (i << 2));
    const w = load<f32>(weights + (i << 2));
    const l = min(nearest(chosen * value), top);
    store<u8>(codes + i, <u8>l);
    sumlx += w * value * <f32>l;
    suml2 += w * <f32>l * <f32>l;
  }
  for (let round = 0; round < 5 && improveAll(n, top, x, codes, weights); round++) {}
  return suml2 > 0 ? sumlx / suml2 : 0;
}
