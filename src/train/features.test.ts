import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { withGraph, withTensors } from "../ir/edit.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { run } from "../passes/same-outputs.case.ts";
import { withFeatureLoss } from "./features.ts";
import { TOLERANCE } from "./gradcheck.case.ts";
import { gradientGraph } from "./gradient.ts";
import { withLoss } from "./losses.ts";

const { normal } = rng(6);
const numbers = (count: number) => Array.from({ length: count }, normal);
const array = (): NDArray => ({ dtype: "float32", shape: [2, 3], data: Float32Array.from(numbers(6)) });
const WEIGHTS = new Map(["w1", "w2"].map((name) => [name, numbers(9)]));

/** Two products with a bend between them. */
const networkWith = (weights: ReadonlyMap<string, readonly number[]>): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", 3])],
    outputs: [valueInfo("y", "float32", ["batch", 3])],
    nodes: [node("MatMul", ["x", "w1"], ["m"]), node("Tanh", ["m"], ["a"]), node("MatMul", ["a", "w2"], ["y"])],
    tensors: [...weights].map(([name, values]) => floatTensor(name, [3, 3], values)),
  });

const network = networkWith(WEIGHTS);
const VALUES = ["m", "a"];
const WEIGHT = 1.5;
const featured = withFeatureLoss(withLoss(network, { kind: "mse" }), VALUES, WEIGHT);
const feeds: Feeds = { x: array(), target: array(), "feature/m": array(), "feature/a": array() };

/** Sum of squared differences. */
const squares = (a: NDArray, b?: NDArray): number =>
  Array.from(a.data, Number).reduce((sum, value, at) => sum + (value - Number(b?.data[at] ?? 0)) ** 2, 0);

test("the loss is that at the output plus a weight times the mean relative error of values inside", async () => {
  expect(featured.features).toEqual(new Map(VALUES.map((name) => [name, `feature/${name}`])));
  const tapped = withGraph(network, { ...network.graph, outputs: ["y", ...VALUES].map((name) => ({ name })) });
  const made = await run(tapped, { x: feeds.x! });
  const relative = VALUES.map(
    (name) => squares(made[name]!, feeds[`feature/${name}`]) / squares(feeds[`feature/${name}`]!),
  );
  const expected = squares(made.y!, feeds.target) / 6 + (WEIGHT * (relative[0]! + relative[1]!)) / 2;
  // float32 roundings of a few numbers of size one
  expect((await run(featured.model, feeds))[featured.loss]!.data[0]).toBeCloseTo(expected, 4);
});

test("gradients of both reach the weights, through the values that are compared", async () => {
  const found = await run(gradientGraph(featured.model, featured.loss, [...WEIGHTS.keys()]), feeds);
  const lossAt = async (name: string, at: number, step: number) => {
    const values = WEIGHTS.get(name)!.map((value, index) => (index === at ? value + step : value));
    const moved = withTensors(featured.model.graph, [floatTensor(name, [3, 3], values)]);
    return Number((await run(withGraph(featured.model, moved), feeds))[featured.loss]!.data[0]);
  };
  // with a loss of about ten, rounded to 1e-6, and gradients of about one
  const STEP = 1e-2;
  for (const name of WEIGHTS.keys()) {
    const gradient = Array.from(found[`grad/${name}`]!.data, Number);
    const largest = Math.max(...gradient.map(Math.abs));
    for (const [at, value] of gradient.entries()) {
      const difference = ((await lossAt(name, at, STEP)) - (await lossAt(name, at, -STEP))) / (2 * STEP);
      expect(Math.abs(value - difference) / largest, `${name} ${at}`).toBeLessThan(TOLERANCE.float32);
    }
  }
});
