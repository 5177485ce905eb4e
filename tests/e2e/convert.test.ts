/** fewbit convert as a person uses it: a TFLite file becomes ONNX, is compared with the original, and can be trained. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readOnnx } from "../../src/containers/onnx/index.ts";
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../../src/ir/build.ts";
import type { Model, NDArray, Tensor } from "../../src/ir/model.ts";
import { bytesSource } from "../../src/ir/source.ts";
import { fewbit, fewbitJson, indices, listing, refused, samples, saved, savedArray, workspace } from "./cli.case.ts";

const CLASSES = 3;
const COUNT = 48;

const random = (name: string, shape: readonly number[], seed: number): Tensor => {
  const data = samples(shape, seed).data as Float32Array;
  return floatTensor(
    name,
    shape,
    data.map((value) => value / 2),
  );
};

/** Convolution, pool, dense layer and Softmax over images of 8 x 8 x 2, as Keras writes them; `op` stands before the end. */
function network(op = "RESHAPE"): Model {
  const v = (name: string, ...shape: readonly number[]) => valueInfo(name, "float32", shape);
  const window = { padding: "SAME", stride_h: 2, stride_w: 2 };
  return tfliteModel({
    inputs: [v("image:0", 1, 8, 8, 2)],
    outputs: [v("scores", 1, CLASSES)],
    nodes: [
      node("CONV_2D", ["image:0", "conv/w", "conv/b"], ["a"], {
        attributes: { ...window, fused_activation_function: "RELU" },
      }),
      node("MAX_POOL_2D", ["a"], ["b"], { attributes: { ...window, filter_height: 2, filter_width: 2 } }),
      node(op, ["b", "flat"], ["c"]),
      node("FULLY_CONNECTED", ["c", "dense/w", "dense/b"], ["d"]),
      node("SOFTMAX", ["d"], ["scores"], { attributes: { beta: float(1) } }),
    ],
    values: [v("a", 1, 4, 4, 6), v("b", 1, 2, 2, 6), v("c", 1, 24), v("d", 1, CLASSES)],
    tensors: [
      random("conv/w", [6, 3, 3, 2], 1),
      random("conv/b", [6], 2),
      random("dense/w", [CLASSES, 24], 3),
      random("dense/b", [CLASSES], 4),
      tensor("flat", "int32", [2], Int32Array.of(-1, 24)),
    ],
  });
}

async function place() {
  const folder = await workspace();
  const model = await saved(folder, network(), "model.tflite");
  const images: NDArray = samples([COUNT, 8, 8, 2]);
  const data = await savedArray(folder, "images.npy", images);
  return { folder, model, data, out: join(folder, "made", "model.onnx") };
}

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

  it("happens by itself where a TFLite model is trained", async () => {
    const { folder, model, data } = await place();
    const labels = await savedArray(folder, "labels.npy", indices([COUNT], CLASSES));
    const argv = [
      "train",
      model,
      "--data",
      data,
      "--labels",
      labels,
      "--mode",
      "float",
      "--epochs",
      "1",
      "--no-report",
    ];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    expect(json.output).toMatch(/model\.trained\.onnx$/);
    expect(json.model.name).toBe("model.tflite");
    expect(Object.keys(await listing(folder)).toSorted()).toEqual([
      "images.npy",
      "labels.npy",
      "model.tflite",
      "model.trained.onnx",
    ]);
  });

  it("also where it is trained for a scheme", async () => {
    const { folder, model, data } = await place();
    const out = join(folder, "small.onnx");
    const argv = ["train", model, "--data", data, "-s", "w4a4", "--epochs", "1", "-o", out, "--no-report"];
    const { code, json, stderr } = await fewbitJson(argv);
    expect(code, stderr).toBe(0);
    expect(json.integerShare).toBe(1);
    expect(Object.keys(await listing(folder)).toSorted()).toEqual(["images.npy", "model.tflite", "small.onnx"]);
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
