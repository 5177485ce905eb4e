import { describe, expect, it } from "vitest";
import { codes, floats, ints, operand, outputOf } from "./operands.case.ts";
import { averagePool2d, maxPool2d, mean } from "./pools.ts";

const pool = (padding: string, width: number, stride = 1) => ({
  padding,
  filter_height: 1,
  filter_width: width,
  stride_h: 1,
  stride_w: stride,
});

describe("pools", () => {
  it("count only what lies in the image", () => {
    const x = floats([1, 1, 3, 1], [1, 2, 6]);
    expect(outputOf(averagePool2d, [x], floats([1, 1, 3, 1]), pool("SAME", 3))).toEqual([1.5, 3, 4]);
    expect(outputOf(maxPool2d, [x], floats([1, 1, 3, 1]), pool("SAME", 2))).toEqual([2, 6, 6]);
  });

  it("of codes round ties away from zero, whatever the zero point", () => {
    const x = codes([1, 1, 4, 1], [1, 2, -1, -2], { zero: 5 });
    expect(outputOf(averagePool2d, [x], codes([1, 1, 2, 1], [], { zero: 5 }), pool("VALID", 2, 2))).toEqual([2, -2]);
  });

  it("start from the type's least code", () => {
    expect(outputOf(maxPool2d, [codes([1, 1, 1, 1], [-128])], codes([1, 1, 1, 1]), pool("VALID", 1))).toEqual([-128]);
  });
});

describe("the mean", () => {
  const x = floats([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);

  it("of any axes, counted from either end, kept or not", () => {
    expect(outputOf(mean, [x, ints([0])], floats([2, 2]))).toEqual([3, 4, 5, 6]);
    expect(outputOf(mean, [x, ints([-1, 0])], floats([1, 2, 1]), { keep_dims: 1 })).toEqual([3.5, 5.5]);
    expect(() => outputOf(mean, [x, ints([3])], floats([2, 2]))).toThrow(/axis 3 lies outside 3 dimensions/);
  });

  it("of 8-bit codes is rounded in floats, of 16-bit codes twice in fixed-point", () => {
    const inputs = (dtype: "int8" | "int16") => [operand(dtype, [2], [3, 4], { scale: 1 }), ints([0])];
    // 3.5 is a tie: to even in XNNPACK, away from zero in the builtin kernel.
    expect(outputOf(mean, inputs("int8"), operand("int8", [], [], { scale: 1 }))).toEqual([4]);
    expect(outputOf(mean, inputs("int16"), operand("int16", [], [], { scale: 1 }))).toEqual([4]);
    const low = (dtype: "int8" | "int16") => [operand(dtype, [2], [2, 3], { scale: 1 }), ints([0])];
    expect(outputOf(mean, low("int8"), operand("int8", [], [], { scale: 1 }))).toEqual([2]);
    expect(outputOf(mean, low("int16"), operand("int16", [], [], { scale: 1 }))).toEqual([3]);
  });

  it("of nothing is refused", () => {
    expect(() => outputOf(mean, [floats([2, 0]), ints([1])], floats([2]))).toThrow(/nothing to average/);
  });
});
