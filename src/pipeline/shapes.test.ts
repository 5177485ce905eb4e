import { expect, test } from "vitest";
import { withTaps } from "../engines/taps.ts";
import { node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import { normalFeeds, run } from "../passes/same-outputs.case.ts";
import { type Probe, valueTypes } from "./shapes.ts";

const model = onnxModel({
  inputs: [valueInfo("x", "float32", ["n", 3])],
  outputs: [valueInfo("y", "float32")],
  nodes: [
    node("Shape", ["x"], ["s"]),
    node("SequenceConstruct", ["x", "x"], ["list"]),
    node("Relu", ["x"], ["r"]),
    node("ConcatFromSequence", ["list"], ["c"], { attributes: { axis: 0 } }),
    node("MatMul", ["r", "w"], ["y"]),
  ],
  tensors: [tensor("w", "float32", [3, 2], new Float32Array(6))],
  values: [valueInfo("r", "float32", [5, 3])],
});

test("declared types are taken, the others are seen in a run", async () => {
  const asked: string[] = [];
  const probe: Probe = (feeds, fetches) => {
    asked.push(...fetches);
    return run(withTaps(model, fetches), feeds, "none", fetches);
  };
  const types = await valueTypes(model, normalFeeds(model.graph.inputs, 1, 4), probe);
  expect(Object.fromEntries(types)).toEqual({
    w: { dtype: "float32", shape: [3, 2] },
    x: { dtype: "float32", shape: [4, 3] },
    r: { dtype: "float32", shape: [5, 3] },
    s: { dtype: "int64", shape: [2] },
    c: { dtype: "float32", shape: [8, 3] },
    y: { dtype: "float32", shape: [4, 2] },
  });
  expect(asked).not.toContain("r");
});

test("a model the engine can't run fails with the engine's words", async () => {
  const probe: Probe = () => Promise.reject(new Error("no such kernel"));
  await expect(valueTypes(model, normalFeeds(model.graph.inputs), probe)).rejects.toThrow("no such kernel");
});
