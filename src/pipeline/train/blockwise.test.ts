import { expect, test } from "vitest";
import { encodeOnnx } from "../../containers/onnx/index.ts";
import { memoryData } from "../../containers/training-data.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { NDArray } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel } from "../../passes/same-outputs.case.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { memoryDataset } from "../samples.ts";
import { qat } from "./qat.ts";
import { smallHost } from "./small.case.ts";

const [COUNT, WIDTH, CAUSES] = [256, 32, 4];
const { normal } = rng(9);
const numbers = (count: number, size: number) => Float32Array.from({ length: count }, () => normal() * size);

const model = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
  outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
  nodes: [
    node("MatMul", ["x", "w1"], ["h"], { name: "first" }),
    node("Relu", ["h"], ["a"], { name: "bend" }),
    node("MatMul", ["a", "w2"], ["y"], { name: "second" }),
  ],
  tensors: ["w1", "w2"].map((name) => floatTensor(name, [WIDTH, WIDTH], numbers(WIDTH * WIDTH, 0.2))),
});

/** Inputs that a few causes explain: rounding errors of weights can make up for each other. */
function samples(): NDArray {
  const [causes, mixing] = [numbers(COUNT * CAUSES, 1), numbers(CAUSES * WIDTH, 1)];
  const data = Float32Array.from({ length: COUNT * WIDTH }, (_, at) => {
    const [row, column] = [Math.floor(at / WIDTH), at % WIDTH];
    let sum = 0;
    for (let k = 0; k < CAUSES; k++) sum += causes[row * CAUSES + k]! * mixing[k * WIDTH + column]!;
    return sum;
  });
  return { dtype: "float32", shape: [COUNT, WIDTH], data };
}

const EPOCHS = 12;
const mean = (losses: Float32Array) => losses.reduce((a, b) => a + b, 0) / losses.length;

test.each([
  ["blocks that learn for themselves", { blockwise: 1 }],
  ["a network that learns its blocks' values too", { features: 1 }],
])("%s: closer to the float model's values, without labels", async (_, how) => {
  const x = samples();
  const data = memoryDataset(model, { x });
  const made = await qat(await smallHost(), {
    ...{ model, digest: "", name: "blocks.onnx", calibration: data, random: false },
    reference: { name: "blocks", place: { bytes: await bytesOfModel(model) }, size: encodeOnnx(model).main.size },
    recipe: plainRecipe(schemeNamed("w2a8")),
    evaluation: { data, metrics: [] },
    training: {
      data: memoryData({ x }),
      ...{ epochs: EPOCHS, batch: 32, seed: 1, ...how, schedule: { kind: "cosine", rate: 0.03 } },
    },
  });
  await made.staged[Symbol.asyncDispose]();
  const share = made.losses.length / EPOCHS;
  const [first, last] = [mean(made.losses.slice(0, share)), mean(made.losses.slice(-share))];
  expect(last).toBeLessThan(first / 2);
});
