import { expect, test } from "vitest";
import { float, floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Model } from "../ir/model.ts";
import { context, difference, normalFeeds, opsOf, run } from "../passes/same-outputs.case.ts";
import { prepare } from "./prepare.ts";

/** An old exporter's habits: inputs for weights, Constant nodes, Dropout, batch normalization, Clip by attributes. */
const old = onnxModel(
  {
    inputs: [
      valueInfo("x", "float32", [1, 2, 4, 4]),
      ...["g", "b", "m", "v"].map((name) => valueInfo(name, "float32", [3])),
    ],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Constant", [], ["w"], { attributes: { value: floatTensor("", [3, 2, 1, 1], [1, -2, 3, 4, -5, 6]) } }),
      node("Conv", ["x", "w"], ["c"]),
      node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
      node("Clip", ["n"], ["k"], { attributes: { min: float(0), max: float(6) } }),
      node("Dropout", ["k"], ["d"]),
      node("Identity", ["d"], ["y"]),
      node("Relu", ["c"], ["unused"]),
    ],
    tensors: ["g", "b", "m", "v"].map((name, i) => floatTensor(name, [3], [1 + i, 2 + i, 3 + i])),
  },
  { opsets: { "": 9 }, formatVersion: 3 },
);

test("a model of old habits becomes one convolution and one clamp", async () => {
  const unread = { ...old, graph: { ...old.graph, nodes: old.graph.nodes.slice(0, -1) } };
  const { model, log } = await prepare(unread, context, { opset: 13 });
  expect(opsOf(model)).toEqual(["Conv", "Clip"]);
  expect(model.opsets[""]).toBe(13);
  expect(log.map(({ pass }) => pass)).toEqual([
    "unlist-initializers",
    "raise-opset",
    "constant-nodes",
    "drop-identity",
    "fold-batch-norm",
    "drop-unused",
  ]);
  expect(log[1]!.change).toContain("opset 9 -> 13");
});

test("what nothing reads does not stand in the way", async () => {
  expect(opsOf((await prepare(old, context)).model)).toEqual(["Conv", "Clip"]);
});

test("the prepared model computes the same, rounding of the folded weights aside", async () => {
  const { model } = await prepare(old, context, { opset: 13, static: true });
  const feeds = normalFeeds(model.graph.inputs);
  expect(difference((await run(old, feeds)).y!, (await run(assertLegal(model), feeds)).y!)).toBeLessThan(1e-6);
});

test("types are asked for once the names have settled, and only for graphs that run in integers", async () => {
  const matmul = onnxModel({
    inputs: [valueInfo("x")],
    outputs: [valueInfo("y")],
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("Identity", ["r"], ["i"]),
      node("MatMul", ["i", "w"], ["m"]),
      node("Add", ["m", "b"], ["y"]),
    ],
    tensors: [floatTensor("w", [2, 2], [1, 2, 3, 4]), floatTensor("b", [2], [5, 6])],
  });
  const seen: (readonly string[])[] = [];
  const typesOf = async (current: Model) => {
    seen.push(opsOf(current));
    return new Map([["r", { dtype: "float32", shape: [3, 2] } as const]]);
  };
  expect(opsOf((await prepare(matmul, context, { static: true, typesOf })).model)).toEqual(["Relu", "Gemm"]);
  expect(opsOf((await prepare(matmul, context, { typesOf })).model)).toEqual(["Relu", "MatMul", "Add"]);
  expect(seen).toEqual([["Relu", "MatMul", "Add"]]);
});

test("a model with nothing to do comes back as the same object with an empty log", async () => {
  const clean = onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Relu", ["x"], ["y"])],
  });
  const { model, log } = await prepare(clean, context, { opset: 13, static: true });
  expect(model).toBe(clean);
  expect(log).toEqual([]);
});

test("with few codes for values averages come last, and the log says which ops changed", async () => {
  const classifier = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 2, 4, 4])],
    outputs: [valueInfo("y")],
    nodes: [
      node("GlobalAveragePool", ["x"], ["p"]),
      node("Flatten", ["p"], ["f"]),
      node("MatMul", ["f", "w"], ["m"]),
      node("Add", ["m", "b"], ["y"]),
    ],
    tensors: [floatTensor("w", [2, 3], [1, 2, 3, 4, 5, 6]), floatTensor("b", [3], [7, 8, 9])],
  });
  const typesOf = async () => new Map([["f", { dtype: "float32", shape: [1, 2] } as const]]);
  expect(opsOf((await prepare(classifier, context, { static: true, typesOf })).model).at(-1)).toBe("Gemm");
  const { model, log } = await prepare(classifier, context, { static: true, fewCodes: true, typesOf });
  expect(opsOf(model)).toEqual(["Conv", "GlobalAveragePool", "Flatten"]);
  expect(log.at(-1)).toEqual({ pass: "average-last", change: "Gemm 1 -> 0, Conv 0 -> 1" });
});
