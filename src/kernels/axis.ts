/**
 * 8-bit codes with one scale per index of an axis, or one for the whole tensor: int8 and uint8 as QuantizeLinear has
 * them. Scales and zero points in the arithmetic of ONNX Runtime's Python quantizer (quant_utils: compute_scale_zp).
 */
import { roundHalfEven } from "../numeric/rounding.ts";

/** A tensor seen as `[outer, channels, inner]`; per-tensor quantization is `[1, 1, count]`. */
export interface AxisShape {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
}

/** Codes [min, max] that a range is spread over. */
export interface AxisGrid {
  readonly min: number;
  readonly max: number;
  readonly symmetric: boolean;
}

export interface AxisParams {
  readonly scales: Float32Array;
  readonly zeroPoints: Int32Array;
}

export const axisShape = (shape: readonly number[], axis: number): AxisShape => {
  const count = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
  return { outer: count(shape.slice(0, axis)), channels: shape[axis]!, inner: count(shape.slice(axis + 1)) };
};

interface Extents {
  readonly lows: Float32Array;
  readonly highs: Float32Array;
}

/** Smallest and largest value of each channel, zero included. */
function axisExtents(values: Float32Array, { outer, channels, inner }: AxisShape): Extents {
  const lows = new Float32Array(channels);
  const highs = new Float32Array(channels);
  for (let o = 0, i = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) {
      let low = lows[c]!;
      let high = highs[c]!;
      for (const to = i + inner; i < to; i++) {
        const value = values[i]!;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      lows[c] = low;
      highs[c] = high;
    }
  return { lows, highs };
}

/** Smallest normal float32; channels with a smaller scale hold nothing but (nearly) zeros. */
const TINY = 2 ** -126;

/** Scale and zero point for one range that includes zero. */
export function axisParam(low: number, high: number, { min, max, symmetric }: AxisGrid): readonly [number, number] {
  const peak = Math.max(-low, high);
  const scale = Math.fround(symmetric ? 2 * peak : high - low) / (max - min);
  if (scale < TINY) return [1, 0];
  return [Math.fround(scale), roundHalfEven(symmetric ? (min + max) / 2 : min - low / scale)];
}

/** Scale and zero point of every channel. */
export function axisScales(values: Float32Array, shape: AxisShape, grid: AxisGrid): AxisParams {
  const { lows, highs } = axisExtents(values, shape);
  const scales = new Float32Array(shape.channels);
  const zeroPoints = new Int32Array(shape.channels);
  for (let c = 0; c < shape.channels; c++) [scales[c], zeroPoints[c]] = axisParam(lows[c]!, highs[c]!, grid);
  return { scales, zeroPoints };
}

/** round(value / scale) + zeroPoint, divided in float32, ties to even, clamped to `limits`, by default what `codes` can hold. */
export function encodeAxis(
  values: Float32Array,
  { outer, channels, inner }: AxisShape,
  { scales, zeroPoints }: AxisParams,
  codes: Int8Array | Uint8Array,
  [least, most]: readonly [number, number] = codes instanceof Int8Array ? [-128, 127] : [0, 255],
): void {
  for (let o = 0, i = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) {
      const scale = scales[c]!;
      const zero = zeroPoints[c]!;
      for (const to = i + inner; i < to; i++)
        codes[i] = Math.max(least, Math.min(most, roundHalfEven(Math.fround(values[i]! / scale)) + zero));
    }
}

/** The values that codes stand for. */
export function decodeAxis(
  codes: Int8Array | Uint8Array,
  { outer, channels, inner }: AxisShape,
  { scales, zeroPoints }: AxisParams,
): Float32Array {
  const values = new Float32Array(codes.length);
  for (let o = 0, i = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (const to = i + inner; i < to; i++) values[i] = (codes[i]! - zeroPoints[c]!) * scales[c]!;
  return values;
}
