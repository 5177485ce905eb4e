/** Blocks of 32: q4_0 q4_1 q5_0 q5_1 q8_0. AssemblyScript. */
import { highest, joinNibbles, largest, lowest, narrowWhole, reciprocals, spreadMax, spreadMin } from "./block";
import { gather, makeQkx, makeQx, mins, scales, W, weighImportance, X } from "./lanes";
import { BYTES, highBits, packBlock } from "./pack";
import { storeHalf } from "./scalar";

const FLOATS: usize = 128;

/** The first value of magnitude `most`; 0 in a block of zeros. */
function firstPeak(src: usize, most: f32): f32 {
  if (most === 0) return 0;
  for (let at: usize = 0; at < FLOATS; at += 4) if (abs(load<f32>(src + at)) === most) return load<f32>(src + at);
  return 0;
}

/** The first value that equals `value`: zeros keep the sign that C finds first. */
function firstEqual(src: usize, value: f32): f32 {
  for (let at: usize = 0; at < FLOATS; at += 4) if (load<f32>(src + at) === value) return load<f32>(src + at);
  return value;
}

/** The value of largest magnitude, the first of equals, in all lanes. */
// @inline
function peaks(src: usize): v128 {
  const high = spreadMax(highest(src, 32));
  const low = f32x4.neg(spreadMin(lowest(src, 32)));
  if (f32x4.extract_lane(high, 0) === f32x4.extract_lane(low, 0))
    return f32x4.splat(firstPeak(src, f32x4.extract_lane(high, 0)));
  return v128.bitselect(high, f32x4.neg(low), f32x4.gt(high, low));
}

/** Codes trunc((x - min) * id + offset), at most `top`, of blocks whose scale or its reciprocal is infinite. */
function truncate(src: usize, least: f32, id: f32, offset: f32, top: i32): void {
  memory.fill(BYTES, 0, 32);
  if (!(abs(id) < Infinity)) return;
  for (let i = 0; i < 32; i++) {
    const code = <i32>(<i8>(<i32>((load<f32>(src + (i << 2)) - least) * id + offset)));
    store<u8>(BYTES + i, <u8>min(code, top));
  }
}

/** Writes 32 codes; answers where the block ends. */
function pack(codes: usize, to: usize, bits: i32): usize {
  if (bits === 5) {
    store<u32>(to, highBits(codes));
    to += 4;
  }
  packBlock(codes, to);
  return to + 16;
}

/** Of 4 and of 5 bits what is added before rounding down and the highest code; then the same of codes above a minimum. */
const ROUNDING = memory.data<f32>([8.5, 15, 16.5, 31, 0.5]);
const SIXTEEN = memory.data<f32>([16]);

/** Codes of four values as float32; those above a minimum do not pass the highest one. */
// @inline
function code(at: usize, bits: i32, affine: bool, least: v128, id: v128): v128 {
  const rounding = affine ? ROUNDING + 16 : bits === 4 ? ROUNDING : ROUNDING + 8;
  const x = v128.load(at);
  const scaled = f32x4.mul(affine ? f32x4.sub(x, least) : x, id);
  const floor = f32x4.floor(f32x4.add(scaled, v128.load32_splat(rounding)));
  return affine ? floor : f32x4.pmin(floor, v128.load32_splat(rounding, 4));
}

/** Codes of four values and, times 16, those of the four that are 16 behind them. */
// @inline
function pair(at: usize, affine: bool, least: v128, id: v128): v128 {
  const high = f32x4.mul(code(at + 64, 4, affine, least, id), v128.load32_splat(SIXTEEN));
  return f32x4.add(code(at, 4, affine, least, id), high);
}

/** Codes of 4 bits of a block. */
// @inline
function storeNibbles(src: usize, to: usize, affine: bool, least: v128, id: v128): void {
  const a = pair(src, affine, least, id);
  const b = pair(src + 16, affine, least, id);
  const c = pair(src + 32, affine, least, id);
  v128.store(to, narrowWhole(a, b, c, pair(src + 48, affine, least, id)));
}

/** Sixteen codes of 5 bits. */
// @inline
function sixteen(at: usize, affine: bool, least: v128, id: v128): v128 {
  const a = code(at, 5, affine, least, id);
  const b = code(at + 16, 5, affine, least, id);
  const c = code(at + 32, 5, affine, least, id);
  return narrowWhole(a, b, c, code(at + 48, 5, affine, least, id));
}

/** Codes of 5 bits of a block. */
// @inline
function storeFive(src: usize, to: usize, affine: bool, least: v128, id: v128): void {
  const a = sixteen(src, affine, least, id);
  const b = sixteen(src + 64, affine, least, id);
  const high = <u32>i8x16.bitmask(i16x8.shl(a, 3)) | ((<u32>i8x16.bitmask(i16x8.shl(b, 3))) << 16);
  store<u32>(to, high);
  v128.store(to, joinNibbles(a, b), 4);
}

// @inline
function storeCodes(src: usize, to: usize, bits: i32, affine: bool, least: v128, id: v128): void {
  if (bits === 4) storeNibbles(src, to, affine, least, id);
  else storeFive(src, to, affine, least, id);
}

// @inline
function signedBlock(src: usize, dst: usize, bits: i32): void {
  const top: i32 = 1 << (bits - 1);
  // Dividing by a power of two is multiplying by its inverse.
  const d = f32x4.mul(peaks(src), f32x4.splat(-1 / <f32>top));
  const id = reciprocals(d);
  storeHalf(dst, f32x4.extract_lane(d, 0));
  if (abs(f32x4.extract_lane(id, 0)) < Infinity) storeCodes(src, dst + 2, bits, false, d, id);
  else memory.fill(dst + 2, 0, bits === 4 ? 16 : 20);
}

/** q4_0 and q5_0 without importance. */
export function encodeSigned(src: usize, dst: usize, blocks: i32, bits: i32): void {
  if (bits === 4) for (let i = 0; i < blocks; i++, src += FLOATS, dst += 18) signedBlock(src, dst, 4);
  else for (let i = 0; i < blocks; i++, src += FLOATS, dst += 22) signedBlock(src, dst, 5);
}

// @inline
function affineBlock(src: usize, dst: usize, bits: i32): void {
  const top: i32 = (1 << bits) - 1;
  const least = spreadMin(lowest(src, 32));
  const d = f32x4.div(f32x4.sub(spreadMax(highest(src, 32)), least), f32x4.splat(<f32>top));
  const id = reciprocals(d);
  let low = f32x4.extract_lane(least, 0);
  if (low === 0) low = firstEqual(src, 0);
  storeHalf(dst, f32x4.extract_lane(d, 0));
  storeHalf(dst + 2, low);
  if (f32x4.extract_lane(id, 0) < Infinity && f32x4.extract_lane(d, 0) < Infinity)
    storeCodes(src, dst + 4, bits, true, least, id);
  else {
    truncate(src, low, f32x4.extract_lane(id, 0), 0.5, top);
    pack(BYTES, dst + 4, bits);
  }
}

/** q4_1 and q5_1 without importance. */
export function encodeAffine(src: usize, dst: usize, blocks: i32, bits: i32): void {
  if (bits === 4) for (let i = 0; i < blocks; i++, src += FLOATS, dst += 20) affineBlock(src, dst, 4);
  else for (let i = 0; i < blocks; i++, src += FLOATS, dst += 24) affineBlock(src, dst, 5);
}

function laneOf(values: v128, index: i32): f32 {
  v128.store(BYTES + 128, values);
  return load<f32>(BYTES + 128 + <usize>(index << 2));
}

/** The four formats with importance; blocks of one row, `weights` theirs, sigma2 the mean square of the row. */
export function encodeWeighted(
  src: usize,
  dst: usize,
  blocks: i32,
  weights: usize,
  sigma2: f32,
  bits: i32,
  affine: bool,
): void {
  for (let i = 0; i < blocks; ) {
    const count = blocks - i >= 4 ? 4 : 1;
    const stride = count === 4 ? FLOATS : 0;
    gather(src, stride, 32, X);
    gather(weights, stride, 32, W);
    weighImportance(32, f32x4.splat(sigma2));
    if (affine) makeQkx(32, (1 << bits) - 1, -0.9, 0.05, 36, BYTES);
    else makeQx(32, 1 << (bits - 1), BYTES);
    for (let k = 0; k < count; k++) {
      storeHalf(dst, laneOf(scales, k));
      if (affine) storeHalf(dst + 2, -laneOf(mins, k));
      dst = pack(BYTES + (k << 5), dst + (affine ? 4 : 2), bits);
    }
    src += FLOATS * <usize>count;
    weights += FLOATS * <usize>count;
    i += count;
  }
}

/** Four values rounded half away from zero: the float32 below 0.5 is enough to carry what is half. */
// @inline
function rounded(at: usize, id: v128): v128 {
  const x = f32x4.mul(v128.load(at), id);
  const half = v128.or(v128.and(x, i32x4.splat(i32.MIN_VALUE)), f32x4.splat(0.49999997));
  const magic = f32x4.splat(12582912);
  return i32x4.sub(f32x4.add(f32x4.trunc(f32x4.add(x, half)), magic), magic);
}

// @inline
function sixteenBytes(at: usize, id: v128): v128 {
  const ab = i16x8.narrow_i32x4_s(rounded(at, id), rounded(at + 16, id));
  const cd = i16x8.narrow_i32x4_s(rounded(at + 32, id), rounded(at + 48, id));
  return i8x16.narrow_i16x8_s(ab, cd);
}

/** q8_0. */
export function encodeBytes(src: usize, dst: usize, blocks: i32): void {
  for (let i = 0; i < blocks; i++, src += FLOATS, dst += 34) {
    const d = f32x4.div(largest(src, 32), f32x4.splat(127));
    const id = reciprocals(d);
    storeHalf(dst, f32x4.extract_lane(d, 0));
    if (!(f32x4.extract_lane(id, 0) < Infinity)) {
      memory.fill(dst + 2, 0, 32);
      continue;
    }
    v128.store(dst, sixteenBytes(src, id), 2);
    v128.store(dst, sixteenBytes(src + 64, id), 18);
  }
}
