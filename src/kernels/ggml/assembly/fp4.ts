/** Blocks of 4-bit floats: mxfp4 and nvfp4. AssemblyScript. */
import { BYTES, narrow } from "./pack";

/** Largest magnitude of 4 n values. */
function largest(src: usize, n: i32): f32 {
  let most = f32x4.abs(v128.load(src));
  for (let i = 1; i < n; i++) most = f32x4.max(most, f32x4.abs(v128.load(src + (i << 4))));
  const half = f32x4.max(most, i8x16.shuffle(most, most, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return max(f32x4.extract_lane(half, 0), f32x4.extract_lane(half, 1));
}

let least: v128 = i32x4.splat(0);
let code: v128 = i32x4.splat(0);

/** Takes code i, standing for `value`, where it is nearer than all before. */
function offer(magnitude: v128, value: v128, i: i32): void {
  const error = f32x4.abs(f32x4.sub(value, magnitude));
  const nearer = f32x4.lt(error, least);
  least = v128.bitselect(error, least, nearer);
  code = v128.bitselect(i32x4.splat(i), code, nearer);
}

/** Codes of four values: twice e2m1 is 0 1 2 3 4 6 8 12; a sign adds 8, but not to 0. */
function nearestCodes(src: usize, d: f32): v128 {
  const x = v128.load(src);
  const magnitude = f32x4.abs(x);
  const step = f32x4.splat(d);
  least = magnitude;
  code = i32x4.splat(0);
  offer(magnitude, step, 1);
  offer(magnitude, f32x4.mul(step, f32x4.splat(2)), 2);
  offer(magnitude, f32x4.mul(step, f32x4.splat(3)), 3);
  offer(magnitude, f32x4.mul(step, f32x4.splat(4)), 4);
  offer(magnitude, f32x4.mul(step, f32x4.splat(6)), 5);
  offer(magnitude, f32x4.mul(step, f32x4.splat(8)), 6);
  offer(magnitude, f32x4.mul(step, f32x4.splat(12)), 7);
  const negative = v128.and(f32x4.lt(x, f32x4.splat(0)), i32x4.gt_s(code, i32x4.splat(0)));
  return v128.or(code, v128.and(negative, i32x4.splat(8)));
}

/** Sixteen codes as bytes. */
function sixteen(src: usize, d: f32): v128 {
  return narrow(nearestCodes(src, d), nearestCodes(src + 16, d), nearestCodes(src + 32, d), nearestCodes(src + 48, d));
}

/** floorf(log2f(x)): just below a power of two the float32 logarithm is that of the power itself. */
function floorLog2(x: f32): i32 {
  const wide = reinterpret<u64>(<f64>x);
  const above = <i32>(wide >>> 52) - 1022;
  // The mantissa under the exponent of 1/2: x / 2^above.
  const short = 1 - reinterpret<f64>((wide & 0x000fffffffffffff) | 0x3fe0000000000000);
  if (short > 0.000244140625) return above - 1;
  return <i32>floor(<f32>(<f64>above - (short + (short * short) / 2) * Math.LOG2E));
}

/** Half of 2^(e - 127). */
function halfPower(e: u32): f32 {
  return reinterpret<f32>(e < 2 ? 0x00200000 << e : (e - 1) << 23);
}

export function encodeMxfp4(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += 128, dst += 17) {
    const most = largest(src, 8);
    const e: u32 = most > 0 ? (floorLog2(most) + 125) & 255 : 0;
    const d = halfPower(e);
    store<u8>(dst, <u8>e);
    v128.store(dst + 1, v128.or(sixteen(src, d), i8x16.shl(sixteen(src + 64, d), 4)));
  }
}

/** Unsigned e4m3, rounded half up, at most 448. */
function unsignedE4m3(value: f32): u32 {
  if (!(value > 0)) return 0;
  const x = min<f32>(value, 448);
  const word = reinterpret<u32>(x);
  const exponent = <i32>(word >>> 23) - 120;
  if (exponent <= 0) return min<u32>(7, <u32>(x * 512 + 0.5));
  if (exponent >= 15) return 0x7e;
  const bits = ((<u32>exponent) << 3) + ((word >>> 20) & 7) + ((word >>> 19) & 1);
  return bits >= 120 ? 0x7e : bits;
}

/** Half of the value of an unsigned e4m3 that is no NaN. */
function halfE4m3(bits: u32): f32 {
  return bits < 8 ? <f32>bits * 0.0009765625 : reinterpret<f32>((bits << 20) + (119 << 23));
}

export function encodeNvfp4(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, dst += 36)
    for (let s = 0; s < 4; s++, src += 64) {
      const bits = unsignedE4m3(largest(src, 4) / 6);
      store<u8>(dst + s, <u8>bits);
      v128.store(BYTES, sixteen(src, halfE4m3(bits)));
      store<u64>(dst + 4 + (s << 3), load<u64>(BYTES) | (load<u64>(BYTES, 8) << 4));
    }
}
