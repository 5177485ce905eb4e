import { expect, test } from "vitest";
import { valueInfo } from "../ir/build.ts";
import { zeros } from "./feedable.ts";

test("open dimensions of made-up inputs are 1", () => {
  const made = zeros(valueInfo("x", "int64", ["batch", 3, null]));
  expect(made).toEqual({ dtype: "int64", shape: [1, 3, 1], data: new BigInt64Array(3) });
});

test("no memory is taken for an absurd shape", () => {
  expect(() => zeros(valueInfo("x", "float32", [2 ** 20, 2 ** 20]))).toThrow(/input "x": shape .* has more than/);
});

test("a dtype that JavaScript can't feed is refused by name", () => {
  expect(() => zeros(valueInfo("x", "bfloat16", [1]))).toThrow(/input "x": bfloat16 can't be fed/);
});
