/** Layers that move elements, or put new ones between them. */
import { tensor } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import {
  type Attributes,
  coded,
  grid,
  ints,
  type LayerCase,
  layer,
  NONE,
  shared,
  ZERO,
} from "./tflite-layers-build.case.ts";
import { pair } from "./tflite-layers-pairs.case.ts";

const moved = (
  op: string,
  name: string,
  x: readonly number[],
  y: readonly number[],
  constants: readonly Tensor[] = [],
  attributes: Attributes = {},
): readonly LayerCase[] =>
  (["int8", "int16"] as const).map((dtype) => shared(op, dtype, name, { x, y, constants, attributes }));

const parts = (op: string, dtype: DType, outputs: number, init: Parameters<typeof shared>[3]): LayerCase => {
  const whole = shared(op, dtype, "", init);
  const { graph } = whole.model;
  const names = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const values = names.map((name) => ({ ...graph.outputs[0]!, name }));
  const nodes = [{ ...graph.nodes[0]!, outputs: names }];
  return { ...whole, model: { ...whole.model, graph: { ...graph, nodes, outputs: values } } };
};

const joined = (
  dtype: DType,
  axis: number,
  a: readonly number[],
  b: readonly number[],
  y: readonly number[],
): LayerCase => {
  const zero = ZERO[dtype]![0];
  return layer(`${dtype} along axis ${axis}`, "CONCATENATION", {
    inputs: [coded("a", dtype, a, 0.0471, zero), coded("b", dtype, b, 0.0471, zero)],
    outputs: [coded("y", dtype, y, 0.0471, zero)],
    attributes: { axis, ...NONE },
  });
};

const onOneGrid = (dtype: DType) => ({ scales: [0.0471, 0.0471, 0.0471] as const, zero: ZERO[dtype]![0] });

const masks = { begin_mask: 0, end_mask: 0, ellipsis_mask: 0, new_axis_mask: 0, shrink_axis_mask: 0 };

export const moveCases: readonly LayerCase[] = [
  ...moved("RESHAPE", "", [2, 3, 4], [6, 4], [ints("s", [6, 4])]),
  ...moved("SQUEEZE", "", [2, 1, 4, 1], [2, 4]),
  ...moved("EXPAND_DIMS", "", [2, 4], [2, 1, 4], [ints("axis", [1], [])]),
  ...moved("TRANSPOSE", "of four axes", [2, 3, 4, 5], [4, 2, 5, 3], [ints("p", [2, 0, 3, 1])]),
  ...moved("PAD", "", [2, 3, 4], [3, 3, 8], [ints("p", [1, 0, 0, 0, 2, 2], [3, 2])]),
  shared("PADV2", "int8", "with a value", {
    x: [2, 3, 4],
    y: [3, 3, 8],
    constants: [
      ints("p", [1, 0, 0, 0, 2, 2], [3, 2]),
      { ...tensor("value", "int8", [], Int8Array.of(77)), quantization: grid(0.0471, ZERO.int8![0]) },
    ],
  }),
  ...moved("SLICE", "", [4, 5, 6], [2, 5, 3], [ints("b", [1, 0, 3]), ints("n", [2, -1, 3])]),
  ...moved(
    "STRIDED_SLICE",
    "backwards and from the end",
    [4, 5, 6],
    [2, 5, 2],
    [ints("b", [0, -1, 1]), ints("e", [4, 0, -1]), ints("s", [2, -1, 2])],
    { ...masks, end_mask: 2 },
  ),
  ...moved(
    "STRIDED_SLICE",
    "an axis less",
    [4, 5, 6],
    [4, 3],
    [ints("b", [0, 2, 0]), ints("e", [0, 3, 3]), ints("s", [1, 1, 1])],
    { ...masks, end_mask: 1, shrink_axis_mask: 2 },
  ),
  ...moved("GATHER", "along an inner axis", [2, 5, 3], [2, 4, 3], [ints("i", [4, 0, 0, 2])], { axis: 1 }),
  ...(["int8", "int16"] as const).flatMap((dtype) => [
    joined(dtype, 2, [2, 3, 4], [2, 3, 2], [2, 3, 6]),
    joined(dtype, 0, [2, 3, 4], [1, 3, 4], [3, 3, 4]),
    parts("SPLIT", dtype, 2, {
      x: [2, 6, 3],
      y: [2, 3, 3],
      constants: [ints("axis", [1], [])],
      reads: ["axis", "x"],
      attributes: { num_splits: 2 },
    }),
    parts("SPLIT_V", dtype, 2, {
      x: [2, 6, 3],
      y: [2, 3, 3],
      constants: [ints("sizes", [3, 3]), ints("axis", [1], [])],
      reads: ["x", "sizes", "axis"],
      attributes: { num_splits: 2 },
    }),
    pair("MAXIMUM", dtype, "", { ...onOneGrid(dtype), a: [2, 5, 6], b: [5, 1], y: [2, 5, 6], attributes: {} }),
    pair("MINIMUM", dtype, "", { ...onOneGrid(dtype), a: [2, 5, 6], b: [2, 5, 6], y: [2, 5, 6], attributes: {} }),
  ]),
];

export const resizeCases: readonly LayerCase[] = (["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"] as const).flatMap(
  (op) =>
    (
      [
        ["up twice", [8, 10], {}],
        ["up, half pixels", [7, 13], { half_pixel_centers: 1 }],
        ["up, corners aligned", [9, 11], { align_corners: 1 }],
        ["down, half pixels", [3, 2], { half_pixel_centers: 1 }],
        ["down", [3, 4], {}],
      ] as const
    ).flatMap(([name, size, flags]) =>
      (["int8", "uint8", "int16"] as const).map((dtype) =>
        shared(op, dtype, name, {
          x: [2, 4, 5, 3],
          y: [2, size[0], size[1], 3],
          constants: [ints("size", size)],
          attributes: { align_corners: 0, half_pixel_centers: 0, ...flags },
        }),
      ),
    ),
);
