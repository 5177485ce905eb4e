import { expect, test } from "vitest";
import { encodeTflite } from "../containers/tflite/index.ts";
import { floatTensor, node, onnxModel, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import { collect } from "../ir/source.ts";
import { availableEngines } from "../node/engines.ts";
import { nodeHost } from "../node/host.ts";
import { brokenConversion, convert } from "./convert.ts";
import { noHooks } from "./progress.ts";
import { memoryDataset } from "./samples.ts";

const COUNT = 40;

/** x [1, 2] -> x @ w, and the place of the largest. */
const modelOf = (weights: readonly number[], op = "FULLY_CONNECTED"): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [node(op, ["x", "w"], ["y"])],
    tensors: [floatTensor("w", [2, 2], weights)],
  });

/** Converts `model`, but has `other` run as its original. */
async function converting(model: Model, other: Model = model) {
  const host = await nodeHost({ threads: 1 }, noHooks.signal);
  const { engine } = await availableEngines({ container: "tflite" });
  const x = {
    dtype: "float32" as const,
    shape: [COUNT, 2],
    data: Float32Array.from({ length: 2 * COUNT }, (_, i) => Math.sin(i)),
  };
  const place = { bytes: await collect(encodeTflite(other).main) };
  const samples = async (made: Model) => ({ data: memoryDataset(made, { x }), random: false });
  const made = await convert(host, { model, place, engine, name: "made.onnx", samples }, noHooks);
  await made.staged[Symbol.asyncDispose]();
  return made;
}

test("both models are run on the same samples and agree", async () => {
  const made = await converting(modelOf([1, 0.5, -2, 0.25]));
  expect(brokenConversion(made)).toBeUndefined();
  expect(made.findings).toEqual([]);
  expect(made.outputs).toMatchObject([{ name: "y" }]);
  expect(made.outputs[0]!.maxAbs).toBeLessThan(1e-6 * made.outputs[0]!.largest);
});

test("a model whose outputs differ by more than float rounding is a broken promise", async () => {
  const made = await converting(modelOf([1, 0.5, -2, 0.25]), modelOf([1, 0.5, -2, 0.251]));
  expect(brokenConversion(made)).toMatchObject({ code: "differs", remedy: "keep the original, and report the model" });
  expect(brokenConversion(made)!.message).toMatch(
    /^output "y" differs .* dB, expected 80 or more; largest difference 0\.0/,
  );
});

test("other containers are refused", async () => {
  const onnx = onnxModel({ inputs: [], outputs: [], nodes: [] });
  await expect(converting(onnx, modelOf([1, 0, 0, 1]))).rejects.toThrow(
    "convert turns TFLite models into ONNX; this model is in the container onnx",
  );
});
