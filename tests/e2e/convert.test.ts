/** fewbit convert as a person uses it: a TFLite file becomes ONNX, is compared with the original, and can be trained. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readOnnx } from "../../src/containers/onnx/index.ts";
import { bytesSource } from "../../src/ir/source.ts";
import { fewbit, fewbitJson, indices, refused, saved, savedArray } from "./cli.case.ts";
import { CLASSES, COUNT, network, place } from "./tflite.case.ts";

describe("fewbit convert", () => {
  it("writes a TFLite model as ONNX that computes the same, for any number of samples", async () => {
    const { model, data, out } = await place();
    const { code, json, stderr } = await fewbitJson(["convert", model, "-o", out, "--data", data]);
    expect(code, stderr).toBe(0);
    expect(json).toMatchObject({
      kind: "convert",
      openBatch: true,
      findings: [],
      evaluation: { samples: COUNT, random: false },
    });
    expect(json.files).toHaveLength(1);
    const onnx = await readOnnx(bytesSource(await readFile(out)));
    expect(onnx.graph.inputs).toMatchObject([{ name: "image:0", shape: ["N", 8, 8, 2] }]);
    expect([...onnx.graph.tensors.keys()]).toEqual(expect.arrayContaining(["conv/w", "conv/b", "dense/w", "dense/b"]));
  });

  it("says on what it was checked, also when nobody gave samples", async () => {
    const { model, out } = await place();
    const { code, stdout } = await fewbit(["convert", model, "-o", out]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/model\.tflite on litert .* and the converted model on ort-\w+ .*, 4 samples/);
    expect(stdout).toMatch(/5 nodes became \d+; any number of samples at once/);
    expect(stdout).toMatch(/made-up inputs -> give real ones with --data/);
    expect(stdout).toMatch(/wrote .*model\.onnx/);
  });

  it("gives a model that learns", async () => {
    const { folder, model, data, out } = await place();
    await fewbit(["convert", model, "-o", out, "--data", data]);
    const labels = await savedArray(folder, "labels.npy", indices([COUNT], CLASSES));
    const trained = join(folder, "trained.onnx");
    const training = ["--mode", "float", "--epochs", "4", "--batch", "16", "--rate", "0.05"];
    const argv = ["train", out, "--data", data, "--labels", labels, ...training, "-o", trained, "--no-report"];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    const { losses } = json.training;
    expect(losses.at(-1)).toBeLessThan(losses[0]);
  });

  it("refuses what it can't convert, by name, and leaves nothing behind", async () => {
    const { folder, model, out } = await place();
    const strange = await saved(folder, network("REVERSE_V2"), "strange.tflite");
    await refused(folder, ["convert", strange, "-o", out], 1, /node "c" \(REVERSE_V2\): this op can't be converted/);
    await refused(
      folder,
      ["convert", model, "-o", join(folder, "copy.tflite")],
      1,
      /convert writes TFLite models as ONNX/,
    );
    await refused(folder, ["convert", model], 2, /name it with -o/);
    await refused(folder, ["convert", model, "-o", model], 1, /to a file that ends in \.onnx/);
    await writeFile(join(folder, "text.tflite"), "no model");
    await refused(folder, ["convert", join(folder, "text.tflite"), "-o", out], 1, /text\.tflite/);
  });
});
