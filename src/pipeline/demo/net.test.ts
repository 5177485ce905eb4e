import { expect, test } from "vitest";
import { assertLegal } from "../../ir/check.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { drawnData } from "./data.ts";
import { drawCharacters } from "./draw.ts";
import { charactersNet } from "./net.ts";

test("the network has 112,426 weights and gives 26 scores an image", async () => {
  const { model, parameters } = charactersNet(1);
  const sizes = parameters.map((name) => elementCount(model.graph.tensors.get(name)!.shape));
  expect(sizes.reduce((a, b) => a + b)).toBe(112_426);
  const { images } = drawCharacters({ seed: 1, count: 3 });
  const { logits } = await run(assertLegal(model), { image: images });
  expect(logits!.shape).toEqual([3, 26]);
});

test("drawn data gives the same character for the same number, in whatever batch", async () => {
  const data = drawnData(500, 10);
  const [batch, single] = [await data.rows([3, 7]), drawCharacters({ seed: 507, count: 1 })];
  expect(batch.image!.shape).toEqual([2, 1, 32, 32]);
  expect(batch.image!.data.slice(1024)).toEqual(single.images.data);
  expect(batch.labels!.data[1]).toBe(BigInt(single.labels[0]!));
});
