import { expect, test } from "vitest";
import { float, floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { removableActivation } from "./clamps.ts";
import { constantsIn } from "./values.ts";

const model = onnxModel({
  inputs: [valueInfo("x", "float32", [2]), valueInfo("open", "float32", [])],
  outputs: [valueInfo("y", "float32", [2])],
  nodes: [
    node("Neg", ["x"], ["a"]),
    node("Relu", ["a"], ["b"]),
    node("Clip", ["b", "zero", "six"], ["c"]),
    node("Clip", ["c", "zero", "open"], ["y"]),
  ],
  tensors: [floatTensor("zero", [], [0]), floatTensor("six", [], [6])],
});

test("Relu and Clip tell their bounds, by inputs and by the attributes of old opsets", async () => {
  const constant = constantsIn(model.graph);
  const [, relu, relu6, open] = model.graph.nodes;
  const old = node("Clip", ["x"], ["y"], { attributes: { min: float(-1), max: float(1) } });
  const half = node("Clip", ["x", "", "six"], ["y"]);
  expect(await removableActivation(relu!, constant)).toEqual({ min: 0, max: Number.POSITIVE_INFINITY });
  expect(await removableActivation(relu6!, constant)).toEqual({ min: 0, max: 6 });
  expect(await removableActivation(old, constant)).toEqual({ min: -1, max: 1 });
  expect(await removableActivation(half, constant)).toEqual({ min: Number.NEGATIVE_INFINITY, max: 6 });
  expect(await removableActivation(open!, constant)).toBeUndefined();
  expect(await removableActivation(node("Tanh", ["x"], ["y"]), constant)).toBeUndefined();
});
