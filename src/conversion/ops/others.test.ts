import { describe, expect, test } from "vitest";
import type { Model } from "../../ir/model.ts";
import { expectConverted, f, ints, none, type OpCheck, of, opModel, scalar, shaped, w } from "../op.case.ts";
import { elementwiseRows } from "./elementwise.ts";
import { CONVERSIONS } from "./index.ts";

type Case = readonly [string, Model, OpCheck?];
const FIXED = { open: false };

const PRODUCTS: readonly Case[] = [
  ["with bias", opModel("FULLY_CONNECTED", [f(1, 6), w(4, 6), w(4)], [f(1, 4)])],
  [
    "without bias, RELU",
    opModel("FULLY_CONNECTED", [f(1, 6), w(4, 6), none], [f(1, 4)], { fused_activation_function: "RELU" }),
  ],
  ["an image as one row", opModel("FULLY_CONNECTED", [f(1, 2, 3), w(4, 6), w(4)], [f(1, 4)])],
  ["rows of one sample", opModel("FULLY_CONNECTED", [f(1, 5, 6), w(4, 6), w(4)], [f(1, 5, 4)], { keep_num_dims: 1 })],
  ["BATCH_MATMUL", opModel("BATCH_MATMUL", [f(1, 3, 4), f(1, 4, 5)], [f(1, 3, 5)])],
  [
    "BATCH_MATMUL, both transposed",
    opModel("BATCH_MATMUL", [f(1, 4, 3), f(1, 5, 4)], [f(1, 3, 5)], { adj_x: 1, adj_y: 1 }),
  ],
  ["BATCH_MATMUL by a constant", opModel("BATCH_MATMUL", [f(1, 2, 3, 4), w(5, 4)], [f(1, 2, 3, 5)], { adj_y: 1 })],
];

const axes = (op: string): readonly Case[] => [
  [`${op} of the image`, opModel(op, [f(1, 4, 3, 2), ints(1, 2)], [f(1, 2)], { keep_dims: 0 })],
  [`${op} that keeps axes`, opModel(op, [f(1, 4, 3, 2), ints(-1)], [f(1, 4, 3, 1)], { keep_dims: 1 })],
  [`${op} of everything`, opModel(op, [f(1, 4), ints(0, 1)], [f()], { keep_dims: 0 }), FIXED],
];

const REDUCTIONS: readonly Case[] = [
  ...["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"].flatMap(axes),
  ["REDUCE_ANY", opModel("REDUCE_ANY", [of("bool", 1, 3, 2), ints(2)], [of("bool", 1, 3)])],
  ["REDUCE_ALL", opModel("REDUCE_ALL", [of("bool", 1, 3, 2), ints(1)], [of("bool", 1, 1, 2)], { keep_dims: 1 })],
  ["ARG_MAX", opModel("ARG_MAX", [f(1, 3, 5), shaped([], -1)], [of("int32", 1, 3)], { output_type: "INT32" })],
  ["ARG_MAX as int64", opModel("ARG_MAX", [f(1, 3, 5), shaped([], 1)], [of("int64", 1, 5)], { output_type: "INT64" })],
  ["ARG_MIN", opModel("ARG_MIN", [f(1, 3, 5), shaped([], 2)], [of("int32", 1, 3)], { output_type: "INT32" })],
  ["TOPK_V2", opModel("TOPK_V2", [f(1, 7), shaped([], 3)], [f(1, 3), of("int32", 1, 3)])],
];

const ARRANGEMENTS: readonly Case[] = [
  ["RESHAPE", opModel("RESHAPE", [f(1, 4, 3), ints(1, -1)], [f(1, 12)])],
  ["RESHAPE by its option", opModel("RESHAPE", [f(1, 4, 3)], [f(1, 2, 6)], { new_shape: [1, 2, 6] })],
  ["RESHAPE that drops the batch", opModel("RESHAPE", [f(1, 4, 3), ints(4, 3)], [f(4, 3)]), FIXED],
  ["SQUEEZE", opModel("SQUEEZE", [f(1, 1, 4, 1)], [f(1, 4)], { squeeze_dims: [1, -1] })],
  ["SQUEEZE of all", opModel("SQUEEZE", [f(1, 1, 4)], [f(4)]), FIXED],
  ["EXPAND_DIMS", opModel("EXPAND_DIMS", [f(1, 4), shaped([], -1)], [f(1, 4, 1)])],
  ["EXPAND_DIMS in front", opModel("EXPAND_DIMS", [f(1, 4), shaped([], 0)], [f(1, 1, 4)]), FIXED],
  ["TRANSPOSE", opModel("TRANSPOSE", [f(1, 2, 3, 4), ints(0, 2, 1, 3)], [f(1, 3, 2, 4)])],
  ["TRANSPOSE of the batch", opModel("TRANSPOSE", [f(1, 2, 3), ints(1, 0, 2)], [f(2, 1, 3)]), FIXED],
  ["CONCATENATION", opModel("CONCATENATION", [f(1, 2, 3), f(1, 2, 1)], [f(1, 2, 4)], { axis: -1 })],
  ["CONCATENATION with a constant", opModel("CONCATENATION", [f(1, 2), w(1, 3)], [f(1, 5)], { axis: 1 }), FIXED],
  ["PACK", opModel("PACK", [f(1, 3), f(1, 3)], [f(1, 2, 3)], { axis: 1, values_count: 2 })],
  ["PACK in front", opModel("PACK", [f(1, 3), f(1, 3)], [f(2, 1, 3)], { axis: 0, values_count: 2 }), FIXED],
  ["UNPACK", opModel("UNPACK", [f(1, 2, 3)], [f(1, 3), f(1, 3)], { axis: 1, num: 2 })],
  ["SPLIT", opModel("SPLIT", [shaped([], -1), f(1, 2, 6)], [f(1, 2, 3), f(1, 2, 3)], { num_splits: 2 })],
  ["SPLIT_V", opModel("SPLIT_V", [f(1, 6), ints(2, -1), shaped([], 1)], [f(1, 2), f(1, 4)], { num_splits: 2 })],
  ["TILE", opModel("TILE", [f(1, 2, 3), ints(1, 3, 2)], [f(1, 6, 6)])],
  ["TILE of the batch", opModel("TILE", [f(1, 2), ints(2, 1)], [f(2, 2)]), FIXED],
  ["BROADCAST_TO", opModel("BROADCAST_TO", [f(1, 1, 3), ints(1, 4, 3)], [f(1, 4, 3)])],
];

const PARTS: readonly Case[] = [
  ["SLICE", opModel("SLICE", [f(1, 4, 5), ints(0, 1, 2), ints(1, 2, -1)], [f(1, 2, 3)])],
  [
    "STRIDED_SLICE with strides",
    opModel("STRIDED_SLICE", [f(1, 6, 5), ints(0, 1, 4), ints(1, 6, 0), ints(1, 2, -2)], [f(1, 3, 2)]),
  ],
  [
    "STRIDED_SLICE with masks",
    opModel("STRIDED_SLICE", [f(1, 6, 5), ints(0, 3, 4), ints(0, 5, 1), ints(1, 1, -1)], [f(1, 5, 5)], {
      begin_mask: 0b111,
      end_mask: 0b101,
    }),
  ],
  [
    "STRIDED_SLICE that drops an axis",
    opModel("STRIDED_SLICE", [f(1, 6, 5), ints(0, -1, 0), ints(0, 0, 5), ints(1, 1, 1)], [f(1, 5)], {
      begin_mask: 1,
      end_mask: 1,
      shrink_axis_mask: 2,
    }),
  ],
  [
    "STRIDED_SLICE that adds an axis",
    opModel("STRIDED_SLICE", [f(1, 6), ints(0, 0, 1), ints(1, 0, 4), ints(1, 1, 1)], [f(1, 1, 3)], {
      new_axis_mask: 2,
    }),
  ],
  [
    "STRIDED_SLICE with an ellipsis",
    opModel("STRIDED_SLICE", [f(1, 6, 5), ints(0, 1), ints(0, 3), ints(1, 1)], [f(1, 6, 2)], { ellipsis_mask: 1 }),
  ],
  ["PAD", opModel("PAD", [f(1, 3, 4), shaped([3, 2], 0, 0, 1, 2, 3, 0)], [f(1, 6, 7)])],
  ["PADV2", opModel("PADV2", [f(1, 3, 4), shaped([3, 2], 0, 0, 1, 2, 3, 0), scalar(-2)], [f(1, 6, 7)])],
  ["PAD of the batch", opModel("PAD", [f(1, 3), shaped([2, 2], 0, 1, 0, 0)], [f(2, 3)]), FIXED],
  [
    "MIRROR_PAD",
    opModel("MIRROR_PAD", [f(1, 4, 5), shaped([3, 2], 0, 0, 2, 1, 0, 3)], [f(1, 7, 8)], { mode: "REFLECT" }),
  ],
  [
    "MIRROR_PAD with the border",
    opModel("MIRROR_PAD", [f(1, 4, 5), shaped([3, 2], 0, 0, 2, 1, 0, 3)], [f(1, 7, 8)], { mode: "SYMMETRIC" }),
  ],
  ["GATHER of a table", opModel("GATHER", [w(9, 3), of("int32", 1, 4)], [f(1, 4, 3)], { axis: 0 })],
  ["GATHER in every sample", opModel("GATHER", [f(1, 5, 3), ints(4, 0)], [f(1, 2, 3)], { axis: 1 })],
  ["GATHER_ND", opModel("GATHER_ND", [w(2, 2, 3), of("int32", 1, 4, 2)], [f(1, 4, 3)])],
  ["EMBEDDING_LOOKUP", opModel("EMBEDDING_LOOKUP", [of("int32", 4), w(9, 3)], [f(4, 3)])],
];

const IMAGES: readonly Case[] = [
  ["SPACE_TO_DEPTH", opModel("SPACE_TO_DEPTH", [f(1, 4, 6, 3)], [f(1, 2, 3, 12)], { block_size: 2 })],
  ["DEPTH_TO_SPACE", opModel("DEPTH_TO_SPACE", [f(1, 2, 3, 12)], [f(1, 4, 6, 3)], { block_size: 2 })],
  [
    "SPACE_TO_BATCH_ND",
    opModel("SPACE_TO_BATCH_ND", [f(1, 3, 4, 2), ints(2, 2), shaped([2, 2], 1, 0, 0, 2)], [f(4, 2, 3, 2)]),
    FIXED,
  ],
  [
    "BATCH_TO_SPACE_ND",
    opModel("BATCH_TO_SPACE_ND", [f(4, 2, 3, 2), ints(2, 2), shaped([2, 2], 1, 0, 0, 2)], [f(1, 3, 4, 2)]),
    FIXED,
  ],
  ...["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"].flatMap((op) =>
    [{}, { align_corners: 1 }, { half_pixel_centers: 1 }].flatMap((settings): readonly Case[] => [
      [
        `${op} to more, ${JSON.stringify(settings)}`,
        opModel(op, [f(1, 3, 4, 2), ints(7, 8)], [f(1, 7, 8, 2)], settings),
      ],
      [
        `${op} to less, ${JSON.stringify(settings)}`,
        opModel(op, [f(1, 7, 8, 2), ints(3, 5)], [f(1, 3, 5, 2)], settings),
      ],
    ]),
  ),
];

const ALL = { PRODUCTS, REDUCTIONS, ARRANGEMENTS, PARTS, IMAGES };

for (const [group, cases] of Object.entries(ALL))
  describe(group, () => {
    for (const [name, model, check] of cases) test(name, async () => void (await expectConverted(model, check)));
  });

/** Ops that need more than one node to be run; see tflite-to-onnx.test.ts and windows.test.ts. */
const ELSEWHERE = "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV AVERAGE_POOL_2D MAX_POOL_2D SHAPE FILL WHERE".split(" ");

test("every row is run in some test", () => {
  const here = new Set(Object.values(ALL).flatMap((cases) => cases.map(([, { graph }]) => graph.nodes[0]!.op)));
  const rest = [...CONVERSIONS.keys()].filter((op) => !Object.hasOwn(elementwiseRows, op) && !here.has(op));
  expect(rest.toSorted()).toEqual(ELSEWHERE.toSorted());
});
