import { expect, test } from "vitest";
import { intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Model, Tensor } from "../ir/model.ts";
import { gatherToReshape } from "./gather-to-reshape.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const six = [...new Array(6).keys()];

/** x -> all of it in a row -> what is picked. */
const model = (picked: Tensor, row: readonly Dim[] = [6], axis = 0): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [1, 2, 3])],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Reshape", ["x", "shape"], ["row"]),
      node("Gather", ["row", picked.name], ["picked"], { attributes: { axis } }),
      node("Relu", ["picked"], ["y"]),
    ],
    tensors: [intTensor("shape", [-1]), picked],
    values: [valueInfo("row", "float32", row)],
  });

test.each([0, -1])("everything in its order is a Reshape, axis %d", async (axis) => {
  const after = await applied(gatherToReshape, model(intTensor("all", six, [1, 3, 2, 1]), [6], axis));
  expect(opsOf(after)).toEqual(["Reshape", "Reshape", "Relu"]);
});

test.each([
  ["in another order", model(intTensor("turned", six.toReversed(), [2, 3]))],
  ["but for the last", model(intTensor("fewer", six.slice(0, 5)))],
  ["of a vector of unknown length", model(intTensor("all", six), ["n"])],
])("elements %s are picked as before", async (_, before) => {
  expect((await gatherToReshape.apply(before, context)).graph).toBe(before.graph);
});

test("a scalar that takes the only element keeps its shape", async () => {
  const one: Model = onnxModel({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "float32")],
    nodes: [node("Gather", ["x", "first"], ["y"])],
    tensors: [intTensor("first", [0], [])],
  });
  expect(opsOf(await applied(gatherToReshape, one))).toEqual(["Reshape"]);
});
