import { expect, test } from "vitest";
import { encodeTflite, readTflite } from "../../containers/tflite/index.ts";
import { memoryData } from "../../containers/training-data.ts";
import { float, node } from "../../ir/build.ts";
import { withGraph } from "../../ir/edit.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import { bytesSource, collect, readAll } from "../../ir/source.ts";
import { codedWeight } from "../../lowering/tflite/weights.ts";
import { nodeHost } from "../../node/host.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import type { Host, Staged } from "../host.ts";
import { memoryDataset } from "../samples.ts";
import { type FloatTraining, trainFloatTflite } from "./float.ts";
import type { QatTraining } from "./qat.ts";
import { images, network, v } from "./tflite.case.ts";
import { qatTflite } from "./tflite.ts";

const never = new AbortController().signal;
/** Without processes of their own to measure memory in, which take a second each. */
const hostOf = async (container: "tflite" | "onnx"): Promise<Host> => {
  const { footprint: _, ...host } = await nodeHost({ threads: 1 }, never, undefined, container);
  return host;
};
const [host, trainer] = [await hostOf("tflite"), await hostOf("onnx")];

const COUNT = 400;
const model = network();
const WEIGHTS = ["conv/w", "depth/w", "skip/w", "first/w", "second/w"];
const bytes = await collect(encodeTflite(model).main);
const common = (own = model) => ({
  model: own,
  digest: "",
  reference: { name: "small.tflite", place: { bytes }, size: bytes.length },
  name: "small.tflite",
  calibration: memoryDataset(model, { image: images(10, COUNT) }),
  evaluation: { data: memoryDataset(model, { image: images(11, COUNT) }), metrics: ["agreement"] },
  random: false,
});
const training = (changes: Partial<QatTraining> = {}): QatTraining => ({
  data: memoryData({ image: images(10, COUNT) }),
  ...{ epochs: 8, batch: 32, seed: 1, schedule: { kind: "cosine", rate: 0.01 } },
  ...changes,
});
const inputOf = (scheme: string, own = model) => ({
  ...common(own),
  recipe: plainRecipe(schemeNamed(scheme, "tflite")),
});

async function written(staged: Staged): Promise<Model> {
  const { place } = staged;
  if (!("path" in place)) throw new Error("expected a file");
  const { readFile } = await import("node:fs/promises");
  const read = await readTflite(bytesSource(new Uint8Array(await readFile(place.path))));
  await staged[Symbol.asyncDispose]();
  return read;
}

test("a model trained for int4 weights comes back as TFLite, and LiteRT computes what was trained", async () => {
  const made = await qatTflite(host, trainer, { ...inputOf("w4a8"), training: training() });
  const file = await written(made.staged);
  for (const name of WEIGHTS) {
    const { weight } = made.plan.nodes.find((entry) => entry.weight?.tensor === name)!;
    const stored = file.graph.tensors.get(name)!;
    expect(stored.dtype).toBe("int4");
    expect(stored.quantization!.qparams.scale).toEqual(weight!.qparams!.scale);
    const { qparams: _, ...searched } = weight!;
    const { quantization } = await codedWeight(model.graph.tensors.get(name)!, searched, name);
    expect(weight!.qparams!.scale).toHaveLength(quantization!.qparams.scale.length);
    expect(weight!.qparams!.scale).not.toEqual(quantization!.qparams.scale);
  }
  expect(made.plan.values.every(({ qparams, sameAs }) => qparams !== undefined || sameAs !== undefined)).toBe(true);
  const epoch = made.losses.length / 8;
  const mean = (losses: Float32Array) => losses.reduce((a, b) => a + b) / losses.length;
  expect(mean(made.losses.slice(-epoch))).toBeLessThan(mean(made.losses.slice(0, epoch)) / 2);
  // the kernel of LOGISTIC has this grid in the specification
  const logistic = { scale: Float32Array.of(1 / 256), zeroPoint: Int32Array.of(-128) };
  expect(file.graph.values.get("g")!.quantization!.qparams).toEqual(logistic);
  // products of fixed-point numbers round to another code here and there, which may flip a tie: 2 of 400
  expect(made.fake.agreement).toBeGreaterThanOrEqual(0.995);
});

test("a model with FAKE_QUANT keeps its grid", async () => {
  const { graph } = model;
  const [first, second, ...rest] = graph.nodes;
  const fake = node("FAKE_QUANT", ["a/raw"], ["a"], {
    attributes: { min: float(0), max: float(5.1), num_bits: 8, narrow_range: 0 },
  });
  const nodes = [{ ...first!, outputs: ["a/raw"] }, fake, second!, ...rest];
  const taught = withGraph(model, {
    ...graph,
    nodes,
    values: new Map(graph.values).set("a/raw", v("a/raw", 1, 6, 6, 8)),
  });
  const made = await qatTflite(host, trainer, {
    ...inputOf("w4a8", taught),
    training: training({ epochs: 1, features: 1 }),
  });
  const file = await written(made.staged);
  const grids = [...file.graph.values.values()].map(({ quantization }) => quantization?.qparams);
  expect(grids).toContainEqual({ scale: Float32Array.of(0.02), zeroPoint: Int32Array.of(-128) });
});

test("schemes of weights alone are trained too; one without codes is refused", async () => {
  const made = await qatTflite(host, trainer, { ...inputOf("w4"), training: training({ epochs: 2, features: 1 }) });
  await made.staged[Symbol.asyncDispose]();
  expect(made.plan.values).toEqual([]);
  expect(made.plan.nodes.every(({ weight }) => weight?.qparams !== undefined)).toBe(true);
  // float sums in another order
  expect(made.fake.agreement).toBeGreaterThanOrEqual(0.995);
  await expect(qatTflite(host, trainer, { ...inputOf("fp16"), training: training() })).rejects.toThrow(
    /scheme fp16 has no codes to train for/,
  );
});

test("a model that is trained in floats keeps its form; its weights alone are new", async () => {
  const labels = {
    dtype: "int64",
    shape: [COUNT],
    data: BigInt64Array.from({ length: COUNT }, (_, i) => BigInt(i % 4)),
  };
  const settings: FloatTraining = {
    ...training({ epochs: 2 }),
    data: memoryData({ image: images(10, COUNT), labels: labels as NDArray }),
    loss: { kind: "cross-entropy" },
  };
  const made = await trainFloatTflite(host, trainer, { ...common(), training: settings });
  const { graph } = await written(made.staged);
  expect(graph.nodes.map(({ op }) => op)).toEqual(model.graph.nodes.map(({ op }) => op));
  for (const name of WEIGHTS) {
    const [before, after] = [model.graph.tensors.get(name)!, graph.tensors.get(name)!];
    expect([after.dtype, after.shape]).toEqual([before.dtype, before.shape]);
    expect(await readAll(after.data)).not.toEqual(await readAll(before.data));
  }
  expect(made.verified.agreement).toBeLessThan(1);
});
