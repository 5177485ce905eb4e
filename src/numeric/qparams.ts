/**
 * Affine grids as ONNX QuantizeLinear and DequantizeLinear define them (opset 10 to 25):
 * code = saturate(roundHalfEven(x / scale) + zeroPoint), value = (code - zeroPoint) * scale, both in float32.
 */
import type { DTypeRow } from "./dtypes.ts";
import { fail } from "./errors.ts";
import { roundHalfEven } from "./rounding.ts";

/** value ~ (code - zeroPoint) * scale; `scale` is a float32 value. */
export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Smallest normal float32: a smaller scale would be flushed to zero by engines that drop denormals. */
export const MIN_SCALE = 2 ** -126;

/**
 * Codes a grid may use, [low, high]. A reduced range leaves one bit unused, so that the sum of two products with uint8
 * codes stays in 16 bits (255 * 64 * 2 < 2^15; onnxruntime#14642). A symmetric signed grid leaves out its lowest code.
 */
export function codeRange(row: DTypeRow, symmetric = false, reduceRange = false): readonly [number, number] {
  if (row.kind === "float") return [row.min, row.max];
  if (row.kind === "uint") return [0, reduceRange ? (row.max - 1) / 2 : row.max];
  if (reduceRange) return [row.min / 2, -row.min / 2];
  return [symmetric ? -row.max : row.min, row.max];
}

const middle = (row: DTypeRow, high: number): number => (row.kind === "uint" ? (high + 1) / 2 : 0);

function scaleOf(span: number, steps: number): number {
  if (span === 0) return 1;
  const single = Math.fround(span);
  return Math.max(Math.fround((single === Number.POSITIVE_INFINITY ? span : single) / steps), MIN_SCALE);
}

/**
 * Scale and zero point that cover [min, max], stretched to contain zero, so that zero is exact. Symmetric: the zero
 * point is the grid's middle and the larger side decides. An empty range gets scale 1. Floats have no zero point.
 * Both are computed in float32, as DynamicQuantizeLinear does.
 */
export function affine(min: number, max: number, row: DTypeRow, symmetric: boolean, reduceRange = false): Affine {
  if (!Number.isFinite(max - min)) fail("data", `a range from ${min} to ${max} can't be put on a grid`);
  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  const [first, last] = codeRange(row, symmetric, reduceRange);
  if (symmetric || row.kind === "float") {
    const zeroPoint = row.kind === "float" ? 0 : middle(row, last);
    return { scale: scaleOf(Math.max(-low, high), last - zeroPoint), zeroPoint };
  }
  const scale = scaleOf(high - low, last - first);
  const zeroPoint = roundHalfEven(Math.fround(first - Math.fround(low / scale)));
  return { scale, zeroPoint: Math.min(Math.max(zeroPoint, first), last) };
}

export type IntArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array;

/**
 * Codes of values on one grid of an integer type. The quotient is rounded to float32 first, as engines divide, then
 * half to even. NaN becomes code 0. `out` must hold every code of `row`.
 */
export function quantizeValues<T extends IntArray = Int32Array>(
  values: Float32Array,
  { scale, zeroPoint }: Affine,
  row: DTypeRow,
  out: T = new Int32Array(values.length) as T,
): T {
  const low = row.min - zeroPoint;
  const high = row.max - zeroPoint;
  for (let i = 0; i < values.length; i++) {
    const steps = Math.fround(values[i]! / scale);
    out[i] = roundHalfEven(Math.min(Math.max(steps, low), high)) + zeroPoint;
  }
  return out;
}

/** Values of codes on one grid, in float32. */
export function dequantizeValues(
  codes: ArrayLike<number>,
  { scale, zeroPoint }: Affine,
  out: Float32Array = new Float32Array(codes.length),
): Float32Array {
  for (let i = 0; i < codes.length; i++) out[i] = (codes[i]! - zeroPoint) * scale;
  return out;
}
