import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import type { Plan } from "../../ir/plan.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { planModel } from "../../pipeline/plan.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { withLoss } from "../losses.ts";
import { sgd } from "../optimizers.ts";
import { nextOf, RATE, trainingStep } from "../step.ts";
import { withSizes } from "./sizes.ts";

/** Output channels are the columns of the first weight and the rows of the second; the third is not planned. */
const model: Model = onnxModel({
  inputs: [valueInfo("x", "float32", ["n", 2])],
  outputs: [valueInfo("y", "float32", ["n", 2])],
  nodes: [
    node("Gemm", ["x", "a"], ["h"], { name: "columns" }),
    node("Gemm", ["h", "b"], ["g"], { name: "rows", attributes: { transB: 1 } }),
    node("Add", ["g", "c"], ["y"]),
  ],
  tensors: [
    floatTensor("a", [2, 2], [3, 1, -3, -1]),
    floatTensor("b", [2, 2], [4, -4, 0, 0]),
    floatTensor("c", [2], [0, 0]),
  ],
});
const plan: Plan = planModel(model, plainRecipe(schemeNamed("w8a8")));

const floats = async ({ graph }: Model, name: string): Promise<readonly number[]> => {
  const { data, dtype } = graph.tensors.get(name)!;
  return [...decodeFloats(await readAll(data), dtype)];
};

test("the size of a planned weight is one number a channel, that of others one alone; nothing has the size 0", async () => {
  const { model: sized, sizes } = await withSizes(model, model, plan, ["a", "b", "c"]);
  const tensors = ["a", "b", "c"].map((name) => sized.graph.tensors.get(sizes.get(name)!)!);
  expect(tensors.map(({ shape }) => shape)).toEqual([[1, 2], [2, 1], []]);
  expect(await floats(sized, tensors[0]!.name)).toEqual([3, 1]);
  // a row of zeros counts as a tenth of the whole, a whole of zeros as a tenth of 1
  const all = Math.sqrt(8);
  expect(await floats(sized, tensors[1]!.name)).toEqual([4, Math.fround(0.1 * all)]);
  expect(await floats(sized, tensors[2]!.name)).toEqual([Math.fround(0.1)]);
});

test("channels move by their sizes", async () => {
  const lossy = withLoss(model, { kind: "mse" });
  const { model: sized, sizes } = await withSizes(lossy.model, model, plan, ["a"]);
  const scalar = (value: number): NDArray => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });
  const matrix = (data: readonly number[], rows: number): NDArray => ({
    dtype: "float32",
    shape: [rows, 2],
    data: Float32Array.from(data),
  });
  const moved = async (group: { rate?: string }): Promise<readonly number[]> => {
    const step = trainingStep(sized, { loss: lossy.loss, parameters: ["a"], optimizer: sgd(), group: () => group });
    const feeds = { x: matrix([1, 2], 1), [lossy.target.name]: matrix([5, 7], 1), a: matrix([3, 1, -3, -1], 2) };
    const found = (await run(assertLegal(step.model), { ...feeds, [RATE]: scalar(0.5) }))[nextOf("a")]!;
    return [3, 1, -3, -1].map((before, index) => (found.data[index] as number) - before);
  };
  const [plain, scaled] = [await moved({}), await moved({ rate: sizes.get("a")! })];
  expect(plain.some((step) => step !== 0)).toBe(true);
  expect(scaled).toEqual(plain.map((step, index) => (index % 2 === 0 ? 3 * step : step)));
});
