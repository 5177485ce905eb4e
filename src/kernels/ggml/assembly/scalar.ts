/** Scalars: halves, ggml's nearest_int, and the search for the scale of scales. AssemblyScript, compiled by scripts/build-wasm.js. */

/** Groups whose largest magnitude is below count as zero (`GROUP_MAX_EPS`). */
export const EPSILON: f32 = 1e-15;

/** Bits of the nearest half, ties to even. */
export function halfOf(value: f32): u32 {
  const word = reinterpret<u32>(value);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  if (magnitude < 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

/** Value of a half. */
export function ofHalf(bits: u32): f32 {
  const sign = (bits & 0x8000) << 16;
  const magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return reinterpret<f32>(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13));
  // As float32 bits the exponent is 112 short; for subnormal halves too, whose float32 stays subnormal until then.
  return reinterpret<f32>(sign | (magnitude << 13)) * reinterpret<f32>(0x77800000);
}

/** Stores the nearest half and answers its value. */
export function storeHalf(at: usize, value: f32): f32 {
  const bits = halfOf(value);
  store<u16>(at, <u16>bits);
  return ofHalf(bits);
}

/** ggml's `nearest_int`. */
export function nearest(value: f32): i32 {
  return <i32>(reinterpret<u32>(value + 12582912) & 0x7fffff) - 0x400000;
}

let sumlx: f32 = 0;
let suml2: f32 = 0;

function positiveError(n: i32, top: i32, x: usize, weights: usize, iscale: f32, wrapped: bool): f32 {
  const scale: f32 = 1 / iscale;
  let error: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + (i << 2));
    const raw = nearest(iscale * value);
    const l = wrapped ? raw & 255 : min(raw, top);
    const difference = value - scale * <f32>l;
    error += load<f32>(weights + (i << 2)) * difference * difference;
  }
  return error;
}

/** One round over all codes, each moved where that lessens the error. */
function improve(n: i32, top: i32, x: usize, codes: usize, weights: usize): bool {
  let changed = false;
  for (let i = 0; i < n; i++) {
    const w = load<f32>(weights + (i << 2));
    const value = load<f32>(x + (i << 2));
    const old = <i32>load<u8>(codes + i);
    let slx = sumlx - w * value * <f32>old;
    let sl2 = suml2 - w * <f32>old * <f32>old;
    if (!(slx > 0 && sl2 > 0)) continue;
    const l = min(nearest((value * sl2) / slx), top);
    if (l === old) continue;
    slx += w * value * <f32>l;
    sl2 += w * <f32>l * <f32>l;
    if (!(slx * slx * suml2 > sumlx * sumlx * sl2)) continue;
    store<u8>(codes + i, <u8>l);
    sumlx = slx;
    suml2 = sl2;
    changed = true;
  }
  return changed;
}

/** `make_qp_quants`: scale and byte codes of [0, top] of n floats. */
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
  let chosen: f32 = <f32>top / most;
  let best = positiveError(n, top, x, weights, chosen, true);
  for (let step = -4; step <= 4; step++) {
    if (step === 0) continue;
    const iscale: f32 = (<f32>0.1 * <f32>step + <f32>top) / most;
    const error = positiveError(n, top, x, weights, iscale, false);
    if (!(error < best)) continue;
    best = error;
    chosen = iscale;
  }
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
  for (let round = 0; round < 5 && improve(n, top, x, codes, weights); round++) {}
  return suml2 > 0 ? sumlx / suml2 : 0;
}
