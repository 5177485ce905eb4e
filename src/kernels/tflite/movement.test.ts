import { describe, expect, it } from "vitest";
import { concatenation, gather, pad, reshape, transpose } from "./movement.ts";
import { codes, floats, ints, operand, outputOf, outputsOf } from "./operands.case.ts";
import { slice, split, splitV, stridedSlice } from "./slices.ts";

const counted = (shape: readonly number[]) => {
  const count = shape.reduce((a, b) => a * b, 1);
  return floats(
    shape,
    Array.from({ length: count }, (_, i) => i),
  );
};

describe("elements that only move", () => {
  it("turned and turned back are what they were", () => {
    const x = counted([2, 3, 4]);
    const turned = floats([4, 2, 3], outputOf(transpose, [x, ints([2, 0, 1])], floats([4, 2, 3])));
    expect(turned.data[1 * 6 + 1 * 3 + 2]).toBe(1 * 12 + 2 * 4 + 1);
    expect(outputOf(transpose, [turned, ints([1, 2, 0])], floats([2, 3, 4]))).toEqual(Array.from(x.data, Number));
    expect(() => outputOf(transpose, [x, ints([0, 0, 1])], floats([2, 2, 3]))).toThrow(/is no order of 3 axes/);
  });

  it("split and joined are what they were, in equal parts and in others", () => {
    const x = counted([2, 6]);
    const halves = [floats([2, 3]), floats([2, 3])];
    expect(outputsOf(split, [ints([-1], []), x], halves)[1]).toEqual([3, 4, 5, 9, 10, 11]);
    expect(outputOf(concatenation, halves, floats([2, 6]), { axis: 1 })).toEqual(Array.from(x.data, Number));
    const uneven = [floats([2, 1]), floats([2, 5])];
    outputsOf(splitV, [x, ints([1, 5]), ints([1], [])], uneven);
    expect(outputOf(concatenation, uneven, floats([2, 6]), { axis: -1 })).toEqual(Array.from(x.data, Number));
    expect(() => outputsOf(split, [ints([1], []), x], [floats([2, 4]), floats([2, 4])])).toThrow(/parts are longer/);
  });

  it("joined on other grids would need rescaling, which is refused", () => {
    const parts = [codes([2], [1, 2]), codes([2], [1, 2], { scale: 2 })];
    expect(() => outputOf(concatenation, parts, codes([4]), { axis: 0 })).toThrow(/different scales; quantize it/);
  });

  it("sliced forwards, backwards, from the end, and with an axis less", () => {
    const x = counted([3, 4]);
    expect(outputOf(slice, [x, ints([1, 0]), ints([-1, 2])], floats([2, 2]))).toEqual([4, 5, 8, 9]);
    expect(() => outputOf(slice, [x, ints([1, 0]), ints([3, 2])], floats([3, 2]))).toThrow(/leave the input's shape/);
    const strided = (from: number[], to: number[], step: number[], shape: number[], masks = {}) =>
      outputOf(stridedSlice, [x, ints(from), ints(to), ints(step)], floats(shape), masks);
    expect(strided([-1, 3], [0, 0], [-1, -2], [2, 2])).toEqual([11, 9, 7, 5]);
    expect(strided([2, 0], [0, 0], [-1, 3], [3, 2], { end_mask: 3 })).toEqual([8, 11, 4, 7, 0, 3]);
    expect(strided([1, 0], [0, 4], [1, 1], [4], { shrink_axis_mask: 1 })).toEqual([4, 5, 6, 7]);
    expect(() => strided([0, 0], [3, 4], [0, 1], [3, 4])).toThrow(/stride of 0 never ends/);
    expect(() => strided([0, 0], [3, 4], [1, 1], [3, 4], { new_axis_mask: 1 })).toThrow(
      /new_axis_mask is not computed/,
    );
  });

  it("padded by what stands for zero, or by a value", () => {
    const x = codes([1, 2], [5, 6], { zero: -3 });
    const pads = ints([0, 1, 1, 0], [2, 2]);
    expect(outputOf(pad, [x, pads], codes([2, 3], [], { zero: -3 }))).toEqual([-3, 5, 6, -3, -3, -3]);
    expect(outputOf(pad, [x, pads, codes([1], [9])], codes([2, 3], [], { zero: -3 }))).toEqual([9, 5, 6, 9, 9, 9]);
    expect(() => outputOf(pad, [x, ints([0, -1, 1, 0], [2, 2])], codes([0, 3]))).toThrow(/is no padding/);
  });

  it("gathered along any axis", () => {
    const x = counted([2, 3, 2]);
    expect(outputOf(gather, [x, ints([2, 0])], floats([2, 2, 2]), { axis: 1 })).toEqual([4, 5, 0, 1, 10, 11, 6, 7]);
    expect(outputOf(gather, [x, ints([1], [])], floats([3, 2]), { axis: 0 })).toEqual([6, 7, 8, 9, 10, 11]);
  });

  it("of 64 bits stay exact", () => {
    const long = operand("int64", [2], undefined);
    (long.data as BigInt64Array).set([2n ** 62n + 1n, -(2n ** 62n)]);
    const out = operand("int64", [2, 1], undefined);
    outputOf(reshape, [long], out);
    expect(Array.from(out.data as BigInt64Array)).toEqual([2n ** 62n + 1n, -(2n ** 62n)]);
    const joined = operand("int64", [4], undefined);
    outputOf(concatenation, [long, long], joined, { axis: 0 });
    expect(joined.data[2]).toBe(2n ** 62n + 1n);
    const padded = operand("int64", [3], undefined);
    outputOf(pad, [long, ints([1, 0], [1, 2])], padded);
    expect(Array.from(padded.data as BigInt64Array)).toEqual([0n, 2n ** 62n + 1n, -(2n ** 62n)]);
  });

  it("don't fit into an output of other size", () => {
    expect(() => outputOf(reshape, [counted([2, 3])], floats([5]))).toThrow(/has 6 elements, the output's \[5\] 5/);
  });
});
