import { expect, test } from "vitest";
import { computeShare, countOps, INTEGER_OPS } from "./histogram.ts";
import { branches } from "./models.case.ts";

test("nodes of sub-graphs count", () => {
  expect(countOps(branches)).toEqual({ If: 1, Neg: 1, Sqrt: 1 });
});

test("the share is that of integer ops among ops that hold the arithmetic", () => {
  const histogram = { QLinearConv: 2, FusedConv: 1, MatMulNBits: 1, QLinearAdd: 5, Relu: 9, constructor: 3 };
  expect(computeShare(histogram)).toEqual({ integer: 2, codes: 1, float: 1, share: 0.5 });
});

test("without heavy ops the share is zero, not undefined", () => {
  expect(computeShare({ Relu: 1 }).share).toBe(0);
});

test("light integer ops are named beside the heavy ones", () => {
  expect([...INTEGER_OPS]).toEqual(expect.arrayContaining(["QLinearConv", "QLinearAdd", "DynamicQuantizeMatMul"]));
  expect(INTEGER_OPS.has("Conv")).toBe(false);
});
