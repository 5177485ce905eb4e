import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { run } from "../passes/same-outputs.case.ts";
import { blockOutputs, imitatedEnds, withBlockLoss } from "./blocks.ts";
import { expand } from "./expand.ts";
import { gradientGraph } from "./gradient.ts";
import { TRAINING_OPS } from "./ops/index.ts";

const { normal } = rng(4);
const numbers = (count: number) => Array.from({ length: count }, normal);
const matrix = (name: string) => floatTensor(name, [3, 3], numbers(9));
const array = (values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape: [2, 3],
  data: Float32Array.from(values),
});

/** x -> a (Relu of a product) -> a residual block -> scores -> Softmax. */
const network: Model = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", 3])],
  outputs: [valueInfo("y", "float32", ["batch", 3])],
  nodes: [
    node("MatMul", ["x", "w1"], ["m1"]),
    node("Relu", ["m1"], ["a"]),
    node("MatMul", ["a", "w2"], ["m2"]),
    node("Tanh", ["m2"], ["t"]),
    node("MatMul", ["t", "w3"], ["m3"]),
    node("Add", ["m3", "a"], ["sum"]),
    node("MatMul", ["sum", "w4"], ["scores"]),
    node("Softmax", ["scores"], ["y"]),
  ],
  tensors: [matrix("w1"), matrix("w2"), matrix("w3"), matrix("w4")],
});

test("a block ends where one value alone goes on, and holds weights", () => {
  expect(blockOutputs(network.graph)).toEqual(["m1", "sum", "scores"]);
});

test("ends that are imitated: those the model makes in front of its scores, not the first where there are others", () => {
  expect(imitatedEnds(network, ["m1", "elsewhere", "sum", "scores"])).toEqual(["sum"]);
  expect(imitatedEnds(network, ["m1", "scores"])).toEqual(["m1"]);
  expect(() => imitatedEnds(network, ["scores"])).toThrow("train without features");
});

/** Relative squared error as the loss counts it. */
const relative = (found: NDArray, target: NDArray): number => {
  const [a, b] = [[...found.data], [...target.data]] as [number[], number[]];
  const square = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0);
  return square(a.map((value, at) => value - b[at]!)) / square(b);
};

test("the loss is the relative error of every block's output, and no gradient crosses a block's end", async () => {
  const values = ["a", "sum"];
  const blocks = withBlockLoss(network, values);
  expect(blocks.values).toEqual(["a", "sum", "scores"]);
  expect(blocks.targets.map(({ name }) => name)).toEqual(["block/a", "block/sum", "block/scores"]);
  const feeds: Feeds = {
    x: array(numbers(6)),
    ...Object.fromEntries(blocks.targets.map(({ name }) => [name, array(numbers(6))])),
  };
  const tapped = { ...network.graph, outputs: blocks.values.map((name) => valueInfo(name, "float32")) };
  const made = await run({ ...network, graph: tapped }, { x: feeds.x! });
  const errors = blocks.values.map((name) => relative(made[name]!, feeds[`block/${name}`]!));
  const wrt = ["w1", "w2", "w4"];
  const found = await run(expand(gradientGraph(blocks.model, "loss", wrt), TRAINING_OPS), feeds);
  expect(found.loss!.data[0]).toBeCloseTo(
    errors.reduce((a, b) => a + b, 0),
    4,
  );
  // w1 is only in front of the first end, w4 only of the last: their gradients are those of one block alone.
  for (const [weight, ends, target] of [
    ["w1", [], "block/a"],
    ["w4", ["sum"], "block/scores"],
  ] as const) {
    const alone =
      weight === "w1"
        ? { ...network, graph: { ...network.graph, outputs: [valueInfo("a", "float32", ["batch", 3])] } }
        : network;
    const one = withBlockLoss(alone, ends);
    const only = await run(expand(gradientGraph(one.model, "loss", [weight]), TRAINING_OPS), {
      ...Object.fromEntries(one.targets.map(({ name }) => [name, feeds[name]!])),
      x: feeds.x!,
      [one.targets.at(-1)!.name]: feeds[target]!,
    });
    expect(found[`grad/${weight}`]!.data, weight).toEqual(only[`grad/${weight}`]!.data);
  }
});
