import { expect, test } from "vitest";
import { node, tfliteModel, valueInfo } from "../ir/build.ts";
import { fixBatch, hasOpenShapes } from "./fix-batch.ts";

const of = (...shape: (number | null)[]) =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", shape), valueInfo("s", "float32", [])],
    outputs: [valueInfo("y", "float32", [null, 4])],
    values: [valueInfo("m", "float32", [null, null, 4])],
    nodes: [node("RELU", ["x"], ["m"]), node("RELU", ["m"], ["y"])],
  });

test("open batches get the number of rows, what else is open inside gets a 1", () => {
  const { inputs, outputs, values } = fixBatch(of(null, 4), 8).graph;
  expect([...inputs, ...outputs, ...values.values()].map(({ shape }) => shape)).toEqual([
    [8, 4],
    [],
    [8, 4],
    [8, 1, 4],
  ]);
});

test("a model whose shapes are fixed comes back as it is", () => {
  const model = fixBatch(of(null, 4), 2);
  expect(hasOpenShapes(model)).toBe(false);
  expect(fixBatch(model, 3)).toBe(model);
});

test("an input that leaves more than its batch open is refused by name", () => {
  expect(() => fixBatch(of(null, 4, null), 1)).toThrow(
    /input "x": dimension 2 of \[\?, 4, \?\] is open, and only a batch/,
  );
});
