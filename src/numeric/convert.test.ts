import { expect, test } from "vitest";
import { bytesOf, decodeDoubles, decodeFloats, emptyArray, encodeFloats, floatsOf, typedView } from "./convert.ts";
import { DTYPES, type DType } from "./dtypes.ts";
import { encodeHalf } from "./half.ts";
import { packCodes } from "./packing.ts";

const NUMERIC = (Object.keys(DTYPES) as DType[]).filter((dtype) => !/string|complex|float6/.test(dtype));

test("every numeric dtype decodes its smallest and largest finite value and zero", () => {
  const cases: Partial<Record<DType, [Uint8Array, number[]]>> = {
    int4: [packCodes([-8, 0, 7], 4), [-8, 0, 7]],
    uint4: [packCodes([0, 8, 15], 4), [0, 8, 15]],
    int2: [packCodes([-2, 0, 1], 2), [-2, 0, 1]],
    uint2: [packCodes([0, 1, 3], 2), [0, 1, 3]],
    float4e2m1: [packCodes([15, 0, 7], 4), [-6, 0, 6]],
    float16: [bytesOf(Uint16Array.of(0xfbff, 0, 0x7bff)), [-65504, 0, 65504]],
    bfloat16: [bytesOf(Uint16Array.of(0xff7f, 0, 0x7f7f)), [DTYPES.bfloat16.min, 0, DTYPES.bfloat16.max]],
    int64: [bytesOf(BigInt64Array.of(-5n, 0n, 5n)), [-5, 0, 5]],
    uint64: [bytesOf(BigUint64Array.of(0n, 1n, 5n)), [0, 1, 5]],
    int8: [bytesOf(Int8Array.of(-128, 0, 127)), [-128, 0, 127]],
    bool: [bytesOf(Uint8Array.of(0, 1, 1)), [0, 1, 1]],
    float64: [bytesOf(Float64Array.of(-0.5, 0, 0.5)), [-0.5, 0, 0.5]],
  };
  for (const [dtype, [bytes, values]] of Object.entries(cases)) {
    expect([...decodeFloats(bytes, dtype as DType, 3)], dtype).toEqual(values);
    expect([...decodeDoubles(bytes, dtype as DType, 3)], dtype).toEqual(values);
  }
});

test("every numeric dtype has an array type, and zeros decode to zeros", () => {
  for (const dtype of NUMERIC.filter((name) => name !== "float8e8m0")) {
    const array = emptyArray(dtype, 5);
    expect([...decodeFloats(bytesOf(array), dtype, 5)], dtype).toEqual([0, 0, 0, 0, 0]);
    expect(floatsOf(array, dtype).length, dtype).toBeGreaterThanOrEqual(5);
  }
});

test("doubles keep what float32 would round", () => {
  expect(decodeDoubles(bytesOf(Int32Array.of(16777217)), "int32")[0]).toBe(16777217);
  expect(decodeFloats(bytesOf(Int32Array.of(16777217)), "int32")[0]).toBe(16777216);
});

test("an unaligned buffer is copied, an aligned one is viewed", () => {
  const bytes = new Uint8Array(9);
  bytes.set(bytesOf(Float32Array.of(1.5, 2.5)), 1);
  expect([...typedView(bytes.subarray(1), "float32")]).toEqual([1.5, 2.5]);
  const aligned = new Uint8Array(8);
  expect(typedView(aligned, "float32").buffer).toBe(aligned.buffer);
  expect(() => typedView(bytes, "float32")).toThrow("9 bytes are not a whole number of float32 elements of 4 bytes");
});

test("too few bytes and types that are not numbers are refused", () => {
  expect(() => decodeFloats(new Uint8Array(7), "float32", 2)).toThrow("2 elements of float32 need 8 bytes, found 7");
  expect(() => decodeDoubles(new Uint8Array(7), "int64", 1)).toThrow("need 8 bytes, found 7");
  expect(() => decodeFloats(new Uint8Array(8), "complex64")).toThrow("complex64 are not real numbers");
  expect(() => decodeFloats(new Uint8Array(6), "float6e2m3")).toThrow("can be stored but not yet computed with");
  expect(() => encodeFloats(Float32Array.of(1), "int8")).toThrow("without a scale");
});

test("float values survive encoding in every float type that holds them", () => {
  const values = Float32Array.of(0, 1, -2, 0.5, 4);
  for (const dtype of [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "float8e4m3fn",
    "float8e5m2",
    "float4e2m1",
  ] as const)
    expect([...decodeFloats(encodeFloats(values, dtype), dtype, 5)], dtype).toEqual([...values]);
});

test("a float32 array is handed on as it is", () => {
  const values = Float32Array.of(1, 2);
  expect(floatsOf(values, "float32")).toBe(values);
  expect([...floatsOf(encodeHalf(values), "float16")]).toEqual([1, 2]);
});

test("an unaligned part of a Node buffer is copied, though Buffer.slice would share it", () => {
  const bytes = Buffer.from([9, ...new Uint8Array(Float32Array.of(1.5, -2).buffer)]).subarray(1);
  expect([...decodeFloats(bytes, "float32")]).toEqual([1.5, -2]);
});
