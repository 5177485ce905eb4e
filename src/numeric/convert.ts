/** Raw little-endian bytes of any numeric dtype to numbers and back. */
import { byteLength, DTYPES, type DType } from "./dtypes.ts";
import { fail } from "./errors.ts";
import { decodeSmallFloats, encodeSmallFloats, isSmallFloat } from "./float8.ts";
import { decodeBfloat16, decodeHalf, encodeBfloat16, encodeHalf } from "./half.ts";
import { packCodes, type SubByteBits, unpackSigned, unpackUnsigned } from "./packing.ts";

/** Array type that holds one element per slot; sub-byte and 8-bit floats travel as their bytes, halves as their bits. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
  float8e8m0: Uint8Array,
  float6e2m3: Uint8Array,
  float6e3m2: Uint8Array,
  float4e2m1: Uint8Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  int4: Uint8Array,
  int2: Uint8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  uint4: Uint8Array,
  uint2: Uint8Array,
  bool: Uint8Array,
  complex64: Float32Array,
  complex128: Float64Array,
  string: Uint8Array,
} as const satisfies Record<DType, unknown>;

/** Arrays that can hold the elements of a dtype. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A fresh array for `count` elements of `dtype`; packed bytes for sub-byte types. */
export const emptyArray = (dtype: DType, count: number): TypedArray => {
  const Type = ARRAYS[dtype];
  return new Type(Math.ceil(byteLength(dtype, count) / Type.BYTES_PER_ELEMENT));
};

/** The bytes as the dtype's typed array: a view where they are aligned, a copy where not. */
export function typedView(bytes: Uint8Array, dtype: DType): TypedArray {
  const Type = ARRAYS[dtype];
  const size = Type.BYTES_PER_ELEMENT;
  if (bytes.byteLength % size !== 0)
    fail("format", `${bytes.byteLength} bytes are not a whole number of ${dtype} elements of ${size} bytes`);
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new Type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size);
}

/** The bytes of a typed array, shared. */
export const bytesOf = (array: TypedArray): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const elementsIn = (bytes: Uint8Array, dtype: DType): number => Math.floor((bytes.byteLength * 8) / DTYPES[dtype].bits);

/** Sub-byte integers and small floats, one code per slot. */
function unpackedCodes(bytes: Uint8Array, dtype: DType, count: number): Uint8Array | Int8Array {
  const { bits, kind } = DTYPES[dtype];
  if (bits === 8) return bytes.subarray(0, count);
  return kind === "int"
    ? unpackSigned(bytes, bits as SubByteBits, count)
    : unpackUnsigned(bytes, bits as SubByteBits, count);
}

function checkNumeric(dtype: DType): void {
  const { kind, bits } = DTYPES[dtype];
  if (kind === "string" || kind === "complex") fail("unsupported", `elements of type ${dtype} are not real numbers`);
  if ((bits as number) === 6) fail("unsupported", `elements of type ${dtype} can be stored but not yet computed with`);
}

/** Numbers of a typed array of `dtype`; 64-bit integers beyond 2^53 are rounded. */
function numbersOf<T extends Float32Array | Float64Array>(array: TypedArray, out: T): T {
  for (let i = 0; i < out.length; i++) out[i] = Number(array[i]!);
  return out;
}

/** Raw bytes of any numeric dtype as float32 values; `count` defaults to all whole elements. Doubles and wide integers are rounded. */
export function decodeFloats(bytes: Uint8Array, dtype: DType, count = elementsIn(bytes, dtype)): Float32Array {
  checkNumeric(dtype);
  const needed = byteLength(dtype, count);
  if (needed > bytes.byteLength)
    fail("format", `${count} elements of ${dtype} need ${needed} bytes, found ${bytes.byteLength}`);
  if (isSmallFloat(dtype)) return decodeSmallFloats(unpackedCodes(bytes, dtype, count) as Uint8Array, dtype);
  if (DTYPES[dtype].bits < 8) return Float32Array.from(unpackedCodes(bytes, dtype, count));
  return floatsOf(typedView(bytes.subarray(0, needed), dtype), dtype);
}

/** Elements of a typed array of `dtype` as float32 values; a float32 array comes back itself. */
export function floatsOf(array: TypedArray, dtype: DType): Float32Array {
  if (dtype === "float32") return array as Float32Array;
  if (dtype === "float16") return decodeHalf(array as Uint16Array);
  if (dtype === "bfloat16") return decodeBfloat16(array as Uint16Array);
  if (isSmallFloat(dtype) || DTYPES[dtype].bits < 8) return decodeFloats(bytesOf(array), dtype);
  checkNumeric(dtype);
  return numbersOf(array, new Float32Array(array.length));
}

/** Raw bytes of any numeric dtype as doubles: exact for every type but 64-bit integers beyond 2^53. */
export function decodeDoubles(bytes: Uint8Array, dtype: DType, count = elementsIn(bytes, dtype)): Float64Array {
  const { kind, bits } = DTYPES[dtype];
  const narrow = bits <= 16 || dtype === "float32";
  if (narrow || kind === "complex" || kind === "string") return Float64Array.from(decodeFloats(bytes, dtype, count));
  const needed = byteLength(dtype, count);
  if (needed > bytes.byteLength)
    fail("format", `${count} elements of ${dtype} need ${needed} bytes, found ${bytes.byteLength}`);
  return numbersOf(typedView(bytes.subarray(0, needed), dtype), new Float64Array(count));
}

/**
 * Raw bytes of float32 values in a float dtype, nearest even. 8- and 4-bit floats saturate, float16 and bfloat16
 * overflow to infinity: check with `DTYPES[dtype].max` where that matters.
 */
export function encodeFloats(values: Float32Array, dtype: DType): Uint8Array {
  if (dtype === "float32") return bytesOf(values);
  if (dtype === "float64") return bytesOf(Float64Array.from(values));
  if (dtype === "float16") return bytesOf(encodeHalf(values));
  if (dtype === "bfloat16") return bytesOf(encodeBfloat16(values));
  if (!isSmallFloat(dtype)) return fail("unsupported", `float values can't be stored as ${dtype} without a scale`);
  const codes = encodeSmallFloats(values, dtype);
  return dtype === "float4e2m1" ? packCodes(codes, 4) : codes;
}
