import { expect, test } from "vitest";
import { float, floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Node, Tensor } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { dropUnused } from "./drop-unused.ts";
import { foldBatchNorm } from "./fold-batch-norm.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** Weights are rounded to float32 once more, and sums of up to some dozens of products follow. */
const tolerance = 2e-6;

const { normal } = rng(3);
const random = (name: string, shape: readonly number[], offset = 0): Tensor =>
  floatTensor(
    name,
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => normal() + offset),
  );

const positive = (name: string, count: number): Tensor =>
  floatTensor(
    name,
    [count],
    Array.from({ length: count }, () => 0.1 + Math.abs(normal())),
  );

const norm = (input: string, output: string, tag = "n", more = {}): Node =>
  node("BatchNormalization", [input, `${tag}g`, `${tag}b`, `${tag}m`, `${tag}v`], [output], { attributes: more });

const statistics = (count: number, tag = "n"): readonly Tensor[] => [
  random(`${tag}g`, [count]),
  random(`${tag}b`, [count]),
  random(`${tag}m`, [count]),
  positive(`${tag}v`, count),
];

const model = (shape: readonly Dim[], nodes: readonly Node[], tensors: readonly Tensor[], outputs = ["y"]) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: outputs.map((name) => valueInfo(name)),
    nodes,
    tensors,
  });

const image = [2, 4, 5, 5];

test("batch normalization disappears into a convolution with and without bias", async () => {
  const weight = random("w", [6, 4, 3, 3]);
  for (const bias of [[], [random("b", [6])]]) {
    const conv = node("Conv", ["x", "w", ...bias.map(({ name }) => name)], ["c"]);
    const before = model(image, [conv, norm("c", "y")], [weight, ...bias, ...statistics(6)]);
    const after = await applied(foldBatchNorm, before, { tolerance });
    expect(opsOf(after)).toEqual(["Conv"]);
    expect(after.graph.nodes[0]!.inputs[1]).toBe("w");
  }
});

test("grouped and transposed convolutions scale the right channels", async () => {
  const grouped = node("Conv", ["x", "w", "b"], ["c"], { attributes: { group: 4 } });
  const weights = [random("w", [8, 1, 3, 3]), random("b", [8]), ...statistics(8)];
  expect(opsOf(await applied(foldBatchNorm, model(image, [grouped, norm("c", "y")], weights), { tolerance }))).toEqual([
    "Conv",
  ]);
  const transposed = node("ConvTranspose", ["x", "w"], ["c"], { attributes: { group: 2 } });
  const tensors = [random("w", [4, 3, 2, 2]), ...statistics(6)];
  const before = model(image, [transposed, norm("c", "y", "n", { epsilon: float(0.01) })], tensors);
  expect(opsOf(await applied(foldBatchNorm, before, { tolerance }))).toEqual(["ConvTranspose"]);
});

test("Gemm takes it with transB, alpha and beta", async () => {
  const attributes = { transB: 1, alpha: float(0.5), beta: float(2) };
  const gemm = node("Gemm", ["x", "w", "b"], ["c"], { attributes });
  const before = model([3, 4], [gemm, norm("c", "y")], [random("w", [6, 4]), random("b", [1, 6]), ...statistics(6)]);
  const after = await applied(foldBatchNorm, before, { tolerance });
  expect(opsOf(after)).toEqual(["Gemm"]);
  expect(Object.keys(after.graph.nodes[0]!.attributes)).toEqual(["transB", "alpha"]);
});

test("a chain of scales and shifts by constants folds completely", async () => {
  const nodes = [
    node("Conv", ["x", "w"], ["c"]),
    norm("c", "d"),
    node("Mul", ["k", "d"], ["e"]),
    node("Add", ["e", "s"], ["f"]),
    node("Sub", ["f", "one"], ["g"]),
    node("Div", ["g", "k2"], ["y"]),
  ];
  const tensors = [
    random("w", [6, 4, 1, 1]),
    ...statistics(6),
    random("k", [6, 1, 1]),
    random("s", [1, 6, 1, 1]),
    floatTensor("one", [], [1]),
    random("k2", [6, 1, 1], 5),
  ];
  const after = await dropUnused.apply(
    await applied(foldBatchNorm, model(image, nodes, tensors), { tolerance }),
    context,
  );
  expect(opsOf(after)).toEqual(["Conv"]);
  expect([...after.graph.tensors.keys()]).toEqual(["w", "w_bias"]);
});

test("a weight that two convolutions share is copied for the one that changes", async () => {
  const nodes = [
    node("Conv", ["x", "w"], ["c"]),
    norm("c", "d"),
    node("Conv", ["x", "w"], ["e"]),
    node("Add", ["d", "e"], ["y"]),
  ];
  const after = await applied(foldBatchNorm, model(image, nodes, [random("w", [6, 4, 3, 3]), ...statistics(6)]), {
    tolerance,
  });
  expect(after.graph.nodes.map(({ inputs }) => inputs[1])).toEqual(["w_1", "w", "e"]);
});

test("it stays when somebody else reads the value in between, or when the order is the other way round", async () => {
  const weights = [random("w", [6, 4, 3, 3]), ...statistics(6)];
  const conv = node("Conv", ["x", "w"], ["c"]);
  const shared = model(image, [conv, norm("c", "y"), node("Relu", ["c"], ["z"])], weights, ["y", "z"]);
  expect(await foldBatchNorm.apply(shared, context)).toBe(shared);
  const output = model(image, [conv, norm("c", "y")], weights, ["y", "c"]);
  expect(await foldBatchNorm.apply(output, context)).toBe(output);
  const first = model(
    image,
    [norm("x", "c"), node("Conv", ["c", "w"], ["y"])],
    [random("w", [6, 4, 3, 3]), ...statistics(4)],
  );
  expect(await foldBatchNorm.apply(first, context)).toBe(first);
});

test("a constant along the wrong axis is no channel scale", async () => {
  const nodes = [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])];
  for (const shape of [[3], [3, 1], [3, 3], [1, 1, 1, 3], [1, 2, 6, 1, 1]]) {
    const before = model(image, nodes, [random("w", [6, 4, 3, 3]), random("k", shape)]);
    expect(await foldBatchNorm.apply(before, context), String(shape)).toBe(before);
  }
});

test("a constant divided by the value is not folded", async () => {
  const nodes = [node("Conv", ["x", "w"], ["c"]), node("Div", ["k", "c"], ["y"])];
  const before = model(image, nodes, [random("w", [6, 4, 3, 3]), floatTensor("k", [], [2])]);
  expect(await foldBatchNorm.apply(before, context)).toBe(before);
});

test("batch normalization in training mode stays", async () => {
  const nodes = [node("Conv", ["x", "w"], ["c"]), norm("c", "y", "n", { training_mode: 1 })];
  const before = model(image, nodes, [random("w", [6, 4, 3, 3]), ...statistics(6)]);
  expect(await foldBatchNorm.apply(before, context)).toBe(before);
});

test("initializers that the caller may replace are no constants", async () => {
  const nodes = [node("Conv", ["x", "w"], ["c"]), norm("c", "y")];
  const before = model(image, nodes, [random("w", [6, 4, 3, 3]), ...statistics(6)]);
  const inputs = [...before.graph.inputs, valueInfo("w", "float32", [6, 4, 3, 3])];
  const open = { ...before, graph: { ...before.graph, inputs } };
  expect(await foldBatchNorm.apply(open, context)).toBe(open);
});
