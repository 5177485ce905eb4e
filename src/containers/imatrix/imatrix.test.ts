/** Importance matrices in both forms: the same numbers, and clear errors for what is not one. */
import { expect, test } from "vitest";
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { encodeGguf } from "../gguf/index.ts";
import { damaged, onlyFile, tensorMap } from "../tensor-files.case.ts";
import { importanceOf, readImatrix } from "./index.ts";

const i32 = (...values: readonly number[]): Uint8Array => bytesOf(Int32Array.from(values));
const text = (value: string): Uint8Array => Buffer.concat([i32(Buffer.byteLength(value)), Buffer.from(value)]);
const cat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const floats = (...values: readonly number[]): Uint8Array => bytesOf(Float32Array.from(values));

/** One entry of the older form: values are means times calls. */
const datEntry = (name: string, calls: number, values: readonly number[]): Uint8Array =>
  cat(text(name), i32(calls, values.length), floats(...values));
const dat = (...entries: readonly Uint8Array[]): Uint8Array => cat(i32(entries.length), ...entries);

const f32 = (name: string, shape: readonly number[], ...values: readonly number[]): StoredTensor => ({
  ...{ name, type: "float32", shape },
  data: bytesSource(floats(...values)),
});

const ggufFile = (...tensors: readonly StoredTensor[]): TensorFile => ({
  container: "gguf",
  formatVersion: 3,
  metadata: new Map([
    ["general.type", { type: "string", value: "imatrix" }],
    ["imatrix.datasets", { type: "array", of: "string", value: ["wiki.txt", "code.txt"] }],
    ["imatrix.chunk_count", { type: "uint32", value: 12 }],
    ["imatrix.chunk_size", { type: "uint32", value: 512 }],
  ]),
  tensors: tensorMap(...tensors),
});
const gguf = (...tensors: readonly StoredTensor[]): Promise<Uint8Array> => onlyFile(encodeGguf(ggufFile(...tensors)));
const read = (bytes: Uint8Array) => readImatrix(bytesSource(bytes));

const MATRIX = { name: "blk.0.attn_q.weight", shape: [5, 3] } as const;

test("the GGUF form gives sums divided by counts", async () => {
  const file = await read(
    await gguf(f32(`${MATRIX.name}.in_sum2`, [3], 6, 1, 0), f32(`${MATRIX.name}.counts`, [1], 3)),
  );
  expect(file.datasets).toEqual(["wiki.txt", "code.txt"]);
  expect(file.chunks).toBe(12);
  expect(await importanceOf(file, MATRIX)).toEqual(Float32Array.of(2, 1 / 3, 0));
  expect(await importanceOf(file, { name: "other", shape: [3] })).toBeUndefined();
});

test("experts have counts of their own; one that was never reached counts as evenly used", async () => {
  const file = await read(await gguf(f32("e.in_sum2", [3, 2], 2, 4, 9, 9, 30, 5), f32("e.counts", [3, 1], 2, 0, 10)));
  expect(file.entries.get("e")).toMatchObject({ length: 6, matrices: 3 });
  expect(await importanceOf(file, { name: "e", shape: [3, 7, 2] })).toEqual(Float32Array.of(1, 2, 1, 1, 3, 0.5));
});

test("the older form gives values divided by calls, with and without what stands behind", async () => {
  const entries = dat(datEntry(MATRIX.name, 4, [8, 2, 1]), datEntry("raw", 0, [7]));
  for (const tail of [new Uint8Array(0), i32(9), cat(i32(9), text("wiki.txt"))]) {
    const file = await read(cat(entries, tail));
    expect(await importanceOf(file, MATRIX)).toEqual(Float32Array.of(2, 0.5, 0.25));
    expect(await file.entries.get("raw")?.read()).toEqual(Float32Array.of(7));
    expect(file.chunks).toBe(tail.length > 0 ? 9 : undefined);
    expect(file.datasets).toEqual(tail.length > 4 ? ["wiki.txt"] : []);
  }
});

test.each<[string, readonly number[], RegExp]>([
  ["of another length", [1, 2], /importance of tensor "blk.0.attn_q.weight": 2 values, but shape \[5,3\] needs 3/],
  ["with NaN", [1, Number.NaN, 1], /value 1 is NaN/],
  ["with infinity", [1, 1, Number.POSITIVE_INFINITY], /value 2 is Infinity/],
  ["below zero", [-1, 1, 1], /value 0 is -1/],
  ["of zeros", [0, 0, 0], /all 3 values from 0 on are zero/],
])("numbers %s are refused with the tensor's name", async (_, values, message) => {
  const file = await read(dat(datEntry(MATRIX.name, 1, values)));
  await expect(importanceOf(file, MATRIX)).rejects.toThrowError(message);
});

test("experts without any number but zero are refused, at the place where they begin", async () => {
  const file = await read(dat(datEntry("e", 1, [1, 2, 0, 0])));
  await expect(importanceOf(file, { name: "e", shape: [2, 9, 2] })).rejects.toThrowError(
    "all 2 values from 2 on are zero",
  );
});

test.each<[string, Uint8Array, RegExp]>([
  ["nothing", new Uint8Array(0), /breaks off at byte 0/],
  ["no entries", i32(0), /claims 0 entries/],
  ["a negative count", i32(-5), /claims -5 entries/],
  ["another file", Buffer.from("PK\x03\x04 some archive"), /claims 67324752 entries/],
  ["a name beyond the file", i32(1, 5000), /the name of entry 0 claims 5000 bytes/],
  ["a negative length of a name", i32(1, -1), /claims -1 bytes/],
  ["values beyond the file", cat(i32(1), text("w"), i32(1, 1 << 30)), /"w" claims 1073741824 values/],
  ["no values", cat(i32(1), text("w"), i32(1, 0)), /"w" claims 0 values/],
  ["a tensor twice", dat(datEntry("w", 1, [1]), datEntry("w", 1, [1])), /tensor "w" occurs twice/],
])("an older form with %s: one clear error", async (_, bytes, message) => {
  await expect(read(bytes)).rejects.toThrowError(message);
});

test("GGUF files that are no importance matrix, or half of one, are refused", async () => {
  await expect(read(await gguf(f32("w", [1], 1)))).rejects.toThrowError('no tensor that ends in ".in_sum2"');
  await expect(read(await gguf(f32("w.in_sum2", [1], 1)))).rejects.toThrowError('"w.in_sum2" has no "w.counts"');
  const uneven = await gguf(f32("w.in_sum2", [3], 1, 1, 1), f32("w.counts", [2], 1, 1));
  await expect(read(uneven)).rejects.toThrowError("3 sums for 2 counts");
  const halves = { ...f32("w.in_sum2", [2], 1), type: "float16", data: bytesSource(new Uint8Array(4)) } as const;
  const file = await read(await gguf(halves, f32("w.counts", [1], 1)));
  await expect(importanceOf(file, { name: "w", shape: [2] })).rejects.toThrowError("is float16, expected float32");
});

test("2,000 damaged files of the older form give an error or a matrix", async () => {
  const bytes = cat(dat(datEntry("a", 1, [1, 2]), datEntry("b", 2, [3])), i32(2), text("x"));
  const random = rng(3).uniform;
  for (let i = 0; i < 2000; i++)
    try {
      const file = await read(damaged(bytes, bytes.length, random));
      for (const entry of file.entries.values()) await entry.read();
    } catch (error) {
      expect(error).toBeInstanceOf(FewbitError);
    }
});
