/** Every element type fewbit can name. One row holds all that is known of it. */

/** `kind` says how the bits are read; `min` and `max` are the smallest and largest finite values. */
export interface DTypeRow {
  readonly bits: number;
  readonly kind: "int" | "uint" | "float" | "bool" | "complex" | "string";
  readonly min: number;
  readonly max: number;
}

const int = (bits: number): DTypeRow => ({ bits, kind: "int", min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const uint = (bits: number): DTypeRow => ({ bits, kind: "uint", min: 0, max: 2 ** bits - 1 });
const float = (bits: number, max: number, min = -max): DTypeRow => ({ bits, kind: "float", min, max });

/** Maxima of the 8-, 6- and 4-bit floats: OCP 8-bit Floating Point Specification 1.0, OCP Microscaling Formats 1.0. */
export const DTYPES = {
  float32: float(32, 3.4028234663852886e38),
  float64: float(64, Number.MAX_VALUE),
  float16: float(16, 65504),
  bfloat16: float(16, 3.3895313892515355e38),
  float8e4m3fn: float(8, 448),
  float8e4m3fnuz: float(8, 240),
  float8e5m2: float(8, 57344),
  float8e5m2fnuz: float(8, 57344),
  float8e8m0: float(8, 2 ** 127, 2 ** -127),
  float6e2m3: float(6, 7.5),
  float6e3m2: float(6, 28),
  float4e2m1: float(4, 6),
  int64: int(64),
  int32: int(32),
  int16: int(16),
  int8: int(8),
  int4: int(4),
  int2: int(2),
  uint64: uint(64),
  uint32: uint(32),
  uint16: uint(16),
  uint8: uint(8),
  uint4: uint(4),
  uint2: uint(2),
  bool: { bits: 8, kind: "bool", min: 0, max: 1 },
  complex64: { bits: 64, kind: "complex", min: -3.4028234663852886e38, max: 3.4028234663852886e38 },
  complex128: { bits: 128, kind: "complex", min: -Number.MAX_VALUE, max: Number.MAX_VALUE },
  string: { bits: 0, kind: "string", min: 0, max: 0 },
} as const satisfies Record<string, DTypeRow>;

/** Element types by name. */
export type DType = keyof typeof DTYPES;

/** Whether a name is that of an element type. */
export const isDType = (name: string): name is DType => Object.hasOwn(DTYPES, name);

/** Number of elements of a shape; a scalar has one. */
export const elementCount = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** Bytes of `count` packed elements: sub-byte elements share bytes, the last byte is padded. */
export const byteLength = (dtype: DType, count: number): number => Math.ceil((count * DTYPES[dtype].bits) / 8);
