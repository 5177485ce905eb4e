/** Networks with hard gates and means, as phones run them: nothing between the convolutions is left in float. */
import { expect, test } from "vitest";
import { encodeOnnx } from "../containers/onnx/index.ts";
import { memoryData } from "../containers/training-data.ts";
import { opTypes } from "../ir/edit.ts";
import type { NDArray } from "../ir/model.ts";
import { gatedCnn, normalsOf } from "../ir/networks.case.ts";
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
const model = gatedCnn({ side: 8, channels: 16, classes: 10 }, normal);
const images = (count: number): NDArray => ({
  dtype: "float32",
  shape: [count, 3, 8, 8],
  data: normal([count, 3, 8, 8]),
});
const bytes = await bytesOfModel(model);
const shown = images(64);

const inputOf = (scheme: string) => ({
  ...{ model, digest: "", name: "gated.onnx", random: false },
  reference: { name: "gated", place: { bytes }, size: encodeOnnx(model).main.size },
  recipe: plainRecipe(schemeNamed(scheme)),
  calibration: memoryDataset(model, { x: shown }),
  evaluation: { data: memoryDataset(model, { x: images(64) }), metrics: [] },
});

test("all of it runs in integers at 8 bits", async () => {
  const { verified, staged } = await make(host, inputOf("w8a8"), noHooks);
  await staged[Symbol.asyncDispose]();
  const { Transpose: _, ...ops } = verified.opHistogram!.after;
  expect(ops).toEqual({
    ...{ QuantizeLinear: 1, QLinearConv: 5, QLinearAdd: 3, QLinearMul: 4, QLinearGlobalAveragePool: 2 },
    ...{ Flatten: 1, QGemm: 1 },
  });
  expect(verified.outputs[0]!.sqnr).toBeGreaterThan(25);
});

test("with 4 bits the gates keep 8, and training finds its way through them", async () => {
  const training = {
    data: memoryData({ x: shown }),
    ...{ epochs: 10, batch: 16, seed: 1, schedule: { kind: "cosine", rate: 0.005 } as const },
  };
  const { losses, fake, plan, staged } = await qat(host, { ...inputOf("w4a4"), training });
  await staged[Symbol.asyncDispose]();
  const narrow = plan.values.filter(({ scheme }) => scheme.codes !== undefined).map(({ value }) => value);
  expect(narrow).toEqual(["s1", "m", "r3", "e", "s5"]);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(fake.agreement).toBe(1);
});

test("grids that can't clamp leave gates as they are", async () => {
  const opsWith = async (activations: "symmetric" | "asymmetric") => {
    const recipe = plainRecipe(tune(schemeNamed("w8a8"), { activations }));
    return opTypes((await planFor(model, recipe, host, memoryDataset(model, { x: shown }))).prepared);
  };
  expect(await opsWith("symmetric")).toEqual(
    new Set(["Conv", "HardSwish", "HardSigmoid", "Mul", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]),
  );
  expect(await opsWith("asymmetric")).toEqual(
    new Set(["Conv", "Add", "Clip", "Mul", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]),
  );
});
