import { expect, test } from "vitest";
import { floatTensor, graph, node, onnxModel, tensor, tfliteModel, valueInfo } from "../ir/build.ts";
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

test("scales of blocks stay as long as the weight they belong to, though no node reads them", async () => {
  const none = { scale: new Float32Array(), zeroPoint: new Int32Array() };
  const blocked = (name: string) => ({
    ...tensor(name, "int4", [2, 32], new Uint8Array(32)),
    quantization: { qparams: none, blocks: { scales: `${name}/scales`, size: 32 } },
  });
  const scales = (name: string) => tensor(`${name}/scales`, "float16", [2, 1], new Uint16Array(2));
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 32])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [node("FULLY_CONNECTED", ["x", "live"], ["y"])],
    tensors: [blocked("live"), scales("live"), blocked("dead"), scales("dead")],
  });
  const after = await dropUnused.apply(model, context);
  expect([...after.graph.tensors.keys()]).toEqual(["live", "live/scales"]);
});
