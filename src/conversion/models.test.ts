/** The models of MLPerf Tiny, in TFLite and as others converted them to ONNX. The data is not in the repository. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { readNpy } from "../containers/npy.ts";
import { readOnnx } from "../containers/onnx/index.ts";
import { readTflite } from "../containers/tflite/index.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { openDataset } from "../node/data.ts";
import { floatsOf } from "../numeric/convert.ts";
import { addAgreement, addErrors, type Hits, noErrors, noHits, sqnr } from "../numeric/metrics.ts";
import { opsOf, run } from "../passes/same-outputs.case.ts";
import { type Converted, tfliteToOnnx, toTflite } from "./index.ts";
import { runTflite, transposes } from "./op.case.ts";

const DATA = resolve(import.meta.dirname, "../../../shared/data");
const at = (path: string): string => resolve(DATA, path);
const NEEDED = ["resnet8_float.tflite", "resnet8.onnx", "ad01_float.tflite", "ad01.onnx", "ad01_spectrogram.npy"];
const missing = [...NEEDED.map((name) => `mlperf-tiny/${name}`), "cifar10/test_images.npy"].find(
  (path) => !existsSync(at(path)),
);
if (missing) console.log(`skipped: conversion of MLPerf Tiny's models: no ${at(missing)}`);

const fileSource = (path: string) => bytesSource(new Uint8Array(readFileSync(at(path))));

const float = ({ data, dtype }: NDArray): Float32Array => floatsOf(data, dtype);
const first = (outputs: Readonly<Record<string, NDArray>>): NDArray => Object.values(outputs)[0]!;

async function loaded(name: string): Promise<{ tflite: Model; converted: Converted; onnx: Model }> {
  const tflite = await readTflite(fileSource(`mlperf-tiny/${name}_float.tflite`));
  const onnx = await readOnnx(fileSource(`mlperf-tiny/${name}.onnx`));
  return { tflite, converted: await tfliteToOnnx(tflite), onnx };
}

/** float32 carries 144 dB; sums of up to some thousand products in another order, layer after layer, cost some 30. */
const ROUNDING_DB = 100;

test.skipIf(missing)(
  "ResNet-8 computes what TFLite's file and another ONNX export of it do, for all 846 images",
  async () => {
    const { tflite, converted, onnx } = await loaded("resnet8");
    expect(transposes(converted)).toBe(1);
    expect(opsOf(converted.model)[0]).toBe("Transpose");
    const [input] = converted.model.graph.inputs;
    expect(input).toEqual({ name: tflite.graph.inputs[0]!.name, dtype: "float32", shape: ["N", 32, 32, 3] });
    const images = await openDataset(at("cifar10/test_images.npy"), converted.model.graph.inputs, {});
    let [own, others]: [Hits, Hits] = [noHits, noHits];
    let [near, far] = [noErrors, noErrors];
    for await (const feeds of images.batches(141)) {
      const found = float(first(await run(converted.model, feeds, "all")));
      const expected = float(first(await runTflite(tflite, feeds)));
      const renamed: Feeds = { [onnx.graph.inputs[0]!.name]: Object.values(feeds)[0]! };
      const export_ = float(first(await run(onnx, renamed, "all")));
      [own, others] = [addAgreement(own, expected, found, 10), addAgreement(others, export_, found, 10)];
      [near, far] = [addErrors(near, expected, found), addErrors(far, export_, found)];
    }
    console.log(`ResNet-8: ${sqnr(near).toFixed(1)} dB from LiteRT, ${sqnr(far).toFixed(1)} dB from resnet8.onnx`);
    expect([own, others]).toEqual([
      { count: 846, hits: 846 },
      { count: 846, hits: 846 },
    ]);
    expect(sqnr(near)).toBeGreaterThan(ROUNDING_DB);
    expect(sqnr(far)).toBeGreaterThan(ROUNDING_DB);
  },
);

/** A window is five frames of 128 bands in a row. */
async function windows(): Promise<NDArray> {
  const [frames, bands] = [5, 128];
  const { shape, data } = await readNpy(fileSource("mlperf-tiny/ad01_spectrogram.npy"), "spectrogram");
  const count = shape[0]! - frames + 1;
  const out = new Float32Array(count * frames * bands);
  for (let i = 0; i < count; i++)
    out.set((data as Float32Array).subarray(i * bands, (i + frames) * bands), i * frames * bands);
  return { dtype: "float32", shape: [count, frames * bands], data: out };
}

test.skipIf(missing)("the autoencoder computes what TFLite's file and another ONNX export of it do", async () => {
  const { tflite, converted, onnx } = await loaded("ad01");
  expect(opsOf(converted.model).every((op) => op === "Gemm" || op === "Relu")).toBe(true);
  const input_1 = await windows();
  const found = float(first(await run(converted.model, { input_1 })));
  const near = addErrors(noErrors, float(first(await runTflite(tflite, { input_1 }))), found);
  const renamed: Feeds = { [onnx.graph.inputs[0]!.name]: input_1 };
  const far = addErrors(noErrors, float(first(await run(onnx, renamed))), found);
  console.log(`ad01: ${sqnr(near).toFixed(1)} dB from LiteRT, ${sqnr(far).toFixed(1)} dB from ad01.onnx`);
  expect(sqnr(near)).toBeGreaterThan(ROUNDING_DB);
  expect(sqnr(far)).toBeGreaterThan(ROUNDING_DB);
});

test.skipIf(missing)("every weight goes back to what it was", async () => {
  const { tflite, converted } = await loaded("resnet8");
  const { tensors } = converted.model.graph;
  const weights = [...tflite.graph.tensors.values()].filter(({ dtype }) => dtype === "float32");
  expect([...converted.origins.values()].map(({ tensor }) => tensor).toSorted()).toEqual(
    weights.map(({ name }) => name).toSorted(),
  );
  for (const [name, origin] of converted.origins) {
    const [before, after] = [tflite.graph.tensors.get(origin.tensor)!, toTflite(tensors.get(name)!, origin)];
    expect([after.name, after.dtype, after.shape]).toEqual([before.name, before.dtype, before.shape]);
    expect(Buffer.compare(await readAll(after.data), await readAll(before.data)), name).toBe(0);
  }
});
