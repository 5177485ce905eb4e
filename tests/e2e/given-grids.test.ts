/** Models that come with Q/DQ pairs, through the command line. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { floatTensor, node, onnxModel, tensor, valueInfo } from "../../src/ir/build.ts";
import type { Model, Node, Tensor } from "../../src/ir/model.ts";
import { fewbitJson, type Json, quantized, samples, saved, savedArray, workspace } from "./cli.case.ts";

/** x + 2x through a matrix, every value with a pair; `shape` is that of its scales: PyTorch writes [1]. */
function trained(shape: readonly number[], skip: readonly string[] = []): Model {
  const nodes: Node[] = [];
  const tensors: Tensor[] = [];
  const pair = (from: string, scale: number, zero: number): string => {
    if (skip.includes(from)) return from;
    tensors.push(floatTensor(`${from}_s`, shape, [scale]), tensor(`${from}_z`, "uint8", shape, Uint8Array.of(zero)));
    const parameters = [`${from}_s`, `${from}_z`];
    nodes.push(node("QuantizeLinear", [from, ...parameters], [`${from}_q`]));
    nodes.push(node("DequantizeLinear", [`${from}_q`, ...parameters], [`${from}_dq`]));
    return `${from}_dq`;
  };
  const x = pair("x", 0.04, 128);
  nodes.push(node("Add", [x, x], ["sum"]));
  const sum = pair("sum", 0.05, 128);
  const codes = Int8Array.from({ length: 32 * 32 }, (_, i) => ((i * 29) % 255) - 127);
  tensors.push(
    tensor("w", "int8", [32, 32], codes),
    floatTensor("w_s", [], [0.004]),
    tensor("w_z", "int8", [], Int8Array.of(0)),
  );
  nodes.push(node("DequantizeLinear", ["w", "w_s", "w_z"], ["w_dq"]));
  nodes.push(node("MatMul", [sum, "w_dq"], ["y"]));
  const y = pair("y", 0.3, 128);
  return onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 32])],
    outputs: [valueInfo(y)],
    nodes,
    tensors,
  });
}

async function files(model: Model) {
  const folder = await workspace();
  return { folder, model: await saved(folder, model), data: await savedArray(folder, "x.npy", samples([24, 32])) };
}

const codesOf = ({ findings }: Json): readonly string[] => findings.map(({ code }: Json) => code);

it("w8a8 needs no samples to calibrate, is what a model with grids gets by default, and computes the same", async () => {
  const { folder, model, data } = await files(trained([]));
  const { json: listed } = await fewbitJson(["schemes", model]);
  const row = listed.schemes.find(({ name }: Json) => name === "w8a8");
  expect(row).toMatchObject({ fits: true, needsData: false });
  const json = await quantized([model, "--data", data, "-o", join(folder, "out.onnx")]);
  expect(json.scheme).toBe("w8a8");
  expect(json.integerShare).toBe(1);
  expect(json.outputs[0].maxAbs).toBeLessThanOrEqual(0.3001); // one code of the output: a sum may lie between two
  expect(json.metrics.cosine).toBeGreaterThan(0.9999);
});

it("an original that the engine opens only without its optimizations is compared all the same", async () => {
  const { folder, model, data } = await files(trained([1]));
  const json = await quantized([model, "-s", "w8a8", "--data", data, "-o", join(folder, "out.onnx"), "--force"]);
  expect(codesOf(json)).toContain("reference-unoptimized");
  expect(json.integerShare).toBe(1);
  expect(json.outputs[0].maxAbs).toBeLessThanOrEqual(0.3001);
});

it("a value without a grid stays in float where there are no samples, and is calibrated where there are", async () => {
  const { folder, model, data } = await files(trained([], ["sum"]));
  const without = await fewbitJson([
    "quantize",
    model,
    "-s",
    "w8a8",
    "--data",
    data,
    "-o",
    join(folder, "a.onnx"),
    "--force",
  ]);
  expect(without.json.notes.join()).toMatch(/computes in float: the model holds no grid for "sum" that fits/);
  const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "b.onnx"), "--force"]);
  expect(json.integerShare).toBe(1);
});
