/**
 * Float32 as C computes it on x86-64. A double holds the exact sum, product, quotient or root of two floats closely
 * enough that rounding it once more gives the float result, so `fround` around every operation is all it takes.
 */
import { halfOfWord, halfTable } from "../../numeric/half.ts";

const { fround } = Math;

/** Largest finite float32. */
export const FLT_MAX = 3.4028234663852886e38;

const float = new Float32Array(1);
const word = new Int32Array(float.buffer);
const unsigned = new Uint32Array(float.buffer);

/** 1.5 * 2^23: adding it leaves the nearest integer, ties to even, in the low bits of a float32. */
const MAGIC = 12582912;

/** ggml's `nearest_int`: right to 2^22, beyond that what the low bits happen to say; NaN gives 0, infinity -2^22. */
export function nearestInt(x: number): number {
  const pushed = fround(x + MAGIC);
  if (pushed >= 8388608 && pushed < 16777216) return (pushed | 0) - MAGIC;
  float[0] = pushed;
  return (word[0]! & 0x7fffff) - 0x400000;
}

/** `nearestInt` held in [low, high]. */
export function nearestWithin(x: number, low: number, high: number): number {
  const nearest = nearestInt(x);
  return Math.max(low, Math.min(high, nearest));
}

/** C `roundf` and a cast to an integer type of at most 32 bits, narrowed by the store; what is out of range gives 0. */
export const roundToInt = (x: number): number => (x >= 0 ? (x + 0.5) | 0 : (x - 0.5) | 0);

/** Writes the nearest half, ties to even, beyond 65504 infinity. */
export function writeHalf(y: Uint8Array, at: number, value: number): void {
  float[0] = value;
  const half = halfOfWord(unsigned[0]!);
  y[at] = half;
  y[at + 1] = half >> 8;
}

let halves: Float32Array | undefined;

/** The half at byte `at`. */
export function readHalf(y: Uint8Array, at: number): number {
  halves ??= new Float32Array(halfTable().buffer);
  return halves[y[at]! | (y[at + 1]! << 8)]!;
}

/** The first block of so many bytes that has infinite halves at one of two places, or -1. */
export const infiniteHalf =
  (bytes: number, place: number, second = place) =>
  (y: Uint8Array): number => {
    for (let at = 1; at < y.length; at += bytes)
      if ((y[at + place]! & 0x7c) === 0x7c || (y[at + second]! & 0x7c) === 0x7c) return (at - 1) / bytes;
    return -1;
  };

/** Sum of squares of `n` values in order. */
export function sumOfSquares(x: Float32Array, from: number, n: number): number {
  let sum = 0;
  for (let i = from; i < from + n; i++) sum = fround(sum + fround(x[i]! * x[i]!));
  return sum;
}

/** Writes `n` weights, importance times the root of sigma2 + x^2; without importance nothing is weighted but the square of x. */
export function weigh(
  x: Float32Array,
  from: number,
  n: number,
  importance: Float32Array | undefined,
  weightsFrom: number,
  sigma2: number,
  weights: Float32Array,
): void {
  if (importance === undefined) {
    for (let i = 0; i < n; i++) weights[i] = x[from + i]! * x[from + i]!;
    return;
  }
  for (let i = 0; i < n; i++) {
    const square = fround(x[from + i]! * x[from + i]!);
    weights[i] = importance[weightsFrom + i]! * fround(Math.sqrt(fround(sigma2 + square)));
  }
}
