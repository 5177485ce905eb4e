import { expect, test } from "vitest";
import { intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Model, Node } from "../ir/model.ts";
import { meanToPool } from "./mean-to-pool.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** 35 float32 additions in another order, of numbers that partly cancel. */
const tolerance = 1e-6;

const mean = (axes: readonly number[] | undefined, keepdims: number): Node =>
  node("ReduceMean", ["x"], ["y"], { attributes: { ...(axes && { axes }), keepdims } });

const model = (nodes: readonly Node[], opset = 17, shape: readonly Dim[] = ["batch", 6, 5, 7]): Model => {
  const [inputs, outputs] = [[valueInfo("x", "float32", shape)], [valueInfo("y", "float32")]];
  const tensors = [intTensor("places", [-1, 2]), intTensor("rows", [2])];
  return onnxModel({ inputs, outputs, nodes, tensors }, { opsets: { "": opset } });
};

test.each([
  ["that keeps its axes", mean([2, 3], 1), 17, ["GlobalAveragePool"]],
  ["that drops them", mean([3, 2], 0), 17, ["GlobalAveragePool", "Flatten"]],
  ["counted from the last axis", mean([-2, -1], 0), 17, ["GlobalAveragePool", "Flatten"]],
  ["of axes that are a constant", node("ReduceMean", ["x", "places"], ["y"]), 18, ["GlobalAveragePool"]],
] as const)("a mean over an image %s becomes a pool", async (_, reduce, opset, ops) => {
  expect(opsOf(await applied(meanToPool, model([reduce], opset), { tolerance }))).toEqual(ops);
});

test.each([
  ["over rows only", model([mean([2], 1)])],
  ["over rows only, by a constant", model([node("ReduceMean", ["x", "rows"], ["y"])], 18)],
  ["over channels too", model([mean([1, 2, 3], 1)])],
  ["over everything", model([mean(undefined, 1)])],
  ["of a line", model([mean([-1], 1)], 17, [2, 6, 7])],
  ["of a box", model([mean([2, 3], 1)], 17, [2, 6, 3, 3, 3])],
  ["of channels nobody knows", model([mean([2, 3], 1)], 17, ["n", "c", "h", "w"])],
  ["that is a maximum", model([node("ReduceMax", ["x"], ["y"], { attributes: { axes: [2, 3] } })])],
])("a mean %s stays", async (_, before) => {
  expect(await meanToPool.apply(before, context)).toBe(before);
});
