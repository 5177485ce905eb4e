import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, tfliteModel, valueInfo } from "../ir/build.ts";
import { inspectModel } from "./inspect.ts";

const VALUES = ["a", "b", "c", "d"];

test("TFLite: what has no weights and an integer kernel can be quantized, what has none can't", () => {
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 4])],
    outputs: [valueInfo("y", "float32", [1, 4])],
    nodes: [
      node("FULLY_CONNECTED", ["x", "w", ""], ["a"]),
      node("ADD", ["a", "x"], ["b"]),
      node("SOFTMAX", ["b"], ["c"]),
      node("COS", ["c"], ["d"]),
      node("ADD", ["d", "half"], ["y"]),
    ],
    tensors: [floatTensor("w", [4, 4], new Array(16).fill(0.5)), floatTensor("half", [1], [0.5])],
    values: VALUES.map((name) => valueInfo(name, "float32", [1, 4])),
  });
  const found = inspectModel(model).ops.map(({ op, count, quantizable }) => [op, count, quantizable]);
  expect(found).toEqual([
    ["FULLY_CONNECTED", 1, 1],
    ["ADD", 2, 1],
    ["COS", 1, 0],
    ["SOFTMAX", 1, 1],
  ]);
});

test("ONNX: an addition can be quantized where it stands between integers", () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 4])],
    outputs: [valueInfo("y", "float32", [1, 4])],
    nodes: [
      node("MatMul", ["x", "w"], ["a"]),
      node("Add", ["a", "x"], ["b"]),
      node("MatMul", ["b", "w"], ["c"]),
      node("Add", ["c", "x"], ["y"]),
    ],
    tensors: [floatTensor("w", [4, 4], new Array(16).fill(0.5))],
  });
  const found = inspectModel(model).ops.map(({ op, count, quantizable }) => [op, count, quantizable]);
  expect(found).toEqual([
    ["MatMul", 2, 2],
    ["Add", 2, 1],
  ]);
});
