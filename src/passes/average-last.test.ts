import { expect, test } from "vitest";
import { type AttributeInit, float, floatTensor, intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Model, Node, Tensor } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { averageLast } from "./average-last.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** Some hundred float32 additions in another order, of numbers that partly cancel. */
const tolerance = 2e-6;
const { normal } = rng(5);
const random = (name: string, shape: readonly number[]): Tensor =>
  floatTensor(name, shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, normal));

interface Parts {
  readonly pool?: Node;
  readonly flatten?: Node;
  readonly gemm?: Readonly<Record<string, AttributeInit>>;
  readonly shape?: readonly Dim[];
  readonly weight?: readonly number[];
  readonly bias?: readonly number[];
  readonly more?: readonly Node[];
}

const GLOBAL = node("GlobalAveragePool", ["x"], ["p"]);
const FLATTEN = node("Flatten", ["p"], ["f"]);
const window = (attributes: Readonly<Record<string, AttributeInit>>) =>
  node("AveragePool", ["x"], ["p"], { attributes });

/** An image of 6 channels, averaged and multiplied. */
function model({ pool = GLOBAL, flatten = FLATTEN, gemm = {}, more = [], ...parts }: Parts): Model {
  const { shape = ["batch", 6, 5, 5], weight = [6, 4], bias } = parts;
  const inputs = ["f", "w", ...(bias === undefined ? [] : ["b"])];
  return onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: [valueInfo("y", "float32"), ...more.map(({ outputs }) => valueInfo(outputs[0]!, "float32"))],
    nodes: [pool, flatten, node("Gemm", inputs, ["y"], { attributes: gemm }), ...more],
    tensors: [
      random("w", weight),
      ...(bias === undefined ? [] : [random("b", bias)]),
      ...[intTensor("to", [-1, 6]), intTensor("axes", [2, 3])],
    ],
  });
}

test("a product with averages of images becomes an average of products", async () => {
  const cases: readonly Parts[] = [
    { bias: [4] },
    { gemm: { transB: 1 }, weight: [4, 6] },
    { flatten: node("Reshape", ["p", "to"], ["f"]), bias: [4] },
    { flatten: node("Squeeze", ["p", "axes"], ["f"]) },
    { pool: window({ kernel_shape: [5, 5] }), bias: [4] },
    { pool: window({ kernel_shape: [4, 4], strides: [4, 4] }), bias: [4] },
    { shape: [2, 6, 7], bias: [4] },
    { shape: [2, 6, 3, 3, 2], bias: [4] },
  ];
  for (const parts of cases) {
    const after = await applied(averageLast, model(parts), { tolerance });
    expect(opsOf(after)).toEqual(["Conv", (parts.pool ?? GLOBAL).op, "Flatten"]);
    expect(after.graph.tensors.get("w")!.shape.slice(0, 2)).toEqual([4, 6]);
  }
});

test("a weight that others read stays as it is", async () => {
  const before = model({ more: [node("Relu", ["w"], ["r"])] });
  const after = await applied(averageLast, before, { tolerance });
  expect(after.graph.tensors.get("w")!.shape).toEqual([6, 4]);
  expect(after.graph.tensors.get("w_kernel")!.shape).toEqual([4, 6, 1, 1]);
});

test("channels are those of a convolution before, behind a sum too", async () => {
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [2, 3, 4, 4])],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Conv", ["x", "k"], ["a"]),
      node("Conv", ["x", "l"], ["b"]),
      node("Add", ["a", "b"], ["s"]),
      node("Relu", ["s"], ["r"]),
      node("GlobalAveragePool", ["r"], ["p"]),
      FLATTEN,
      node("Gemm", ["f", "w"], ["y"]),
    ],
    tensors: [random("k", [5, 3, 1, 1]), random("l", [5, 3, 1, 1]), random("w", [5, 2])],
  });
  expect(opsOf(await applied(averageLast, before, { tolerance })).slice(4)).toEqual([
    "Conv",
    "GlobalAveragePool",
    "Flatten",
  ]);
});

test("other products and pools stay", async () => {
  const cases: readonly Parts[] = [
    { more: [node("Relu", ["f"], ["r"])] },
    { more: [node("Relu", ["p"], ["r"])] },
    { gemm: { alpha: float(2) } },
    { gemm: { beta: float(0.5) }, bias: [4] },
    { bias: [1] },
    { bias: [1, 4] },
    { shape: ["batch", "channels", "height", "width"] },
    { pool: window({ kernel_shape: [5, 5], pads: [1, 1, 1, 1], strides: [5, 5] }) },
    { pool: window({ kernel_shape: [3, 3], strides: [2, 2] }), weight: [24, 4] },
    {
      pool: window({ kernel_shape: [3, 3], strides: [2, 2] }),
      flatten: node("Reshape", ["p", "to"], ["f"]),
    },
    { pool: node("GlobalMaxPool", ["x"], ["p"]) },
    { shape: ["batch", 6] },
  ];
  for (const parts of cases) {
    const before = model(parts);
    expect(await averageLast.apply(before, context)).toBe(before);
  }
});
