/** Float32 constants as halves: what would be lost, and the conversion itself, done when the tensor is written. */
import type { Tensor } from "../../ir/model.ts";
import { type ByteSource, computedSource, readAll } from "../../ir/source.ts";
import { bytesOf, decodeFloats } from "../../numeric/convert.ts";
import { encodeHalf } from "../../numeric/half.ts";

/** Largest finite half. */
export const HALF_MAX = 65504;
/** From here on a value rounds to infinity. */
const OVERFLOW = 65520;
/** At and below, a value rounds to zero. */
const FLUSH = 2 ** -25;
/** Magnitudes that stand for infinity: attention masks hold -1e9 or the lowest float32. */
export const STANDS_FOR_INFINITY = 1e8;

/** Magnitudes that survive: smaller ones become `min`, larger finite ones `max`; zero, infinities and NaN stay. */
export interface Clamp {
  readonly min: number;
  readonly max: number;
}

/** What half precision does to one tensor. */
export interface HalfLoss {
  readonly count: number;
  /** Largest finite magnitude. */
  readonly largest: number;
  /** Values that would become infinite, without those that stand for infinity. */
  readonly overflowing: number;
  readonly infinityLike: number;
  /** Values other than zero that would become zero. */
  readonly flushed: number;
}

function lossOf(x: Float32Array): HalfLoss {
  let largest = 0;
  let overflowing = 0;
  let infinityLike = 0;
  let flushed = 0;
  for (let i = 0; i < x.length; i++) {
    const magnitude = Math.abs(x[i]!);
    if (magnitude <= FLUSH) {
      if (magnitude !== 0) flushed++;
    } else if (magnitude >= OVERFLOW && magnitude < Infinity) {
      if (magnitude >= STANDS_FOR_INFINITY) infinityLike++;
      else overflowing++;
    }
    if (magnitude > largest && magnitude < Infinity) largest = magnitude;
  }
  return { count: x.length, largest, overflowing, infinityLike, flushed };
}

const floatsIn = async (data: ByteSource): Promise<Float32Array> => decodeFloats(await readAll(data), "float32");

export const halfLoss = async ({ data }: Tensor): Promise<HalfLoss> => lossOf(await floatsIn(data));

function clamped(x: Float32Array, { min, max }: Clamp): Float32Array {
  const low = Math.fround(min);
  const high = Math.fround(max);
  const out = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const value = x[i]!;
    const magnitude = Math.abs(value);
    if (magnitude < low && magnitude > 0) out[i] = value < 0 ? -low : low;
    else if (magnitude > high && magnitude < Infinity) out[i] = value < 0 ? -high : high;
    else out[i] = value;
  }
  return out;
}

/** Bits of the halves: clamped, then rounded to nearest, ties to even. */
export const halves = (x: Float32Array, clamp: Clamp): Uint16Array => encodeHalf(clamped(x, clamp));

/** The tensor in half precision, computed when it is read. */
export const halfTensor = ({ name, shape, data }: Tensor, clamp: Clamp): Tensor => ({
  name,
  dtype: "float16",
  shape,
  data: computedSource(data.size / 2, async () => bytesOf(halves(await floatsIn(data), clamp))),
});
