/** Scalars: halves and ggml's nearest_int. AssemblyScript, compiled by scripts/build-wasm.js. */

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
