import { expect, test } from "vitest";
import { node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import { withGraph } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { run } from "../passes/same-outputs.case.ts";
import { gradientGraph } from "./gradient.ts";
import { reluBehindPool } from "./relu-behind-pool.ts";

const pool = (x: string, y: string): Node =>
  node("MaxPool", [x], [y], { attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } });
const sum = (x: string): readonly Node[] => [
  node("Mul", [x, x], ["square"]),
  node("ReduceSum", ["square"], ["loss"], { attributes: { keepdims: 0 } }),
];
const model = (nodes: readonly Node[], outputs: readonly string[] = []) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 2, 7, 7])],
    outputs: [valueInfo("loss", "float32", []), ...outputs.map((name) => valueInfo(name))],
    nodes,
    values: [valueInfo("r", "float32", ["n", 2, 7, 7])],
  });

const pair = [node("Relu", ["x"], ["r"]), pool("r", "p"), ...sum("p")];
const none = new Set<string>();

test("Relu behind max pooling gives the same loss and the same gradient", async () => {
  const before = model(pair);
  const after = assertLegal(withGraph(before, reluBehindPool(before.graph, none)));
  expect(after.graph.nodes.map(({ op }) => op)).toEqual(["MaxPool", "Relu", "Mul", "ReduceSum"]);
  const { normal } = rng(1);
  const data = Float32Array.from({ length: 2 * 2 * 49 }, () => normal() - 0.5);
  const feeds = { x: { dtype: "float32", shape: [2, 2, 7, 7], data } } as const;
  const [was, is] = [
    await run(gradientGraph(before, "loss", ["x"]), feeds),
    await run(gradientGraph(after, "loss", ["x"]), feeds),
  ];
  expect(is).toEqual(was);
});

test("a Relu that somebody else reads, watches or keeps stays where it is", () => {
  const twice = model([...pair.slice(0, 2), node("GlobalMaxPool", ["r"], ["q"]), ...sum("q")], ["p"]).graph;
  expect(reluBehindPool(twice, none)).toBe(twice);
  const watched = model(pair, ["r"]).graph;
  expect(reluBehindPool(watched, none)).toBe(watched);
  const kept = model(pair).graph;
  expect(reluBehindPool(kept, new Set(["r"]))).toBe(kept);
});

test("max pooling that also tells positions, or that pools something else, stays as it is", () => {
  const [relu, pooling, ...rest] = pair as [Node, Node, ...Node[]];
  const telling = model([relu, { ...pooling, outputs: ["p", "at"] }, ...rest]).graph;
  expect(reluBehindPool(telling, none)).toBe(telling);
  const other = model([{ ...relu, op: "Abs" }, pooling, ...rest]).graph;
  expect(reluBehindPool(other, none)).toBe(other);
});
