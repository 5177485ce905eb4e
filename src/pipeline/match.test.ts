import { expect, test } from "vitest";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { run } from "../passes/same-outputs.case.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { calibratePlan, planFor } from "./make.ts";
import { matchMoments } from "./match.ts";
import { noHooks } from "./progress.ts";
import { memoryDataset } from "./samples.ts";
import { fakeModel, type Point, startingGrids } from "./starting-grids.ts";
import { smallHost, smallModel, spiral } from "./train/small.case.ts";

const host = await smallHost();
const x: NDArray = { dtype: "float32", shape: [120, 2], data: spiral(120).x };
const samples = memoryDataset(smallModel(), { x });

const momentsAt = async (model: Model, feeds: Feeds, op: string, index: number) => {
  const name = model.graph.nodes.filter((node) => node.op === op)[index]!.outputs[0]!;
  const tapped = { ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, { name }] } };
  const { data, shape } = (await run(tapped, feeds))[name]!;
  const columns = Array.from({ length: shape[1]! }, (_, c) =>
    (data as Float32Array).filter((_, i) => i % shape[1]! === c),
  );
  return columns.map((values) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    return { mean, spread };
  });
};

test("after matching, the layers of a model of 2 bits have the means and spreads of the float model, and the same codes", async () => {
  const scheme = { ...schemeNamed("w2a8"), opset: 25 };
  const { prepared, plan } = await planFor(smallModel(), plainRecipe(scheme), host, samples);
  const stats = await calibratePlan(host, prepared, plan, samples);
  const start: Point = { model: prepared, grids: await startingGrids(prepared, plan, stats) };
  const { point: matched } = await matchMoments(host, start, plan, samples, noHooks);
  for (const layer of [0, 1]) {
    const expected = await momentsAt(prepared, { x }, "Gemm", layer);
    const found = await momentsAt(fakeModel(matched, plan), { x }, "Gemm", layer);
    for (const [c, { mean, spread }] of expected.entries()) {
      // biases lie on steps of the products
      expect(found[c]!.mean).toBeCloseTo(mean, 1);
      // so do those of the layer in front, which the correction is computed without
      expect(found[c]!.spread / spread).toBeCloseTo(1, 2);
    }
  }
  for (const [entry, { scale }] of matched.grids.weights)
    expect(scale).not.toEqual(start.grids.weights.get(entry)!.scale);
});

test("a model of single samples is matched on as many samples as one of any batch", async () => {
  const scheme = { ...schemeNamed("w2a8"), opset: 25 };
  const scales = [];
  for (const model of [smallModel(), smallModel(1)]) {
    const seen = memoryDataset(model, { x });
    const { prepared, plan } = await planFor(model, plainRecipe(scheme), host, seen);
    const stats = await calibratePlan(host, prepared, plan, seen);
    const start: Point = { model: prepared, grids: await startingGrids(prepared, plan, stats) };
    const { point, layers } = await matchMoments(host, start, plan, seen, noHooks);
    expect(layers).toBe(2);
    expect(point.model.graph.inputs).toBe(prepared.graph.inputs);
    scales.push([...point.grids.weights.values()].map(({ scale }) => scale));
  }
  expect(scales[1]).toEqual(scales[0]);
});
