import { expect, test } from "vitest";
import { encodeOnnx, readOnnx } from "../../containers/onnx/index.ts";
import { memoryData } from "../../containers/training-data.ts";
import { valueInfo } from "../../ir/build.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import { bytesSource } from "../../ir/source.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel } from "../../passes/same-outputs.case.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import {
  batchNorm,
  buildModel,
  conv,
  dense,
  globalAveragePool,
  he,
  relu,
  sequential,
} from "../../train/layers/index.ts";
import { memoryDataset } from "../samples.ts";
import { type LowPrecisionTraining, lowPrecision } from "./low-precision.ts";
import { smallHost, spiral } from "./small.case.ts";

const host = await smallHost();

const COUNT = 480;
const points = (seed: number) => {
  const { x, labels } = spiral(COUNT, seed);
  return { x: { dtype: "float32", shape: [COUNT, 2], data: x } satisfies NDArray, labels };
};
const [shown, asked] = [points(1), points(2)];

const hidden = (units: number) => dense(units, { init: he });
const net = (norm: boolean, batch: number | string = "batch"): Model => {
  const layers = [hidden(48), ...(norm ? [batchNorm()] : []), relu, hidden(48), ...(norm ? [batchNorm()] : []), relu];
  const inputs = [valueInfo("x", "float32", [batch, 2])];
  return buildModel({ inputs, outputs: ["scores"], seed: 4 }, sequential(...layers, dense(3))).model;
};

const training = (changes: Partial<LowPrecisionTraining> = {}): LowPrecisionTraining => ({
  data: memoryData({
    x: shown.x,
    labels: { dtype: "int64", shape: [COUNT], data: BigInt64Array.from(shown.labels, BigInt) },
  }),
  ...{ epochs: 16, batch: 40, seed: 1, schedule: { kind: "cosine", rate: 0.01 } },
  ...changes,
});

async function made(scheme: string, model: Model, changes: Partial<LowPrecisionTraining> = {}) {
  const found = await lowPrecision(host, {
    ...{ model, digest: "", name: "spiral.onnx", random: false, recipe: plainRecipe(schemeNamed(scheme)) },
    reference: { name: "spiral", place: { bytes: await bytesOfModel(model) }, size: encodeOnnx(model).main.size },
    calibration: memoryDataset(model, { x: shown.x }),
    evaluation: { data: memoryDataset(model, { x: asked.x }), labels: asked.labels, metrics: [] },
    training: training(changes),
  });
  const { place } = found.staged;
  const file = await readOnnx(bytesSource("bytes" in place ? place.bytes : new Uint8Array()));
  await found.staged[Symbol.asyncDispose]();
  return { ...found, file };
}

test.each([
  ["w8a8-dynamic", "int8", 0.9],
  ["w8a8", "int8", 0.9],
  ["w4a8", "int4", 0.85],
  ["w2a8", "int2", 0.7],
  ["w1.58a8", "int2", 0.7],
] as const)(
  "%s: learns from random weights, and the %s codes in the file do what was trained",
  async (scheme, stored, right) => {
    const { verified, trained, losses, file, plan, products } = await made(scheme, net(false));
    expect(products.integer).toHaveLength(2);
    expect(products.kept).toHaveLength(1);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
    expect(verified.metrics.top1!.before).toBeLessThan(0.6);
    expect(verified.metrics.top1!.after).toBeGreaterThan(right);
    // Ranges of activations: found in each batch while training, once for all in the file of a static scheme.
    expect(trained.agreement).toBeGreaterThanOrEqual(scheme === "w8a8-dynamic" ? 1 : 0.99);
    expect(plan.nodes.filter(({ weight }) => weight?.qparams !== undefined)).toHaveLength(2);
    const matrices = [...file.graph.tensors.values()].filter(({ shape }) => shape.length === 2);
    expect(matrices.map(({ dtype }) => dtype).sort()).toEqual(["float32", stored, stored].sort());
  },
);

test("batch normalizations learn with the rest and are folded into the codes' scales in the file", async () => {
  const { verified, trained } = await made("w1.58a8", net(true));
  expect(verified.metrics.top1!.after).toBeGreaterThan(0.8);
  expect(trained.agreement).toBeGreaterThanOrEqual(0.98);
});

/** Stripes in one of two directions, in noise. */
function stripes(count: number, seed: number) {
  const { normal, uniform } = rng(seed);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  const data = new Float32Array(count * 64);
  for (let i = 0; i < count; i++) {
    const phase = 6 * uniform();
    for (let at = 0; at < 64; at++)
      data[i * 64 + at] = Math.sin(2 * (labels[i] === 0 ? at % 8 : at >> 3) + phase) + 0.5 * normal();
  }
  return { x: { dtype: "float32", shape: [count, 1, 8, 8], data } satisfies NDArray, labels };
}

test("convolutions train in integers, where they see enough, and keep their codes in the file", async () => {
  const block = () => sequential(conv(8, { bias: false, init: he }), batchNorm(), relu);
  const layers = sequential(block(), block(), block(), globalAveragePool, dense(2));
  const { model } = buildModel(
    { inputs: [valueInfo("x", "float32", ["batch", 1, 8, 8])], outputs: ["y"], seed: 2 },
    layers,
  );
  const [learned, other] = [stripes(160, 1), stripes(160, 2)];
  const labels: NDArray = { dtype: "int64", shape: [160], data: BigInt64Array.from(learned.labels, BigInt) };
  const frozen = model.graph.nodes.filter(({ op }) => op === "Conv")[2]!.inputs[1]!;
  const input = {
    ...{ model, digest: "", name: "stripes.onnx", random: false, recipe: plainRecipe(schemeNamed("w8a8")) },
    reference: { name: "stripes", place: { bytes: await bytesOfModel(model) }, size: encodeOnnx(model).main.size },
    calibration: memoryDataset(model, { x: learned.x }),
    evaluation: { data: memoryDataset(model, { x: other.x }), labels: other.labels, metrics: [] },
  };
  const settings = training({ data: memoryData({ x: learned.x, labels }), epochs: 5, batch: 20, decay: 1e-4, clip: 5 });
  const found = await lowPrecision(host, { ...input, training: { ...settings, freeze: (name) => name === frozen } });
  await found.staged[Symbol.asyncDispose]();
  expect(found.products.integer).toHaveLength(1);
  expect(found.products.kept.map(({ reason }) => reason)).toEqual([
    "its windows see fewer than 32 values, which is slower in integers",
    "kept in float32",
  ]);
  expect(found.verified.metrics.top1!.after).toBeGreaterThan(0.9);
  expect(found.trained.agreement).toBeGreaterThanOrEqual(0.98);
  expect(found.plan.kept.some(({ reason }) => reason === "it was trained in float32")).toBe(true);
});

test("the same seed gives the same losses, rounding at random included", async () => {
  // Enough steps for several of them in one run of the engine.
  const short = { epochs: 6 };
  const [one, other] = [await made("w8a8-dynamic", net(false), short), await made("w8a8-dynamic", net(false), short)];
  expect(one.losses).toEqual(other.losses);
  const another = await made("w8a8-dynamic", net(false), { ...short, epochs: 1, seed: 2 });
  expect(another.losses[0]).not.toBe(one.losses[0]);
});

test("a scheme with other activations than those of 8 bits is refused", async () => {
  await expect(made("w4a4", net(false))).rejects.toThrow(/scheme w4a4 is none of these, use w8a8,/);
  await expect(made("fp16", net(false))).rejects.toThrow(/scheme fp16 is none of these/);
});

test("a model of single samples learns in batches, as one of any batch does, and takes single samples in the end", async () => {
  const short = { epochs: 1 };
  const [open, single] = [await made("w8a8", net(true), short), await made("w8a8", net(true, 1), short)];
  expect(single.losses).toEqual(open.losses);
  expect(single.file.graph.inputs.map(({ shape }) => shape)).toEqual([[1, 2]]);
});
