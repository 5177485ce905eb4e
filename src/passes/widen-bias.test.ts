import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Dim, Model } from "../ir/model.ts";
import { applied, bytesOfModel, context, testEngine } from "./same-outputs.case.ts";
import { widenBias } from "./widen-bias.ts";

const bias = floatTensor("b", [2], [7, 8]);
const weight = floatTensor("w", [3, 2], [1, 2, 3, 4, 5, 6]);

const model = (shape: readonly Dim[] | undefined) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: [valueInfo("y", "float32")],
    nodes: [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
    tensors: [weight, bias],
  });

test("the bias of stacked products is widened to their rank", async () => {
  const after = await applied(widenBias, model(["n", 4, 3]));
  expect(after.graph.nodes[1]!.inputs).toEqual(["b_wide", "m"]);
  expect(after.graph.tensors.get("b_wide")!.shape).toEqual([1, 1, 2]);
  expect((await applied(widenBias, model([1, 2, 4, 3]))).graph.tensors.get("b_wide")!.shape).toEqual([1, 1, 1, 2]);
});

test("matrices and values of unknown rank are left alone", async () => {
  for (const before of [model([4, 3]), model(undefined)]) expect(await widenBias.apply(before, context)).toBe(before);
});

/** uint8 activations, int8 weights, and no QuantizeLinear behind the product. */
const quantized: Model = onnxModel({
  inputs: [valueInfo("x", "float32", [1, 4, 3])],
  outputs: [valueInfo("y", "float32")],
  nodes: [
    node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    node("DequantizeLinear", ["c", "s"], ["w"]),
    node("MatMul", ["d", "w"], ["m"]),
    node("Add", ["m", "b"], ["y"]),
  ],
  tensors: [
    floatTensor("s", [], [0.25]),
    tensor("z", "uint8", [], Uint8Array.of(128)),
    tensor("c", "int8", [3, 2], Int8Array.of(1, 2, 3, 4, 5, 6)),
    bias,
  ],
});

test("the engine multiplies floats with a vector bias, and codes with a wide one", async () => {
  const { graph } = quantized;
  const wide = { ...graph, tensors: new Map(graph.tensors).set("b", { ...bias, shape: [1, 1, 2] }) };
  const engine = await testEngine();
  const ops = async (model: Model) =>
    Object.keys((await engine.opHistogram({ bytes: await bytesOfModel(model) })) ?? {});
  expect(await ops(quantized)).toContain("Gemm");
  expect(await ops({ ...quantized, graph: wide })).toContain("MatMulIntegerToFloat");
});
