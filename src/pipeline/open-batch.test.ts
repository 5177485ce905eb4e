import { expect, test } from "vitest";
import { memoryData } from "../containers/training-data.ts";
import { floatTensor, intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, Node, Tensor } from "../ir/model.ts";
import { normalsOf } from "../ir/networks.case.ts";
import { difference, normalFeeds, run } from "../passes/same-outputs.case.ts";
import { forBatches, joinedFeeds, openedBatch } from "./open-batch.ts";
import { smallHost, smallModel, spiralData } from "./train/small.case.ts";

const host = await smallHost();
const normal = normalsOf(2);

/** A model of samples of 4 x 6, exported for batches of one length. */
const exported = (batch: number, nodes: readonly Node[], tensors: readonly Tensor[]): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [batch, 4, 6])],
    outputs: [valueInfo("y", "float32")],
    nodes,
    tensors: [floatTensor("w", [24, 3], normal([24, 3])), ...tensors],
    values: [valueInfo("flat", "float32", [batch, 24])],
  });

const batches = (model: Model, count: number): readonly Feeds[] =>
  Array.from({ length: count }, (_, seed) => normalFeeds(model.graph.inputs, seed));

const product = node("MatMul", ["flat", "w"], ["y"]);
const reshape = (from: string, to: string, shape: string, allowzero = 0): Node =>
  node("Reshape", [from, shape], [to], { attributes: { allowzero } });

const heads = (batch: number, flat: readonly number[], allowzero = 0): Model =>
  exported(
    batch,
    [
      reshape("x", "split", "heads", allowzero),
      node("Transpose", ["split"], ["turned"], { attributes: { perm: [0, 2, 1, 3] } }),
      reshape("turned", "flat", "flat_shape", allowzero),
      product,
    ],
    [intTensor("heads", [batch, 2, 2, 6]), intTensor("flat_shape", flat)],
  );

const windows = exported(
  1,
  [
    reshape("x", "windows", "windows_shape"),
    node("Softmax", ["windows"], ["shares"], { attributes: { axis: 1 } }),
    reshape("shares", "flat", "flat_shape"),
    product,
  ],
  [intTensor("windows_shape", [2, 2, 6]), intTensor("flat_shape", [1, 24])],
);

const transposed = (from: string, to: string, perm: readonly number[]): Node =>
  node("Transpose", [from], [to], { attributes: { perm } });

/** Attention as torch.nn.MultiheadAttention lays it out: samples on the second axis, heads beside them, then rows of all. */
const sequenceFirst = (batch: number): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [batch, 4, 6])],
    outputs: [valueInfo("y", "float32", [batch, 4, 3])],
    nodes: [
      transposed("x", "first", [1, 0, 2]),
      reshape("first", "heads", "heads_shape"),
      transposed("heads", "each", [1, 0, 2]),
      node("MatMul", ["each", "mix"], ["mixed"]),
      reshape("mixed", "split", "split_shape"),
      transposed("split", "back", [2, 0, 1, 3]),
      reshape("back", "rows", "rows_shape", 1),
      node("Gemm", ["rows", "w"], ["out"]),
      reshape("out", "apart", "apart_shape"),
      transposed("apart", "y", [1, 0, 2]),
    ],
    tensors: [
      intTensor("heads_shape", [4, 3 * batch, 2]),
      floatTensor("mix", [2, 2], normal([2, 2])),
      intTensor("split_shape", [batch, 3, -1, 2]),
      intTensor("rows_shape", [4 * batch, 6]),
      floatTensor("w", [6, 3], normal([6, 3])),
      intTensor("apart_shape", [4, batch, 3]),
    ],
  });

/** A token in front of the rows of each sample. */
const token = exported(
  1,
  [
    node("Concat", ["token", "x"], ["longer"], { attributes: { axis: 1 } }),
    node("Slice", ["longer", "from", "to", "axes"], ["some"]),
    reshape("some", "flat", "flat_shape"),
    product,
  ],
  [
    floatTensor("token", [1, 1, 6], normal([1, 1, 6])),
    ...[intTensor("from", [0]), intTensor("to", [4]), intTensor("axes", [1]), intTensor("flat_shape", [1, 24])],
  ],
);

/** A pool whose lengths are not declared, then a larger image again. */
const image = onnxModel(
  {
    inputs: [valueInfo("x", "float32", [1, 4, 6, 6])],
    outputs: [valueInfo("y", "float32", [1, 4])],
    nodes: [
      node("MaxPool", ["x"], ["pooled"], {
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
      }),
      node("Resize", ["pooled", "", "", "sizes"], ["large"]),
      node("ReduceMean", ["large", "places"], ["mean"]),
      reshape("mean", "y", "flat_shape", 1),
    ],
    tensors: [intTensor("sizes", [1, 4, 9, 9]), intTensor("places", [2, 3]), intTensor("flat_shape", [1, 4])],
  },
  { opsets: { "": 18 } },
);

test.each([
  ["an image of other lengths", image],
  ["samples on the second axis", sequenceFirst(1)],
  ["three samples on the second axis", sequenceFirst(3)],
  ["a token beside one sample", token],
  ["reshapes of one sample", heads(1, [1, 24])],
  ["what is left over behind the batch", heads(1, [1, -1])],
  ["lengths meant literally", heads(1, [1, 24], 1)],
  ["batches of three", heads(3, [3, -1], 1)],
  ["more rows than samples", windows],
])("an opened model gives every sample what it gets alone: %s", async (_, model) => {
  const three = batches(model, 3);
  const { model: opened } = await openedBatch(host, model, three);
  assertLegal(opened!);
  expect(opened!.graph.nodes.map(({ outputs }) => outputs)).toEqual(model.graph.nodes.map(({ outputs }) => outputs));
  const alone = [];
  for (const feeds of three) alone.push(await run(model, feeds));
  // a product of more rows is summed in another order
  expect(difference(joinedFeeds(alone).y!, (await run(opened!, joinedFeeds(three))).y!)).toBeLessThan(1e-6);
});

test.each<[string, Model, RegExp]>([
  [
    "samples mix",
    exported(
      1,
      [
        node("Softmax", ["x"], ["mixed"], { attributes: { axis: 0 } }),
        node("Add", ["x", "mixed"], ["sum"]),
        reshape("sum", "flat", "flat_shape"),
        product,
      ],
      [intTensor("flat_shape", [1, 24])],
    ),
    /^output "y" is another then: samples of a batch are not apart$/,
  ],
  [
    "elements are picked by number",
    exported(
      1,
      [reshape("x", "all", "all_shape"), node("Gather", ["all", "picked"], ["flat"]), product],
      [intTensor("all_shape", [-1]), intTensor("picked", [...new Array(24).keys()], [1, 24])],
    ),
    /^output "y" has the shape \[1,3\] then, expected \[2,3\]$/,
  ],
  [
    "another sample stands beside its own",
    exported(
      1,
      [node("Concat", ["other", "x"], ["y"], { attributes: { axis: 0 } })],
      [floatTensor("other", [1, 4, 6], normal([1, 4, 6]))],
    ),
    /^output "y" has the shape \[3,4,6\] then, expected \[4,4,6\]$/,
  ],
  [
    "an output is of all samples",
    exported(1, [node("ReduceMean", ["x"], ["y"], { attributes: { keepdims: 0 } })], []),
    /^output "y" is one number for all samples$/,
  ],
])("a model stays as it is where %s, and the reason is told", async (_, model, reason) => {
  const found = await openedBatch(host, model, batches(model, 2));
  expect(found.model).toBeUndefined();
  expect(found.reason).toMatch(reason);
});

test("a model for any batch, and one that is asked for its own, are the same objects", async () => {
  const open = smallModel();
  expect(await forBatches(host, open, 8, spiralData(30))).toBe(open);
  const fixed = smallModel(8);
  expect(await forBatches(host, fixed, 8, spiralData(30))).toBe(fixed);
});

test("too few samples to compare are an error that says which batch would do", async () => {
  await expect(forBatches(host, smallModel(8), 4, spiralData(15))).rejects.toThrow(
    "training: the model takes batches of exactly 8, not 4 (there are too few samples to see whether it could take others); train with a batch of 8",
  );
});

test("inputs that begin otherwise are named", async () => {
  const model = exported(1, [node("Add", ["x", "by"], ["y"])], []);
  const two: Model = {
    ...model,
    graph: { ...model.graph, inputs: [...model.graph.inputs, valueInfo("by", "float32", ["n", 4, 6])] },
  };
  const data = memoryData({ x: { dtype: "float32", shape: [2, 4, 6], data: normal([2, 4, 6]) } });
  await expect(forBatches(host, two, 2, data)).rejects.toThrow('input "by" does not begin with the batch');
});
