import { expect, test } from "vitest";
import { expectConverted, f, ints, opModel, transposes, w } from "../op.case.ts";

const window = (padding: string, stride: readonly [number, number], more: object = {}) => ({
  padding,
  stride_h: stride[0],
  stride_w: stride[1],
  ...more,
});
const dilated = (h: number, w: number) => ({ dilation_h_factor: h, dilation_w_factor: w });

test.each([
  ["SAME", opModel("CONV_2D", [f(1, 7, 5, 3), w(4, 3, 3, 3), w(4)], [f(1, 7, 5, 4)], window("SAME", [1, 1]))],
  [
    "SAME, even filter, stride 2",
    opModel("CONV_2D", [f(1, 7, 6, 3), w(4, 2, 4, 3), w(4)], [f(1, 4, 3, 4)], window("SAME", [2, 2])),
  ],
  [
    "SAME, odd padding",
    opModel("CONV_2D", [f(1, 8, 8, 3), w(4, 3, 3, 3), w(4)], [f(1, 4, 8, 4)], window("SAME", [2, 1])),
  ],
  [
    "SAME, stride beyond the filter",
    opModel("CONV_2D", [f(1, 9, 9, 2), w(4, 1, 1, 2), w(4)], [f(1, 3, 3, 4)], window("SAME", [3, 3])),
  ],
  [
    "SAME, dilated",
    opModel("CONV_2D", [f(1, 9, 8, 2), w(4, 3, 2, 2), w(4)], [f(1, 9, 8, 4)], window("SAME", [1, 1], dilated(2, 3))),
  ],
  [
    "VALID, dilated",
    opModel("CONV_2D", [f(1, 9, 8, 2), w(4, 3, 3, 2), w(4)], [f(1, 5, 4, 4)], window("VALID", [1, 1], dilated(2, 2))),
  ],
  [
    "VALID, stride 2",
    opModel("CONV_2D", [f(1, 8, 7, 3), w(4, 3, 3, 3), w(4)], [f(1, 3, 3, 4)], window("VALID", [2, 2])),
  ],
  ["two groups", opModel("CONV_2D", [f(1, 5, 5, 4), w(6, 3, 3, 2), w(6)], [f(1, 5, 5, 6)], window("SAME", [1, 1]))],
  ["batch of 2", opModel("CONV_2D", [f(2, 5, 5, 3), w(4, 3, 3, 3), w(4)], [f(2, 5, 5, 4)], window("SAME", [1, 1]))],
])("CONV_2D: %s", async (_, model) => {
  expect(transposes(await expectConverted(model))).toBe(2);
});

test.each([
  [
    "SAME",
    opModel(
      "DEPTHWISE_CONV_2D",
      [f(1, 7, 5, 3), w(1, 3, 3, 3), w(3)],
      [f(1, 7, 5, 3)],
      window("SAME", [1, 1], { depth_multiplier: 1 }),
    ),
  ],
  [
    "multiplier 2, stride 2",
    opModel(
      "DEPTHWISE_CONV_2D",
      [f(1, 7, 5, 3), w(1, 3, 3, 6), w(6)],
      [f(1, 4, 3, 6)],
      window("SAME", [2, 2], { depth_multiplier: 2 }),
    ),
  ],
  [
    "VALID, dilated",
    opModel(
      "DEPTHWISE_CONV_2D",
      [f(1, 9, 9, 3), w(1, 3, 3, 3), w(3)],
      [f(1, 5, 5, 3)],
      window("VALID", [1, 1], { depth_multiplier: 1, ...dilated(2, 2) }),
    ),
  ],
])("DEPTHWISE_CONV_2D: %s", async (_, model) => {
  expect(transposes(await expectConverted(model))).toBe(2);
});

test.each([
  [
    "SAME",
    opModel(
      "TRANSPOSE_CONV",
      [ints(1, 8, 6, 4), w(4, 3, 3, 2), f(1, 4, 3, 2)],
      [f(1, 8, 6, 4)],
      window("SAME", [2, 2]),
    ),
  ],
  [
    "SAME with bias",
    opModel(
      "TRANSPOSE_CONV",
      [ints(1, 8, 6, 4), w(4, 4, 4, 2), f(1, 4, 3, 2), w(4)],
      [f(1, 8, 6, 4)],
      window("SAME", [2, 2]),
    ),
  ],
  [
    "SAME, odd size",
    opModel(
      "TRANSPOSE_CONV",
      [ints(1, 7, 5, 4), w(4, 3, 3, 2), f(1, 4, 3, 2)],
      [f(1, 7, 5, 4)],
      window("SAME", [2, 2]),
    ),
  ],
  [
    "VALID",
    opModel(
      "TRANSPOSE_CONV",
      [ints(1, 9, 7, 4), w(4, 3, 3, 2), f(1, 4, 3, 2)],
      [f(1, 9, 7, 4)],
      window("VALID", [2, 2]),
    ),
  ],
  [
    "VALID, filter below the stride",
    opModel(
      "TRANSPOSE_CONV",
      [ints(1, 12, 9, 4), w(4, 2, 2, 2), f(1, 4, 3, 2)],
      [f(1, 12, 9, 4)],
      window("VALID", [3, 3]),
    ),
  ],
])("TRANSPOSE_CONV: %s", async (_, model) => {
  expect(transposes(await expectConverted(model))).toBe(2);
});

const pool = (padding: string, size: readonly [number, number], stride: readonly [number, number]) =>
  window(padding, stride, { filter_height: size[0], filter_width: size[1] });

test.each(["AVERAGE_POOL_2D", "MAX_POOL_2D"])("%s", async (op) => {
  const models = [
    opModel(op, [f(1, 7, 5, 3)], [f(1, 7, 5, 3)], pool("SAME", [3, 2], [1, 1])),
    opModel(op, [f(1, 7, 5, 3)], [f(1, 4, 3, 3)], pool("SAME", [3, 3], [2, 2])),
    opModel(op, [f(1, 8, 8, 3)], [f(1, 1, 1, 3)], pool("VALID", [8, 8], [8, 8])),
    opModel(op, [f(1, 8, 7, 3)], [f(1, 3, 3, 3)], pool("VALID", [3, 3], [2, 2])),
  ];
  for (const model of models) await expectConverted(model);
});

test("an activation stands behind the op that carries it", async () => {
  for (const fused of ["RELU", "RELU6", "RELU_N1_TO_1"]) {
    const attributes = window("SAME", [1, 1], { fused_activation_function: fused });
    await expectConverted(opModel("CONV_2D", [f(1, 4, 4, 2), w(3, 3, 3, 2), w(3)], [f(1, 4, 4, 3)], attributes));
  }
});
