/** fewbit train on TFLite models as a person uses it: they learn in ONNX, and come back as TFLite unless told. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTflite } from "../../src/containers/tflite/index.ts";
import { bytesSource } from "../../src/ir/source.ts";
import { fewbitJson, indices, listing, refused, savedArray } from "./cli.case.ts";
import { CLASSES, COUNT, place } from "./tflite.case.ts";

const opened = async (path: string) => readTflite(bytesSource(await readFile(path)));

describe("fewbit train model.tflite", () => {
  it("writes TFLite with weights of 4 bits that were trained for them", async () => {
    const { folder, model, data } = await place();
    const out = join(folder, "small.tflite");
    const argv = ["train", model, "--data", data, "-s", "w4a8", "--epochs", "2", "-o", out, "--no-report"];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    expect(json.model.name).toBe("model.tflite");
    expect(json.integerShare).toBe(1);
    expect(json.training.steps).toBeGreaterThan(0);
    expect(JSON.stringify(json.findings)).toMatch(/as the model did while it was trained/);
    const { graph } = await opened(out);
    expect(graph.tensors.get("conv/w")!.dtype).toBe("int4");
    expect(graph.tensors.get("dense/w")!.dtype).toBe("int4");
    expect(graph.nodes.map(({ op }) => op)).toEqual([
      ...["QUANTIZE", "CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX", "DEQUANTIZE"],
    ]);
    expect(Object.keys(await listing(folder)).toSorted()).toEqual(["images.npy", "model.tflite", "small.tflite"]);
  });

  it("fine-tunes in floats, beside the model without a name", async () => {
    const { folder, model, data } = await place();
    const labels = await savedArray(folder, "labels.npy", indices([COUNT], CLASSES));
    const argv = ["train", model, "--data", data, "--labels", labels, "--epochs", "2", "--rate", "0.05", "--no-report"];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    expect(json.output).toMatch(/model\.trained\.tflite$/);
    const before = await opened(model);
    const after = await opened(join(folder, "model.trained.tflite"));
    expect(after.graph.nodes.map(({ op }) => op)).toEqual(before.graph.nodes.map(({ op }) => op));
    expect([...after.graph.tensors.keys()].toSorted()).toEqual([...before.graph.tensors.keys()].toSorted());
  });

  it("writes ONNX where the output is called so", async () => {
    const { folder, model, data } = await place();
    const out = join(folder, "small.onnx");
    const argv = ["train", model, "--data", data, "-s", "w4a4", "--epochs", "1", "-o", out, "--no-report"];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    expect(json.integerShare).toBe(1);
    expect(Object.keys(await listing(folder)).toSorted()).toEqual(["images.npy", "model.tflite", "small.onnx"]);
  });

  it("refuses other endings, schemes that are not for TFLite, and training in integers", async () => {
    const { folder, model, data } = await place();
    const argv = (...more: readonly string[]) => ["train", model, "--data", data, "--epochs", "1", ...more];
    const odd = join(folder, "small.bin");
    await refused(
      folder,
      argv("-s", "w4a8", "-o", odd),
      2,
      /model\.tflite is trained to a file that ends in \.tflite or \.onnx/,
    );
    await refused(folder, argv("-s", "w4a4"), 2, /scheme w4a4 is not for TFLite models/);
    await refused(
      folder,
      argv("-s", "w8a8", "--mode", "low-precision"),
      2,
      /makes ONNX models; give the output a name/,
    );
    await refused(folder, argv("-s", "fp16"), 2, /scheme fp16 has no codes to train for/);
  });
});
