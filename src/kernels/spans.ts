/**
 * Codes with one scale per span: so many consecutive values, a group of a row or a whole row. The arithmetic is that of
 * compressed-tensors 0.20 (`calculate_qparams`, `quantize`) in float32: values are divided by the stored scale, then half
 * goes to even.
 */
import { decodeFloats, encodeFloats } from "../numeric/convert.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { decodeSmallFloats, encodeFloat8e4m3 } from "../numeric/float8.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { hasClipWasm, MAX_LENGTH, searchClips } from "./clip-wasm.ts";

/** Types of codes. */
export type SpanType = "int4" | "int8" | "float8e4m3fn";

/** What codes a span has. Floats are symmetric. */
export interface SpanGrid {
  readonly dtype: SpanType;
  readonly symmetric: boolean;
}

/** Types that scales are stored in. */
export type ScaleType = "float32" | "float16" | "bfloat16";

/** One of each per span; a value is (code - zeroPoint) * scale. */
export interface SpanParams {
  readonly scales: Float32Array;
  readonly zeroPoints: Int8Array;
}

/** What a scale of zero becomes, so that nothing is divided by it: the distance from 1 to the next value of the type. */
const LEAST_SCALES: Readonly<Record<ScaleType, number>> = {
  float32: 2 ** -23,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
};

/**
 * Shares of the range that the clip search tries, the whole first. Symmetric integer grids of compressed-tensors reach
 * from -8 to 7 steps of 7.5, so a little more than the whole gives the largest value back exactly.
 */
const SHARES: Readonly<Record<SpanType, readonly number[]>> = {
  int4: [1, 1.07, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75],
  int8: [1, 1.01, 0.99, 1.02, 0.98, 0.96],
  float8e4m3fn: [1, 0.97, 0.93, 0.89, 0.84, 0.79, 0.74, 0.68],
};

interface Extents {
  readonly lows: Float32Array;
  readonly highs: Float32Array;
}

/** Smallest and largest value of each span, zero included. */
function spanExtents(values: Float32Array, length: number): Extents {
  const count = values.length / length;
  const extents = { lows: new Float32Array(count), highs: new Float32Array(count) };
  for (let span = 0, i = 0; span < count; span++) {
    let low = 0;
    let high = 0;
    for (const to = i + length; i < to; i++) {
      const value = values[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    extents.lows[span] = low;
    extents.highs[span] = high;
  }
  return extents;
}

/** Scales as they come back from the file. */
function storedScales(scales: Float32Array, type: ScaleType): Float32Array {
  const stored = type === "float32" ? scales : decodeFloats(encodeFloats(scales, type), type);
  for (let i = 0; i < stored.length; i++) if (stored[i] === 0) stored[i] = LEAST_SCALES[type];
  return stored;
}

/** The grids that cover a share of each span's range. */
function gridsOf({ lows, highs }: Extents, { dtype, symmetric }: SpanGrid, type: ScaleType, share: number): SpanParams {
  const { min, max } = DTYPES[dtype];
  const steps = symmetric ? (max - min) / 2 : max - min;
  const exact = lows.map((low, i) => {
    const high = highs[i]!;
    return ((symmetric ? Math.max(-low, high) : Math.fround(high - low)) * share) / steps;
  });
  const zeroPoints = new Int8Array(exact.length);
  const scales = storedScales(exact.slice(), type);
  if (symmetric) return { scales, zeroPoints };
  for (let i = 0; i < zeroPoints.length; i++)
    if (exact[i] !== 0) {
      const zero = Math.fround(min - Math.fround((lows[i]! * share) / scales[i]!));
      zeroPoints[i] = roundHalfEven(Math.min(Math.max(zero, min), max));
    }
  return { scales, zeroPoints };
}

/** Sum of squared errors of `values[from, to)` on one grid; gives up above `limit`. */
type SquaredError = (
  values: Float32Array,
  from: number,
  to: number,
  scale: number,
  zero: number,
  limit: number,
) => number;

/** Values between two looks at the limit. */
const STRETCH = 32;

function integerError(min: number, max: number): SquaredError {
  return (values, from, to, scale, zero, limit) => {
    const reciprocal = 1 / scale;
    let sum = 0;
    for (let i = from; i < to && sum < limit; ) {
      for (const end = Math.min(i + STRETCH, to); i < end; i++) {
        const value = values[i]!;
        const exact = value * reciprocal + zero;
        const code = roundHalfEven(Math.min(Math.max(exact, min), max));
        const error = value - (code - zero) * scale;
        sum += error * error;
      }
    }
    return sum;
  };
}

/** Leaves 4 significant bits of a double (Veltkamp's splitting). */
const KEEP_FOUR = 2 ** 49 + 1;
const SMALLEST_NORMAL = 2 ** -6;
const STEP = 2 ** -9;

const float8Error: SquaredError = (values, from, to, scale, _zero, limit) => {
  const { min, max } = DTYPES.float8e4m3fn;
  const reciprocal = 1 / scale;
  let sum = 0;
  for (let i = from; i < to && sum < limit; ) {
    for (const end = Math.min(i + STRETCH, to); i < end; i++) {
      const value = values[i]!;
      const exact = value * reciprocal;
      const inside = Math.min(Math.max(exact, min), max);
      const large = inside * KEEP_FOUR;
      const isNormal = inside >= SMALLEST_NORMAL || inside <= -SMALLEST_NORMAL;
      const nearest = isNormal ? large - (large - inside) : roundHalfEven(inside / STEP) * STEP;
      const error = value - nearest * scale;
      sum += error * error;
    }
  }
  return sum;
};

const ERRORS: Readonly<Record<SpanType, SquaredError>> = {
  int4: integerError(DTYPES.int4.min, DTYPES.int4.max),
  int8: integerError(DTYPES.int8.min, DTYPES.int8.max),
  float8e4m3fn: float8Error,
};

/** Grids that cover each span of `length` values; `values` holds whole spans. Scales are representable in `type`. */
export const coveringGrids = (values: Float32Array, length: number, grid: SpanGrid, type: ScaleType): SpanParams =>
  gridsOf(spanExtents(values, length), grid, type, 1);

/** The best grid of each span. */
function search(values: Float32Array, length: number, dtype: SpanType, grids: readonly SpanParams[]): SpanParams {
  const errorOf = ERRORS[dtype];
  const [first] = grids as readonly [SpanParams, ...SpanParams[]];
  const best = { scales: first.scales.slice(), zeroPoints: first.zeroPoints.slice() };
  for (let span = 0, from = 0; span < best.scales.length; span++, from += length) {
    let least = Number.POSITIVE_INFINITY;
    for (const { scales, zeroPoints } of grids) {
      const error = errorOf(values, from, from + length, scales[span]!, zeroPoints[span]!, least);
      if (error >= least) continue;
      least = error;
      best.scales[span] = scales[span]!;
      best.zeroPoints[span] = zeroPoints[span]!;
    }
  }
  return best;
}

/** The same in WebAssembly, whose codes begin at 0. */
function searchWasm(values: Float32Array, length: number, dtype: SpanType, grids: readonly SpanParams[]): SpanParams {
  const { min, max } = DTYPES[dtype];
  const count = values.length / length;
  const best = { scales: new Float32Array(count), zeroPoints: new Int8Array(count) };
  searchClips({
    ...{ values, length, count, candidates: grids.length, top: max - min },
    find(span, out, at) {
      for (const { scales, zeroPoints } of grids) {
        out[at++] = scales[span]!;
        out[at++] = zeroPoints[span]! - min;
        out[at++] = 1 / scales[span]!;
      }
    },
    choose(span, out, at) {
      best.scales[span] = out[at]!;
      best.zeroPoints[span] = out[at + 1]! + min;
    },
  });
  return best;
}

let wasm: boolean | undefined;

/** Whether WebAssembly has the arithmetic: integers, spans that fit its memory. */
function fitsWasm(dtype: SpanType, length: number): boolean {
  if (dtype === "float8e4m3fn" || length > MAX_LENGTH) return false;
  wasm ??= hasClipWasm();
  return wasm;
}

/** The grids with the least squared error among those that cover some shares of each span's range, the whole included. */
export function clippedGrids(values: Float32Array, length: number, grid: SpanGrid, type: ScaleType): SpanParams {
  const { dtype } = grid;
  const extents = spanExtents(values, length);
  const grids = SHARES[dtype].map((share) => gridsOf(extents, grid, type, share));
  return (fitsWasm(dtype, length) ? searchWasm : search)(values, length, dtype, grids);
}

function encodeIntegers(values: Float32Array, length: number, dtype: SpanType, params: SpanParams, out: Int8Array) {
  const { min, max } = DTYPES[dtype];
  for (let span = 0, i = 0; i < values.length; span++) {
    const scale = params.scales[span]!;
    const zero = params.zeroPoints[span]!;
    for (const to = i + length; i < to; i++) {
      const code = Math.fround(Math.fround(values[i]! / scale) + zero);
      out[i] = roundHalfEven(Math.min(Math.max(code, min), max));
    }
  }
}

function encodeFloats8(values: Float32Array, length: number, { scales }: SpanParams, out: Uint8Array) {
  const quotients = new Float32Array(values.length);
  for (let span = 0, i = 0; i < values.length; span++) {
    const scale = scales[span]!;
    for (const to = i + length; i < to; i++) quotients[i] = values[i]! / scale;
  }
  encodeFloat8e4m3(quotients, out);
}

/** Codes of values on the grids of their spans, one byte each; integers in two's complement. */
export function encodeSpans(values: Float32Array, length: number, dtype: SpanType, params: SpanParams): Uint8Array {
  const codes = new Uint8Array(values.length);
  if (dtype === "float8e4m3fn") encodeFloats8(values, length, params, codes);
  else encodeIntegers(values, length, dtype, params, new Int8Array(codes.buffer));
  return codes;
}

/** The values that codes stand for, in float32: code minus zero point, times scale. */
export function decodeSpans(codes: Uint8Array, length: number, dtype: SpanType, params: SpanParams): Float32Array {
  const { scales, zeroPoints } = params;
  const values =
    dtype === "float8e4m3fn"
      ? decodeSmallFloats(codes, dtype)
      : Float32Array.from(new Int8Array(codes.buffer, codes.byteOffset, codes.length));
  for (let span = 0, i = 0; i < values.length; span++) {
    const scale = scales[span]!;
    const zero = zeroPoints[span]!;
    for (const to = i + length; i < to; i++) values[i] = (values[i]! - zero) * scale;
  }
  return values;
}
