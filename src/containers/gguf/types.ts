/** GGUF's value types and reserved keys: docs/gguf.md of ggml, versions 2 and 3 (the same bytes where little-endian). */
import type { MetadataValue, NumberArrays, NumberType } from "../../ir/tensor-file.ts";

/** "GGUF" as a little-endian word. */
export const MAGIC = 0x46554747;
/** Versions that are read. Version 1 has 32-bit lengths and went out of use in 2023. */
export const VERSIONS = [2, 3] as const;
/** Version of new files. */
export const VERSION = 3;

/** The key that sets the alignment of tensors (uint32), and what holds without it. */
export const ALIGNMENT_KEY = "general.alignment";
export const DEFAULT_ALIGNMENT = 32;

/** Keys of a file that is one of several: its number from 0 (uint16), how many there are (uint16), all tensors (int32). */
export const SPLIT_KEYS = { no: "split.no", count: "split.count", tensors: "split.tensors.count" } as const;

/** Numbers of the value types (gguf_type). */
export const VALUE_IDS = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const satisfies { readonly [T in MetadataValue["type"]]: number };

export type ValueType = keyof typeof VALUE_IDS;

const BY_ID = new Map<number, ValueType>(Object.entries(VALUE_IDS).map(([name, id]) => [id, name as ValueType]));

/** Value type of a number; undefined where there is none. */
export const valueTypeOf = (id: number): ValueType | undefined => BY_ID.get(id);

type Row<T extends NumberType | "bool"> = {
  readonly bytes: number;
  readonly array: new (buffer: ArrayBuffer, offset: number, length: number) => NumberArrays[T];
  readonly get: (view: DataView, at: number) => number | bigint;
  readonly set: (view: DataView, at: number, value: number | bigint) => void;
};

/** Whole numbers of 64 bits are numbers where exact. */
const narrow = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

/** How numbers of each type lie in a file. */
export const NUMBERS: { readonly [T in NumberType | "bool"]: Row<T> } = {
  uint8: { bytes: 1, array: Uint8Array, get: (v, at) => v.getUint8(at), set: (v, at, x) => v.setUint8(at, Number(x)) },
  int8: { bytes: 1, array: Int8Array, get: (v, at) => v.getInt8(at), set: (v, at, x) => v.setInt8(at, Number(x)) },
  bool: { bytes: 1, array: Uint8Array, get: (v, at) => v.getUint8(at), set: (v, at, x) => v.setUint8(at, Number(x)) },
  uint16: {
    bytes: 2,
    array: Uint16Array,
    get: (v, at) => v.getUint16(at, true),
    set: (v, at, x) => v.setUint16(at, Number(x), true),
  },
  int16: {
    bytes: 2,
    array: Int16Array,
    get: (v, at) => v.getInt16(at, true),
    set: (v, at, x) => v.setInt16(at, Number(x), true),
  },
  uint32: {
    bytes: 4,
    array: Uint32Array,
    get: (v, at) => v.getUint32(at, true),
    set: (v, at, x) => v.setUint32(at, Number(x), true),
  },
  int32: {
    bytes: 4,
    array: Int32Array,
    get: (v, at) => v.getInt32(at, true),
    set: (v, at, x) => v.setInt32(at, Number(x), true),
  },
  float32: {
    bytes: 4,
    array: Float32Array,
    get: (v, at) => v.getFloat32(at, true),
    set: (v, at, x) => v.setFloat32(at, Number(x), true),
  },
  uint64: {
    bytes: 8,
    array: BigUint64Array,
    get: (v, at) => narrow(v.getBigUint64(at, true)),
    set: (v, at, x) => v.setBigUint64(at, BigInt(x), true),
  },
  int64: {
    bytes: 8,
    array: BigInt64Array,
    get: (v, at) => narrow(v.getBigInt64(at, true)),
    set: (v, at, x) => v.setBigInt64(at, BigInt(x), true),
  },
  float64: {
    bytes: 8,
    array: Float64Array,
    get: (v, at) => v.getFloat64(at, true),
    set: (v, at, x) => v.setFloat64(at, Number(x), true),
  },
};

/** Whether values of a type are single numbers or bools. */
export const isNumberType = (type: ValueType): type is NumberType | "bool" => Object.hasOwn(NUMBERS, type);
