import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import { dedupeTensors } from "./dedupe-tensors.ts";
import { applied, context } from "./same-outputs.case.ts";

const LENGTH = 64 * 64;
const ramp = (name: string, last = 0) =>
  floatTensor(
    name,
    [64, 64],
    Float32Array.from({ length: LENGTH }, (_, i) => (i === LENGTH - 1 ? last : i / LENGTH)),
  );

const model = (tensors: readonly Tensor[], inputs: readonly string[] = []) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [2, 64]), ...inputs.map((name) => valueInfo(name, "float32", [64, 64]))],
    outputs: [valueInfo("y", "float32", [2, 64])],
    nodes: [node("MatMul", ["x", "a"], ["m"]), node("MatMul", ["m", "b"], ["y"])],
    tensors,
  });

test("equal weights become one", async () => {
  const after = await applied(dedupeTensors, model([ramp("a"), ramp("b")]));
  expect([...after.graph.tensors.keys()]).toEqual(["a"]);
  expect(after.graph.nodes.map(({ inputs }) => inputs[1])).toEqual(["a", "a"]);
});

test("weights that differ in the last element only stay two", async () => {
  const before = model([ramp("a"), ramp("b", 1)]);
  expect(await dedupeTensors.apply(before, context)).toBe(before);
});

test("equal bytes of another shape, and what the caller may replace, stay", async () => {
  const other = { ...ramp("b"), shape: [64, 64, 1] };
  const shaped = model([ramp("a"), other]);
  expect(await dedupeTensors.apply(shaped, context)).toBe(shaped);
  const open = model([ramp("a"), ramp("b")], ["b"]);
  expect(await dedupeTensors.apply(open, context)).toBe(open);
});

test("small constants are not looked at", async () => {
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Add", ["x", "a"], ["m"]), node("Add", ["m", "b"], ["y"])],
    tensors: [floatTensor("a", [2], [1, 2]), floatTensor("b", [2], [1, 2])],
  });
  expect(await dedupeTensors.apply(before, context)).toBe(before);
});
