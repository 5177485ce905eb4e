/**
 * 8- and 4-bit floats: OCP 8-bit Floating Point Specification 1.0, arXiv:2206.02915 (the "fnuz" types),
 * OCP Microscaling Formats 1.0 (e8m0, e2m1). One code per byte here; packing is `packing.ts`.
 */
import { decodeMinifloat, encodeMinifloat, exponentOf, type Minifloat } from "./minifloat.ts";
import { roundHalfEven } from "./rounding.ts";

const rows = {
  float8e4m3fn: { exponentBits: 4, mantissaBits: 3, bias: 7, maxCode: 0x7e, nan: 0x7f, negativeZero: true },
  float8e4m3fnuz: { exponentBits: 4, mantissaBits: 3, bias: 8, maxCode: 0x7f, nan: 0x80, negativeZero: false },
  float8e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, maxCode: 0x7b, inf: 0x7c, nan: 0x7e, negativeZero: true },
  float8e5m2fnuz: { exponentBits: 5, mantissaBits: 2, bias: 16, maxCode: 0x7f, nan: 0x80, negativeZero: false },
  float4e2m1: { exponentBits: 2, mantissaBits: 1, bias: 1, maxCode: 0x7, negativeZero: true },
} as const satisfies Record<string, Minifloat>;

interface Codec {
  readonly codes: number;
  decode(code: number): number;
  encode(value: number, saturate: boolean): number;
}

const codec = (row: Minifloat): Codec => ({
  codes: 2 ** (1 + row.exponentBits + row.mantissaBits),
  decode: (code) => decodeMinifloat(row, code),
  encode: (value, saturate) => encodeMinifloat(row, value, saturate),
});

const E8M0_BIAS = 127;
const E8M0_MAX = 254;
const E8M0_NAN = 255;

/** A power of two without sign or zero. Zero and values below 2^-127 saturate to it; negative values become NaN. */
const float8e8m0: Codec = {
  codes: 256,
  decode: (code) => (code === E8M0_NAN ? Number.NaN : 2 ** (code - E8M0_BIAS)),
  encode(value, saturate) {
    if (!(value >= 0)) return E8M0_NAN;
    if (value < 2 ** -E8M0_BIAS) return saturate ? 0 : E8M0_NAN;
    const exponent = value === Number.POSITIVE_INFINITY ? 1024 : exponentOf(value);
    const tail = value / 2 ** Math.min(exponent, 1023);
    const code = exponent + E8M0_BIAS + (tail > 1.5 || (tail === 1.5 && (exponent + E8M0_BIAS) % 2 === 1) ? 1 : 0);
    if (code <= E8M0_MAX) return code;
    return saturate ? E8M0_MAX : E8M0_NAN;
  },
};

const CODECS = {
  float8e4m3fn: codec(rows.float8e4m3fn),
  float8e4m3fnuz: codec(rows.float8e4m3fnuz),
  float8e5m2: codec(rows.float8e5m2),
  float8e5m2fnuz: codec(rows.float8e5m2fnuz),
  float8e8m0,
  float4e2m1: codec(rows.float4e2m1),
} as const satisfies Record<string, Codec>;

export type SmallFloat = keyof typeof CODECS;

export const isSmallFloat = (dtype: string): dtype is SmallFloat => Object.hasOwn(CODECS, dtype);

const table = ({ codes, decode }: Codec): Float32Array =>
  Float32Array.from({ length: codes }, (_, code) => decode(code));

const tables = new Map<SmallFloat, Float32Array>();

/** Value of every code of a type, indexed by code: 256 of them, 16 for float4e2m1. */
export function smallFloatValues(dtype: SmallFloat): Float32Array {
  const known = tables.get(dtype);
  if (known) return known;
  const made = table(CODECS[dtype]);
  tables.set(dtype, made);
  return made;
}

/** Float32 values of codes, one code per byte. */
export function decodeSmallFloats(codes: Uint8Array, dtype: SmallFloat): Float32Array {
  const values = smallFloatValues(dtype);
  const mask = values.length - 1;
  const out = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) out[i] = values[codes[i]! & mask]!;
  return out;
}

/** Code of the nearest value, ties to even; out of range saturates unless told (ONNX Cast, attribute `saturate`). */
export const encodeSmallFloat = (value: number, dtype: SmallFloat, saturate = true): number =>
  CODECS[dtype].encode(value, saturate);

/** Codes of values, one per byte; see `encodeSmallFloat`. */
export function encodeSmallFloats(values: ArrayLike<number>, dtype: SmallFloat, saturate = true): Uint8Array {
  const { encode } = CODECS[dtype];
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = encode(values[i]!, saturate);
  return out;
}

/** float8e4m3fn in the bits of float32: exponents differ by 127 - 7, mantissas by 23 - 3 bits. */
const E4M3_BIAS = (127 - 7) << 23;
const E4M3_DROPPED = 20;
/** Bits of 2^-6, the smallest normal value, of 448, the largest, and of infinity. */
const E4M3_NORMAL = 0x3c800000;
const E4M3_MAX = 0x43e00000;
const INFINITY_BITS = 0x7f800000;
/** Subnormal values are whole multiples of 2^-9. */
const E4M3_STEPS = 2 ** 9;

/** float8e4m3fn codes of float32 values, nearest even, saturating: `encodeSmallFloats` by bit tricks, many times as fast. */
export function encodeFloat8e4m3(values: Float32Array, out: Uint8Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const magnitude = word & 0x7fffffff;
    const sign = (word >>> 24) & 0x80;
    if (magnitude >= E4M3_MAX) out[i] = sign | (magnitude > INFINITY_BITS ? 0x7f : 0x7e);
    else if (magnitude >= E4M3_NORMAL)
      out[i] = sign | ((magnitude - E4M3_BIAS + 0x7ffff + ((magnitude >> E4M3_DROPPED) & 1)) >> E4M3_DROPPED);
    else out[i] = sign | roundHalfEven(Math.abs(values[i]!) * E4M3_STEPS);
  }
}
