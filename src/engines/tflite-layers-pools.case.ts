/** Pools and means. */
import type { DType } from "../numeric/dtypes.ts";
import { type Attributes, coded, ints, type LayerCase, layer, NONE, shared, ZERO } from "./tflite-layers-build.case.ts";

export const pool = (
  filter: readonly [number, number],
  stride: number,
  padding: string,
  more: Attributes = NONE,
): Attributes => ({
  filter_height: filter[0],
  filter_width: filter[1],
  stride_h: stride,
  stride_w: stride,
  padding,
  ...more,
});

export const poolCases = (op: string, dtype: DType): readonly LayerCase[] => [
  shared(op, dtype, "2x2 VALID", { x: [2, 8, 7, 5], y: [2, 4, 3, 5], attributes: pool([2, 2], 2, "VALID") }),
  shared(op, dtype, "3x3 SAME", { x: [1, 8, 7, 5], y: [1, 8, 7, 5], attributes: pool([3, 3], 1, "SAME") }),
  shared(op, dtype, "3x2 SAME, stride 2, RELU", {
    x: [1, 9, 8, 4],
    y: [1, 5, 4, 4],
    attributes: pool([3, 2], 2, "SAME", { fused_activation_function: "RELU" }),
  }),
  shared(op, dtype, "whole image", { x: [1, 8, 8, 20], y: [1, 1, 1, 20], attributes: pool([8, 8], 1, "VALID") }),
];

function mean(
  dtype: DType,
  name: string,
  y: readonly number[],
  axes: readonly number[],
  keep: number,
  outScale: number,
): LayerCase {
  const [zx, zy] = ZERO[dtype]!;
  return layer(`${dtype} ${name}`, "MEAN", {
    inputs: [coded("x", dtype, [2, 7, 5, 9], 0.0471, zx)],
    outputs: [coded("y", dtype, y, outScale, zy)],
    constants: [ints("axes", axes)],
    attributes: { keep_dims: keep },
  });
}

export const meanCases = (dtype: DType): readonly LayerCase[] => [
  mean(dtype, "of height and width, kept", [2, 1, 1, 9], [1, 2], 1, 0.0311),
  mean(dtype, "of height and width", [2, 9], [1, 2], 0, 0.0311),
  mean(dtype, "of channels, kept", [2, 7, 5, 1], [3], 1, 0.0471),
  mean(dtype, "of batch and channels", [7, 5], [0, -1], 0, 0.0213),
];
