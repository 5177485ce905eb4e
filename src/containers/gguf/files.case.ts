/** Shared by the tests of the GGUF container: a file of everything, and headers put together by hand. */
import { bytesSource } from "../../ir/source.ts";
import type { MetadataValue, TensorFile } from "../../ir/tensor-file.ts";
import { onlyFile, tensor, tensorMap } from "../tensor-files.case.ts";
import { encodeGguf, readGguf } from "./index.ts";

export const metadata: ReadonlyMap<string, MetadataValue> = new Map<string, MetadataValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["a.uint8", { type: "uint8", value: 255 }],
  ["a.int8", { type: "int8", value: -128 }],
  ["a.uint16", { type: "uint16", value: 65535 }],
  ["a.int16", { type: "int16", value: -32768 }],
  ["a.uint32", { type: "uint32", value: 4294967295 }],
  ["a.int32", { type: "int32", value: -2147483648 }],
  ["a.float32", { type: "float32", value: Math.fround(0.1) }],
  ["a.float64", { type: "float64", value: 0.1 }],
  ["a.uint64", { type: "uint64", value: 18446744073709551615n }],
  ["a.int64", { type: "int64", value: -9223372036854775808n }],
  ["a.small", { type: "int64", value: -7 }],
  ["a.true", { type: "bool", value: true }],
  ["a.false", { type: "bool", value: false }],
  ["a.empty", { type: "string", value: "" }],
  ["a.text", { type: "string", value: "\ufeffé 😀\n" }],
  ["a.raw", { type: "string", value: Uint8Array.of(0xff, 0xfe, 0x61) }],
  ["__proto__", { type: "string", value: "a key like any other" }],
  ["b.bools", { type: "array", of: "bool", value: Uint8Array.of(0, 1, 1) }],
  ["b.int8", { type: "array", of: "int8", value: Int8Array.of(-1, 2) }],
  ["b.floats", { type: "array", of: "float32", value: Float32Array.of(-0, 1.5, Number.POSITIVE_INFINITY) }],
  ["b.int64", { type: "array", of: "int64", value: BigInt64Array.of(-1n, 9007199254740993n) }],
  ["b.texts", { type: "array", of: "string", value: ["", "<s>", "ä", Uint8Array.of(0x80)] }],
  ["b.none", { type: "array", of: "string", value: [] }],
  [
    "b.nested",
    {
      type: "array",
      of: "array",
      value: [
        { type: "array", of: "uint16", value: Uint16Array.of(1, 2, 3) },
        { type: "array", of: "array", value: [{ type: "array", of: "string", value: ["deep"] }] },
      ],
    },
  ],
]);

export const richFile: TensorFile = {
  container: "gguf",
  formatVersion: 3,
  metadata,
  tensors: tensorMap(
    tensor("token_embd.weight", "float32", [5, 3]),
    tensor("scalar", "float64", []),
    tensor("blk.0.q", "q4_0", [3, 64]),
    tensor("blk.0.k", "q6_k", [2, 256]),
    tensor("blk.0.v", "bfloat16", [7]),
    tensor("empty", "float16", [0, 4]),
    tensor("ids", "int8", [2, 2, 2, 3]),
  ),
};

export const smallFile: TensorFile = {
  container: "gguf",
  formatVersion: 3,
  metadata: new Map([["general.architecture", { type: "string", value: "llama" }]]),
  tensors: tensorMap(tensor("w", "float32", [2, 3]), tensor("b", "q8_0", [32])),
};

export const toBytes = (file: TensorFile): Promise<Uint8Array> => onlyFile(encodeGguf(file));
export const fromBytes = (bytes: Uint8Array): Promise<TensorFile> => readGguf(bytesSource(bytes));

export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
export const u64 = (value: number | bigint): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
export const str = (text: string): Uint8Array => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);
export const cat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** A key with the number of its value type and the bytes behind it. */
export const kv = (key: string, type: number, ...value: readonly Uint8Array[]): Uint8Array =>
  cat(str(key), u32(type), ...value);

/** A tensor's entry: lengths with that of a row first, ggml's type, offset. */
export const info = (
  name: string,
  lengths: readonly (number | bigint)[],
  type: number,
  offset: number | bigint,
): Uint8Array => cat(str(name), u32(lengths.length), ...lengths.map(u64), u32(type), u64(offset));

/** A file of these entries, its data padded with zeros to 32 bytes behind the header. */
export function handMade(entries: readonly Uint8Array[], infos: readonly Uint8Array[], dataBytes = 0): Uint8Array {
  const header = cat(Buffer.from("GGUF"), u32(3), u64(infos.length), u64(entries.length), ...entries, ...infos);
  return cat(header, new Uint8Array((32 - (header.length % 32)) % 32), new Uint8Array(dataBytes));
}
