import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import { withLoss } from "./losses.ts";
import { sgd } from "./optimizers.ts";
import { trainingStep } from "./step.ts";
import { unroll } from "./unroll.ts";

test("copies of a step tell their nodes apart by name, and nodes without a name stay without", () => {
  const line = onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", 1])],
    outputs: [valueInfo("y", "float32", ["batch", 1])],
    nodes: [node("MatMul", ["x", "w"], ["z"]), node("Identity", ["z"], ["y"], { name: "end" })],
    tensors: [floatTensor("w", [1, 1], [2])],
  });
  const { model, loss } = withLoss(line, { kind: "mse" });
  const step = trainingStep(model, { loss, parameters: ["w"], optimizer: sgd() });
  const names = assertLegal(unroll(step, 2).model).graph.nodes.map(({ name }) => name);
  const given = names.filter((name) => name !== "");
  expect(new Set(given).size).toBe(given.length);
  expect(given).toEqual(expect.arrayContaining(["end@0", "end@1"]));
  expect(names.length - given.length).toBe(2);
});
