import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { planModel } from "./plan.ts";
import { startingGrids } from "./starting-grids.ts";

test("scales start above zero where a grid was turned around or a group holds zeros", async () => {
  // Rows of 32, a group each: the largest magnitude of the first is positive, which turns a symmetric grid around.
  const values = Array.from({ length: 4 * 32 }, (_, at) => (at < 32 ? (at % 5) / 4 : at < 64 ? 0 : -((at % 7) / 6)));
  const model = onnxModel({
    inputs: [valueInfo("ids", "int64", ["batch"])],
    outputs: [valueInfo("y", "float32", ["batch", 32])],
    nodes: [node("Gather", ["table", "ids"], ["y"])],
    tensors: [floatTensor("table", [4, 32], values)],
  });
  const plan = planModel(model, plainRecipe(schemeNamed("w8")));
  const { weights } = await startingGrids(model, plan, undefined);
  const [found] = [...weights.values()];
  expect(found!.scale).toHaveLength(4);
  for (const scale of found!.scale) expect(scale).toBeGreaterThan(0);
  expect(Math.max(...found!.scale)).toBeLessThan(0.02);
});
