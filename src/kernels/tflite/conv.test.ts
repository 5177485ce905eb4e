import { describe, expect, it } from "vitest";
import { rng } from "../../numeric/rng.ts";
import { conv2d, depthwiseConv2d, transposeConv } from "./conv.ts";
import { floats, ints, operand, outputOf } from "./operands.case.ts";

const { uniform } = rng(11);
const random = (count: number): number[] => Array.from({ length: count }, () => Math.fround(uniform() - 0.5));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);

const same = { padding: "SAME", stride_h: 1, stride_w: 1 };

describe("convolution", () => {
  it("leaves out taps outside the image, more of them at the end", () => {
    const image = floats([1, 1, 3, 1], [1, 2, 3]);
    const filter = floats([1, 1, 2, 1], [1, 10]);
    expect(outputOf(conv2d, [image, filter], floats([1, 1, 3, 1]), same)).toEqual([21, 32, 3]);
    expect(outputOf(conv2d, [image, filter], floats([1, 1, 2, 1]), { ...same, padding: "VALID" })).toEqual([21, 32]);
  });

  it("reads every second pixel where dilated, starts windows two apart where strided", () => {
    const image = floats([1, 1, 5, 1], [1, 2, 3, 4, 5]);
    const filter = floats([1, 1, 2, 1], [1, 10]);
    const valid = { padding: "VALID", stride_h: 1 };
    const dilated = { ...valid, stride_w: 1, dilation_w_factor: 2 };
    expect(outputOf(conv2d, [image, filter], floats([1, 1, 3, 1]), dilated)).toEqual([31, 42, 53]);
    expect(outputOf(conv2d, [image, filter], floats([1, 1, 2, 1]), { ...valid, stride_w: 2 })).toEqual([21, 43]);
  });

  it("of groups reads the channels of its own group", () => {
    const image = floats([1, 1, 1, 4], [1, 2, 3, 4]);
    const filter = floats([2, 1, 1, 2], [1, 10, 1, 10]);
    expect(outputOf(conv2d, [image, filter], floats([1, 1, 1, 2]), same)).toEqual([21, 43]);
    const odd = floats([3, 1, 1, 2]);
    expect(() => outputOf(conv2d, [image, odd], floats([1, 1, 1, 3]), same)).toThrow(/input channels into groups/);
  });

  it("in depth gives every channel its own weights, and several outputs by the multiplier", () => {
    const image = floats([1, 1, 1, 2], [3, 4]);
    const filter = floats([1, 1, 1, 4], [1, 2, 3, 4]);
    expect(outputOf(depthwiseConv2d, [image, filter], floats([1, 1, 1, 4]), same)).toEqual([3, 6, 12, 16]);
  });

  it.each([
    ["SAME", 2],
    ["VALID", 2],
    ["SAME", 1],
  ])("transposed is the adjoint of the convolution with the same windows (%s, stride %i)", (padding, stride) => {
    const options = { padding, stride_h: stride, stride_w: stride };
    const [channels, depth, side] = [3, 2, 7];
    const out = padding === "SAME" ? Math.ceil(side / stride) : Math.ceil((side - 2) / stride);
    const weights = random(channels * 9 * depth);
    const x = floats([1, side, side, depth], random(side * side * depth));
    const y = floats([1, out, out, channels], random(out * out * channels));
    const forward = outputOf(
      conv2d,
      [x, floats([channels, 3, 3, depth], weights)],
      floats([1, out, out, channels]),
      options,
    );
    // [out, h, w, in] of one is [in, h, w, out] of the other.
    const turned = Array.from({ length: weights.length }, (_, i) => {
      const [c, tap, d] = [i % channels, Math.floor(i / channels) % 9, Math.floor(i / (channels * 9))];
      return weights[(c * 9 + tap) * depth + d]!;
    });
    const shape = ints([1, side, side, depth]);
    const inputs = [shape, floats([depth, 3, 3, channels], turned), y];
    const back = outputOf(transposeConv, inputs, floats([1, side, side, depth]), options);
    // Both sides are sums of a few hundred products in single precision.
    expect(dot(forward, y.data as Float32Array)).toBeCloseTo(dot(x.data as Float32Array, back), 4);
  });
});

describe("a convolution of codes", () => {
  const image = operand("int8", [1, 1, 1, 1], [3], { scale: 1, zero: 1 });
  const bias = (value: number, constant = true) => operand("int32", [1], [value], { scale: 1, constant });
  const filter = (constant: boolean) => operand("int8", [1, 1, 1, 1], [5], { scale: 0.25, constant });
  const output = () => operand("int8", [1, 1, 1, 1], [], { scale: 1, zero: -7 });

  it("rounds ties to even as XNNPACK, ties up as the builtin kernel that takes given weights", () => {
    // (3 - 1) * 5 / 4 = 2.5
    expect(outputOf(conv2d, [image, filter(true), bias(0)], output(), same)).toEqual([2 - 7]);
    expect(outputOf(conv2d, [image, filter(false), bias(0)], output(), same)).toEqual([3 - 7]);
  });

  it("stops at zero under RELU and at the type's last code", () => {
    const relu = { ...same, fused_activation_function: "RELU" };
    expect(outputOf(conv2d, [image, filter(true), bias(-100)], output(), relu)).toEqual([-7]);
    expect(outputOf(conv2d, [image, filter(true), bias(10_000)], output(), same)).toEqual([127]);
  });

  it("sums 16-bit activations beyond 32 bits", () => {
    const wide = operand("int16", [1, 1, 1, 1], [32767], { scale: 1 });
    const far = operand("int64", [1], undefined, { scale: 1, constant: true });
    (far.data as BigInt64Array)[0] = 2n ** 40n;
    const y = operand("int16", [1, 1, 1, 1], [], { scale: 2 ** 26 });
    const weights = operand("int8", [1, 1, 1, 1], [127], { scale: 1, constant: true });
    expect(outputOf(conv2d, [wide, weights, far], y, same)).toEqual([2 ** 14]);
  });

  it("is refused where scales are missing or as many as nothing in the layer", () => {
    const bare = operand("int8", [1, 1, 1, 1], [5]);
    expect(() => outputOf(conv2d, [image, bare], output(), same)).toThrow(/need scales/);
    const two = operand("int8", [1, 1, 1, 1], [5], { scale: [1, 1] });
    expect(() => outputOf(conv2d, [image, two], output(), same)).toThrow(/2 scales for 1 channels/);
  });
});
