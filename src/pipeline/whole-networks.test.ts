/** Networks as phones run them, with hard gates, means and normalizations: nothing between the products is left in float. */
import { expect, test } from "vitest";
import { encodeOnnx } from "../containers/onnx/index.ts";
import { memoryData } from "../containers/training-data.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { opTypes } from "../ir/edit.ts";
import type { Model, NDArray } from "../ir/model.ts";
import { denseCnn, gatedCnn, normalsOf } from "../ir/networks.case.ts";
import { bytesOfModel } from "../passes/same-outputs.case.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { tune } from "../recipes/tune.ts";
import { make, planFor } from "./make.ts";
import { noHooks } from "./progress.ts";
import { memoryDataset } from "./samples.ts";
import { qat } from "./train/qat.ts";
import { smallHost } from "./train/small.case.ts";

const host = await smallHost();
const normal = normalsOf(9);
const SIZE = { side: 8, channels: 16, classes: 10 };
const gated = gatedCnn(SIZE, normal);
const dense = denseCnn(SIZE, normal);
const images = (count: number): NDArray => ({
  dtype: "float32",
  shape: [count, 3, 8, 8],
  data: normal([count, 3, 8, 8]),
});
const shown = images(64);
const asked = images(64);

const inputOf = async (model: Model, scheme: string) => ({
  ...{ model, digest: "", name: "network.onnx", random: false },
  reference: { name: "network", place: { bytes: await bytesOfModel(model) }, size: encodeOnnx(model).main.size },
  recipe: plainRecipe(schemeNamed(scheme)),
  calibration: memoryDataset(model, { x: shown }),
  evaluation: { data: memoryDataset(model, { x: asked }), metrics: [] },
});

const GATED_OPS = {
  ...{ QuantizeLinear: 1, QLinearConv: 5, QLinearAdd: 3, QLinearMul: 4, QLinearGlobalAveragePool: 2 },
  ...{ Flatten: 1, QGemm: 1 },
};
const DENSE_OPS = {
  ...{ QuantizeLinear: 1, QLinearConv: 4, QLinearConcat: 1, QLinearGlobalAveragePool: 1 },
  ...{ Flatten: 1, QGemm: 1 },
};

/** Some ten roundings to 8 bits, each 40 to 50 dB below what it rounds. */
const LEAST_SQNR = 25;

test.each([
  ["gates and means", gated, GATED_OPS],
  ["normalizations behind Concat", dense, DENSE_OPS],
])("a network with %s runs in integers at 8 bits, all of it", async (_, model, expected) => {
  const { verified, staged } = await make(host, await inputOf(model, "w8a8"), noHooks);
  await staged[Symbol.asyncDispose]();
  const { Transpose: _layout, ...ops } = verified.opHistogram!.after;
  expect(ops).toEqual(expected);
  expect(verified.outputs[0]!.sqnr).toBeGreaterThan(LEAST_SQNR);
});

test.each([
  ["gates", gated, ["s1", "m", "r3", "e", "s5"]],
  ["normalizations", dense, ["r1", "r2"]],
])("with 4 bits %s keep 8, and training finds its way through them", async (_, model, expected) => {
  const training = {
    data: memoryData({ x: shown }),
    ...{ epochs: 10, batch: 16, seed: 1, schedule: { kind: "cosine", rate: 0.005 } as const },
  };
  const { losses, fake, plan, staged } = await qat(host, { ...(await inputOf(model, "w4a4")), training });
  await staged[Symbol.asyncDispose]();
  const narrow = plan.values.filter(({ scheme }) => scheme.codes !== undefined).map(({ value }) => value);
  expect(narrow).toEqual(expected);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(fake.agreement).toBe(1);
});

test("grids that can't clamp leave gates as they are", async () => {
  const opsWith = async (activations: "symmetric" | "asymmetric") => {
    const recipe = plainRecipe(tune(schemeNamed("w8a8"), { activations }));
    return opTypes((await planFor(gated, recipe, host, memoryDataset(gated, { x: shown }))).prepared);
  };
  expect(await opsWith("symmetric")).toEqual(
    new Set(["Conv", "HardSwish", "HardSigmoid", "Mul", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]),
  );
  expect(await opsWith("asymmetric")).toEqual(
    new Set(["Conv", "Add", "Clip", "Mul", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]),
  );
});

test("factors that gates leave in the products are not kept beside them", async () => {
  const recipe = plainRecipe(schemeNamed("w8a8"));
  const { graph } = (await planFor(gated, recipe, host, memoryDataset(gated, { x: shown }))).prepared;
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  expect([...graph.tensors.keys()].filter((name) => !read.has(name))).toEqual([]);
});

/** Patches of an image as rows, normalized, as Swin and ConvNeXt begin. */
const patches: Model = onnxModel(
  {
    inputs: [valueInfo("x", "float32", ["n", 3, 8, 8])],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Conv", ["x", "w1"], ["c"], { name: "patches", attributes: { strides: [2, 2] } }),
      node("Transpose", ["c"], ["t"], { attributes: { perm: [0, 2, 3, 1] } }),
      node("LayerNormalization", ["t", "gain"], ["l"]),
      node("MatMul", ["l", "w2"], ["y"], { name: "head" }),
    ],
    tensors: [
      floatTensor("w1", [16, 3, 2, 2], normal([16, 3, 2, 2], 0.3)),
      floatTensor("gain", [16], normal([16])),
      floatTensor("w2", [16, 5], normal([16, 5], 0.3)),
    ],
  },
  { opsets: { "": 21 } },
);

test.each(["w8a8", "w4a8"])(
  "what is moved behind codes of int8 and then normalized opens and runs: %s",
  async (name) => {
    const scheme = tune(schemeNamed(name), { activations: "symmetric" });
    const { verified, staged } = await make(
      host,
      { ...(await inputOf(patches, name)), recipe: plainRecipe(scheme) },
      noHooks,
    );
    await staged[Symbol.asyncDispose]();
    expect(verified.outputs[0]!.sqnr).toBeGreaterThan(name === "w8a8" ? LEAST_SQNR : 10);
  },
);
