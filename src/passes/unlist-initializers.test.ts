import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { difference, normalFeeds, run } from "./same-outputs.case.ts";
import { unlistInitializers } from "./unlist-initializers.ts";

const model = (formatVersion: number) =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2]), valueInfo("w", "float32", [2])],
      outputs: [valueInfo("y", "float32", [2])],
      nodes: [node("Add", ["x", "w"], ["y"])],
      tensors: [floatTensor("w", [2], [1, 2])],
    },
    { opsets: { "": 8 }, formatVersion },
  );

test("weights of an old file stop being inputs, and the model computes the same", async () => {
  const before = model(3);
  const after = await unlistInitializers.apply(before, {});
  expect(after.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  expect(after.formatVersion).toBe(4);
  const feeds = normalFeeds(after.graph.inputs);
  expect(difference((await run(before, feeds)).y!, (await run(after, feeds)).y!)).toBe(0);
});

test("in newer files vectors are defaults the caller may replace, and stay", async () => {
  const before = model(4);
  expect(await unlistInitializers.apply(before, {})).toBe(before);
});

test("in newer files listed matrices become constants", async () => {
  const before = onnxModel(
    {
      inputs: [valueInfo("x", "float32", [1, 2]), valueInfo("w", "float32", [2, 2])],
      outputs: [valueInfo("y", "float32", [1, 2])],
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      tensors: [floatTensor("w", [2, 2], [1, 2, 3, 4])],
    },
    { formatVersion: 8 },
  );
  const after = await unlistInitializers.apply(before, {});
  expect(after.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  expect(after.formatVersion).toBe(8);
});
