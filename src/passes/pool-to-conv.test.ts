import { expect, test } from "vitest";
import { type AttributeInit, floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { poolToConv } from "./pool-to-conv.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** A handful of float32 additions in another order, of numbers that partly cancel. */
const tolerance = 1e-6;

const model = (attributes: Readonly<Record<string, AttributeInit>>, shape: readonly Dim[] = [2, 3, 8, 8]) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: [valueInfo("y", "float32")],
    nodes: [node("AveragePool", ["x"], ["y"], { attributes })],
  });

test("a small average pool becomes a depthwise convolution", async () => {
  const cases = [
    { kernel_shape: [2, 2], strides: [2, 2] },
    { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 },
    { kernel_shape: [3, 2], strides: [1, 2], auto_pad: "VALID", ceil_mode: 0 },
  ];
  for (const attributes of cases)
    expect(opsOf(await applied(poolToConv, model(attributes), { tolerance }))).toEqual(["Conv"]);
});

test("pools that divide unevenly, large ones, and values of unknown channels stay", async () => {
  const cases = [
    model({ kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    model({ kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
    model({ kernel_shape: [3, 3], auto_pad: "SAME_UPPER" }),
    model({ kernel_shape: [8, 8] }),
    model({ kernel_shape: [2, 2] }, [2, "channels", 8, 8]),
  ];
  for (const before of cases) expect(await poolToConv.apply(before, context)).toBe(before);
});

test("channels are those of the convolution before", async () => {
  const { normal } = rng(2);
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 3, 8, 8])],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Conv", ["x", "w"], ["c"]),
      node("Relu", ["c"], ["r"]),
      node("AveragePool", ["r"], ["y"], { attributes: { kernel_shape: [2, 2] } }),
    ],
    tensors: [floatTensor("w", [5, 3, 1, 1], Array.from({ length: 15 }, normal))],
  });
  const after = await applied(poolToConv, before, { tolerance });
  expect(after.graph.tensors.get("y_window")!.shape).toEqual([5, 1, 2, 2]);
});
