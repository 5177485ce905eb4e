/**
 * Files of tensors without a graph: GGUF and safetensors. Where a `Model` says what is computed, these hold the numbers
 * and some settings. Immutable like models; tensors stay in their files until they are read.
 */
import { byteLength, type DType, elementCount, isDType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { type BlockType, GGML_TYPES, isBlockType } from "../numeric/ggml-types.ts";
import type { ByteSource } from "./source.ts";

/** How a tensor's elements are stored: one by one, or packed into ggml's blocks. */
export type StorageType = DType | BlockType;

/** One tensor. `shape` has the longest stride first, as everywhere in fewbit: the last length is that of a row. */
export interface StoredTensor {
  readonly name: string;
  readonly type: StorageType;
  readonly shape: readonly number[];
  /** Raw little-endian bytes. */
  readonly data: ByteSource;
}

/** Text, or its bytes where a file holds some that are not UTF-8. */
export type Text = string | Uint8Array;

/** Metadata that is one number. Whole numbers beyond 2^53 are bigints; NaN keeps no payload. */
export type NumberType =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "float32"
  | "float64";

/** Typed arrays by the type of their elements; bool is 0 or 1. */
export interface NumberArrays {
  readonly uint8: Uint8Array;
  readonly int8: Int8Array;
  readonly uint16: Uint16Array;
  readonly int16: Int16Array;
  readonly uint32: Uint32Array;
  readonly int32: Int32Array;
  readonly uint64: BigUint64Array;
  readonly int64: BigInt64Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly bool: Uint8Array;
}

/** An array of metadata; arrays may hold arrays. */
export type MetadataArray =
  | { readonly [T in keyof NumberArrays]: { readonly type: "array"; readonly of: T; readonly value: NumberArrays[T] } }[
      | NumberType
      | "bool"]
  | { readonly type: "array"; readonly of: "string"; readonly value: readonly Text[] }
  | { readonly type: "array"; readonly of: "array"; readonly value: readonly MetadataArray[] };

/** One value of metadata with the type it has in the file, so that it is written back the same. */
export type MetadataValue =
  | { readonly type: NumberType; readonly value: number | bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: Text }
  | MetadataArray;

/** What one file, or all shards of one, hold. */
export interface TensorFile {
  readonly container: "gguf" | "safetensors";
  /** Version of the container format; safetensors has none, 1 stands for it. */
  readonly formatVersion: number;
  /** By name, in file order. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** By key, in file order; safetensors has texts only. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}

/**
 * Bytes of a tensor of this type and shape. Fails where the lengths multiply beyond 2^53 or a row is no whole number of
 * blocks; `where` begins the message.
 */
export function storedBytes(type: StorageType, shape: readonly number[], where: string): number {
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count) || count > Number.MAX_SAFE_INTEGER / 16)
    fail("limit", `${where}: the lengths of shape [${shape}] multiply beyond any file; it is damaged or hostile`);
  if (!isBlockType(type)) return byteLength(type, count);
  const { block, bytes } = GGML_TYPES[type];
  const row = shape.at(-1) ?? 1;
  if (row % block !== 0)
    fail("format", `${where}: rows of ${row} elements are no whole number of ${type} blocks of ${block}`);
  return (count / block) * bytes;
}

/** Whether a name is that of a storage type. */
export const isStorageType = (name: string): name is StorageType => isDType(name) || isBlockType(name);

/** A text of the metadata; undefined where the key is absent, no text, or not UTF-8. */
export function textOf({ metadata }: TensorFile, key: string): string | undefined {
  const found = metadata.get(key);
  return found?.type === "string" && typeof found.value === "string" ? found.value : undefined;
}

/** A number of the metadata; undefined where the key is absent or no number. */
export function numberOf({ metadata }: TensorFile, key: string): number | undefined {
  const found = metadata.get(key);
  return found !== undefined && (typeof found.value === "number" || typeof found.value === "bigint")
    ? Number(found.value)
    : undefined;
}
