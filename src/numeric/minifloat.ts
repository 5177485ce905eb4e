/** Small binary floats, each described by one row; decoding and encoding are shared. */
import { roundHalfEven } from "./rounding.ts";

/** `maxCode`, `inf` and `nan` are codes without the sign bit; `nan` of the "fnuz" types is the code of minus zero. */
export interface Minifloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /** Code of the largest finite value. */
  readonly maxCode: number;
  readonly inf?: number;
  /** Code of NaN; a type without one encodes NaN as zero and always saturates. */
  readonly nan?: number;
  readonly negativeZero: boolean;
}

export const FLOAT16 = {
  exponentBits: 5,
  mantissaBits: 10,
  bias: 15,
  maxCode: 0x7bff,
  inf: 0x7c00,
  nan: 0x7e00,
  negativeZero: true,
} as const satisfies Minifloat;

export const BFLOAT16 = {
  exponentBits: 8,
  mantissaBits: 7,
  bias: 127,
  maxCode: 0x7f7f,
  inf: 0x7f80,
  nan: 0x7fc0,
  negativeZero: true,
} as const satisfies Minifloat;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** floor(log2(x)) of a positive normal double; -1023 for zero and subnormals. */
export function exponentOf(x: number): number {
  double[0] = x;
  return ((words[1]! >>> 20) & 0x7ff) - 1023;
}

const signBit = (row: Minifloat): number => 1 << (row.exponentBits + row.mantissaBits);

/** Value of one code. */
export function decodeMinifloat(row: Minifloat, code: number): number {
  const sign = signBit(row);
  const magnitude = code & (sign - 1);
  if (code & sign && magnitude === 0 && !row.negativeZero) return Number.NaN;
  if (magnitude > row.maxCode)
    return magnitude === row.inf ? (code & sign ? -1 : 1) * Number.POSITIVE_INFINITY : Number.NaN;
  const field = magnitude >> row.mantissaBits;
  const fraction = (magnitude & ((1 << row.mantissaBits) - 1)) / 2 ** row.mantissaBits;
  const value = field === 0 ? fraction * 2 ** (1 - row.bias) : (1 + fraction) * 2 ** (field - row.bias);
  return code & sign ? -value : value;
}

/** Code of a finite magnitude, nearest even; may lie beyond `maxCode`. A carry out of the mantissa raises the exponent. */
function magnitudeCode(row: Minifloat, magnitude: number): number {
  const least = 1 - row.bias;
  const exponent = Math.max(exponentOf(magnitude), least);
  const steps = roundHalfEven(magnitude * 2 ** (row.mantissaBits - exponent));
  return (exponent - least) * 2 ** row.mantissaBits + steps;
}

/**
 * Code of the value nearest to a double, ties to even, rounded once. Beyond the largest finite value: that value when
 * saturating, else infinity where the type has one, else NaN (ONNX Cast, attribute `saturate`).
 */
export function encodeMinifloat(row: Minifloat, value: number, saturate: boolean): number {
  if (Number.isNaN(value)) return row.nan ?? 0;
  const sign = value < 0 || Object.is(value, -0) ? signBit(row) : 0;
  const magnitude = Math.abs(value);
  const code = magnitude === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : magnitudeCode(row, magnitude);
  if (code <= row.maxCode) return code === 0 && !row.negativeZero ? 0 : sign | code;
  if (saturate || row.nan === undefined) return sign | row.maxCode;
  if (row.inf !== undefined) return sign | row.inf;
  return row.negativeZero ? sign | row.nan : row.nan;
}
