import { expect, test } from "vitest";
import { node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import { normalFeeds, run } from "../passes/same-outputs.case.ts";
import { valueTypes } from "./shapes.ts";

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
  const tapped: string[] = [];
  const once = (asked: Model) => {
    tapped.push(...asked.graph.outputs.map(({ name }) => name));
    return run(asked, normalFeeds(model.graph.inputs, 1, 4));
  };
  const types = await valueTypes(model, ["r", "c", "s", "x"], once);
  expect(Object.fromEntries(types)).toEqual({
    w: { dtype: "float32", shape: [3, 2] },
    r: { dtype: "float32", shape: [5, 3] },
    s: { dtype: "int64", shape: [2] },
    c: { dtype: "float32", shape: [8, 3] },
  });
  expect(tapped).toEqual(["y", "c", "s"]);
});

test("nothing is run where the model states every type asked for", async () => {
  const never = () => Promise.reject(new Error("run"));
  expect((await valueTypes(model, ["r", "w"], never)).get("r")).toEqual({ dtype: "float32", shape: [5, 3] });
});

test("a model the engine can't run fails with the engine's words", async () => {
  const broken = () => Promise.reject(new Error("no such kernel"));
  await expect(valueTypes(model, ["c"], broken)).rejects.toThrow("no such kernel");
});
