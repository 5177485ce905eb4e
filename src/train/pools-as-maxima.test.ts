import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import { withGraph } from "../ir/edit.ts";
import type { Feeds, Model, Node } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { run } from "../passes/same-outputs.case.ts";
import { expand } from "./expand.ts";
import { gradientGraph } from "./gradient.ts";
import { TRAINING_OPS } from "./ops/index.ts";
import { poolsAsMaxima } from "./pools-as-maxima.ts";

/** -1, 0 and 1, so that most windows have several that are largest. */
function few(shape: readonly number[], seed = 1) {
  const random = rng(seed);
  return Float32Array.from({ length: elementCount(shape) }, () => Math.floor(3 * random.uniform()) - 1);
}

const pool = (x: string, y: string, kernel: readonly number[], strides = kernel): Node =>
  node("MaxPool", [x], [y], { attributes: { kernel_shape: kernel, strides } });

const squares = (x: string): readonly Node[] => [
  node("Mul", [x, x], ["square"]),
  node("ReduceSum", ["square"], ["loss"], { attributes: { keepdims: 0 } }),
];

/** What `nodes` make of `x`; with fixed lengths but for the samples. */
const model = (shape: readonly number[], nodes: readonly Node[], weights: Readonly<Record<string, number[]>> = {}) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", ...shape.slice(1)])],
    outputs: [valueInfo("loss", "float32", [])],
    nodes,
    tensors: Object.entries(weights).map(([name, lengths], at) => floatTensor(name, lengths, few(lengths, at + 2))),
  });

const written = (before: Model, wrt: readonly string[], kept: ReadonlySet<string> = new Set()): Model =>
  withGraph(before, poolsAsMaxima(before.graph, wrt, kept));

const gradients = (of: Model, wrt: readonly string[], feeds: Feeds) =>
  run(assertLegal(expand(gradientGraph(of, "loss", wrt), TRAINING_OPS)), feeds);

/** Loss and gradients of a model and of the one with maxima, and the ops of the latter. */
async function both(before: Model, shape: readonly number[], wrt: readonly string[]) {
  const after = written(before, wrt);
  const feeds = { x: { dtype: "float32", shape, data: few(shape) } } as const;
  const [was, is] = [await gradients(before, wrt, feeds), await gradients(after, wrt, feeds)];
  return { was, is, ops: after.graph.nodes.map(({ op }) => op) };
}

test.each([
  { shape: [3, 2, 4, 4], kernel: [2, 2] },
  { shape: [2, 2, 6, 4], kernel: [3, 2] },
  { shape: [1, 2, 6, 2, 4], kernel: [2, 1, 4] },
  { shape: [2, 3, 9], kernel: [3] },
])("of equal elements in windows of $kernel the first takes the gradient, as the engine says", async (one) => {
  const before = model(one.shape, [pool("x", "y", one.kernel), ...squares("y")]);
  const { was, is, ops } = await both(before, one.shape, ["x"]);
  expect(ops).not.toContain("MaxPool");
  expect(is).toEqual(was);
});

test.each([
  { name: "pads", attributes: { pads: [1, 1, 1, 1] }, shape: [2, 1, 8, 8], weight: [3, 1, 3, 3] },
  { name: "strides", attributes: { strides: [2, 1], pads: [1, 0, 0, 1] }, shape: [2, 2, 12, 4], weight: [3, 2, 3, 2] },
  { name: "dilations", attributes: { dilations: [2, 1] }, shape: [1, 1, 8, 5], weight: [2, 1, 3, 2] },
  { name: "groups", attributes: { group: 2, pads: [0, 1, 0, 1] }, shape: [2, 4, 6, 4], weight: [6, 2, 3, 3] },
  { name: "many outputs", attributes: { pads: [1, 1, 1, 1] }, shape: [2, 1, 8, 8], weight: [12, 1, 3, 3] },
  { name: "many strides", attributes: { strides: [2, 1] }, shape: [2, 1, 9, 6], weight: [32, 1, 3, 3] },
  { name: "auto_pad", attributes: { auto_pad: "SAME_UPPER" }, shape: [1, 1, 4, 6], weight: [2, 1, 3, 3] },
])("a convolution behind an image with $name makes the places of the windows apart", async (one) => {
  const conv = node("Conv", ["x", "w", "b"], ["c"], { attributes: one.attributes });
  const before = model(one.shape, [conv, pool("c", "y", [2, 2]), ...squares("y")], {
    w: one.weight,
    b: one.weight.slice(0, 1),
  });
  const { was, is, ops } = await both(before, one.shape, ["w", "b"]);
  expect(ops).not.toContain("MaxPool");
  expect(ops.filter((op) => op === "Reshape")).toEqual([]);
  expect(is).toEqual(was);
});

test("pools that overlap, whose input is not trained or that tell positions stay as they are", () => {
  const same = ({ graph }: Model, wrt: readonly string[]) => expect(poolsAsMaxima(graph, wrt, new Set())).toBe(graph);
  same(model([1, 2, 5, 5], [pool("x", "y", [3, 3], [2, 2]), ...squares("y")]), ["x"]);
  const frozen = [pool("x", "y", [2, 2]), node("Mul", ["y", "w"], ["z"]), ...squares("z")];
  same(model([1, 2, 4, 4], frozen, { w: [1] }), ["w"]);
  const telling = { ...pool("x", "y", [2, 2]), outputs: ["y", "at"] };
  same(model([1, 2, 4, 4], [telling, ...squares("y")]), ["x"]);
});

test("a convolution that is kept, read twice or trained through only has its pool written as maxima", () => {
  const conv = node("Conv", ["x", "w"], ["c"]);
  const nodes = [conv, pool("c", "y", [2, 2]), ...squares("y")];
  const strides = (of: Model, wrt: readonly string[], kept?: ReadonlySet<string>) =>
    written(of, wrt, kept).graph.nodes.filter(({ op, outputs }) => op === "Conv" && outputs[0] === "c").length;
  const plain = model([1, 1, 6, 6], nodes, { w: [2, 1, 3, 3] });
  expect(strides(plain, ["w"])).toBe(0);
  expect(strides(plain, ["w"], new Set(["c"]))).toBe(1);
  expect(strides(plain, ["w", "x"])).toBe(1);
  const twice = [
    ...nodes.slice(0, 2),
    node("GlobalMaxPool", ["c"], ["g"]),
    node("Add", ["y", "g"], ["z"]),
    ...squares("z"),
  ];
  expect(strides(model([1, 1, 6, 6], twice, { w: [2, 1, 3, 3] }), ["w"])).toBe(1);
});
