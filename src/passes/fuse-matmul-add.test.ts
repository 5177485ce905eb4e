import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim } from "../ir/model.ts";
import { fuseMatMulAdd } from "./fuse-matmul-add.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const model = (shape: readonly Dim[] | undefined, bias: readonly number[], swapped = false) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: [valueInfo("y", "float32")],
    nodes: [node("MatMul", ["x", "w"], ["m"]), node("Add", swapped ? ["b", "m"] : ["m", "b"], ["y"])],
    tensors: [
      floatTensor("w", [3, 2], [1, 2, 3, 4, 5, 6]),
      floatTensor("b", bias, [7, 8, 9, 10].slice(0, bias[0] ?? 1)),
    ],
  });

test("a matrix product and its bias become Gemm", async () => {
  expect(opsOf(await applied(fuseMatMulAdd, model(["n", 3], [2])))).toEqual(["Gemm"]);
  expect(opsOf(await applied(fuseMatMulAdd, model([4, 3], [2], true)))).toEqual(["Gemm"]);
});

test("stacked matrices, unknown ranks and other shapes of bias stay", async () => {
  for (const before of [model([1, 4, 3], [2]), model(undefined, [2]), model([4, 3], []), model([4, 3], [1])])
    expect(await fuseMatMulAdd.apply(before, context)).toBe(before);
});

test("a rank that was seen in a run counts", async () => {
  const types = new Map([["x", { dtype: "float32", shape: [4, 3] } as const]]);
  expect(opsOf(await fuseMatMulAdd.apply(model(undefined, [2]), { ...context, types }))).toEqual(["Gemm"]);
});
