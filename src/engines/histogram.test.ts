import { expect, test } from "vitest";
import { computeShare, countOps } from "./histogram.ts";
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

test("TFLite's names say the type: integers in, or integer weights that floats are quantized for", () => {
  const histogram = {
    "CONV_2D int8": 3,
    "CONV_2D int16xint8": 1,
    "FULLY_CONNECTED float32xint8": 1,
    "FULLY_CONNECTED float32": 4,
    "CONV_2D float32xfloat16": 1,
    "SOFTMAX float32": 7,
    "ADD int8": 9,
    "CONV_2D ?": 1,
  };
  expect(computeShare(histogram)).toEqual({ integer: 5, codes: 0, float: 6, share: 5 / 11 });
});
