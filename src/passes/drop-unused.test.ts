import { expect, test } from "vitest";
import { floatTensor, graph, node, onnxModel, valueInfo } from "../ir/build.ts";
import { dropUnused } from "./drop-unused.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

test("what no output depends on goes, with its weights and declared types", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Add", ["x", "dead"], ["d"]), node("Neg", ["d"], ["e"]), node("Add", ["x", "live"], ["y"])],
    tensors: [floatTensor("dead", [2], [1, 2]), floatTensor("live", [2], [3, 4])],
    values: [valueInfo("d", "float32", [2])],
  });
  const after = await applied(dropUnused, model);
  expect(opsOf(after)).toEqual(["Add"]);
  expect([...after.graph.tensors.keys()]).toEqual(["live"]);
  expect(after.graph.values.size).toBe(0);
});

test("what only a sub-graph reads stays", async () => {
  const branch = (name: string) =>
    graph({
      inputs: [],
      outputs: [valueInfo(`${name}_y`, "float32", [2])],
      nodes: [node("Add", ["r", "w"], [`${name}_y`])],
    });
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [2]), valueInfo("c", "bool", [])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("If", ["c"], ["y"], { attributes: { then_branch: branch("t"), else_branch: branch("e") } }),
    ],
    tensors: [floatTensor("w", [2], [1, 2])],
  });
  expect(await dropUnused.apply(model, context)).toBe(model);
});

test("an initializer that is a graph input is part of the interface and stays", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [2]), valueInfo("w", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Relu", ["x"], ["y"])],
    tensors: [floatTensor("w", [2], [1, 2])],
  });
  expect(await dropUnused.apply(model, context)).toBe(model);
});
