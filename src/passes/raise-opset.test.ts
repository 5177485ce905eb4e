import { expect, test } from "vitest";
import {
  type AttributeInit,
  float,
  floats,
  floatTensor,
  graph,
  intTensor,
  node,
  onnxModel,
  valueInfo,
} from "../ir/build.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { raiseOpset } from "./raise-opset.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const model = (opset: number, shape: readonly number[], nodes: readonly Node[], tensors: readonly Tensor[] = []) =>
  onnxModel(
    { inputs: [valueInfo("x", "float32", shape)], outputs: [valueInfo("y", "float32")], nodes, tensors },
    { opsets: { "": opset }, formatVersion: 4 },
  );

const unary = (op: string, attributes: Readonly<Record<string, AttributeInit>>) =>
  node(op, ["x"], ["y"], { attributes });

const image = [1, 4, 6, 6];
const scales = floats([1, 1, 2, 3]);

/** Old nodes with the operator set they come from. Exact: nothing is computed differently. */
const CASES: readonly (readonly [string, number, readonly number[], Node, (readonly Tensor[])?])[] = [
  ["Clip", 7, image, unary("Clip", { min: float(-0.5), max: float(0.5) })],
  ["Clip with one bound", 9, image, unary("Clip", { max: float(0.5) })],
  ["Clip without bounds", 9, image, unary("Clip", {})],
  ["Dropout", 7, image, unary("Dropout", { ratio: float(0.3) })],
  ["Pad", 9, image, unary("Pad", { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: float(3) })],
  ["Pad by mirror", 9, image, unary("Pad", { pads: [0, 0, 1, 2, 0, 0, 0, 1], mode: "reflect" })],
  ["Slice", 9, image, unary("Slice", { starts: [1, 2], ends: [3, 9], axes: [1, 3] })],
  ["Slice without axes", 9, image, unary("Slice", { starts: [0, 1], ends: [1, 3] })],
  ["Split", 11, image, unary("Split", { axis: 1, split: [4] })],
  ["Split in equal parts", 11, image, unary("Split", { axis: 1 })],
  ["Squeeze", 9, image, unary("Squeeze", { axes: [0] })],
  ["Squeeze of all", 9, image, unary("Squeeze", {})],
  ["Unsqueeze", 9, image, unary("Unsqueeze", { axes: [0, 3] })],
  ["ReduceSum", 11, image, unary("ReduceSum", { axes: [2, 3], keepdims: 0 })],
  ["ReduceMean", 11, image, unary("ReduceMean", { axes: [2, 3] })],
  ["ReduceMax of all", 11, image, unary("ReduceMax", {})],
  ["Softmax over the last axis", 9, [3, 5], unary("Softmax", {})],
  ["Softmax over all axes but the first", 9, image, unary("Softmax", {})],
  ["Softmax over the last two axes", 11, image, unary("Softmax", { axis: -2 })],
  ["LogSoftmax", 9, image, unary("LogSoftmax", { axis: 2 })],
  ["Hardmax", 9, image, unary("Hardmax", { axis: 1 })],
  ["TopK", 9, image, node("TopK", ["x"], ["y", "i"], { attributes: { k: 2, axis: 3 } })],
  ["Upsample by attribute", 7, image, unary("Upsample", { mode: "nearest", scales })],
  ["Upsample linearly", 7, image, unary("Upsample", { mode: "linear", scales: floats([1, 1, 2, 2]) })],
  ["Upsample by input", 9, image, node("Upsample", ["x", "s"], ["y"]), [floatTensor("s", [4], [1, 1, 3, 2])]],
  ["Resize that enlarges", 10, image, node("Resize", ["x", "s"], ["y"]), [floatTensor("s", [4], [1, 1, 1.5, 2.5])]],
  ["Resize that shrinks", 10, image, node("Resize", ["x", "s"], ["y"]), [floatTensor("s", [4], [1, 1, 0.5, 0.4])]],
  [
    "Scatter",
    9,
    [2, 3],
    node("Scatter", ["x", "i", "u"], ["y"]),
    [intTensor("i", [1, 0], [1, 2]), floatTensor("u", [1, 2], [8, 9])],
  ],
  [
    "Gemm",
    7,
    [2, 2],
    node("Gemm", ["x", "w", "b"], ["y"]),
    [floatTensor("w", [2, 2], [1, 2, 3, 4]), floatTensor("b", [2], [5, 6])],
  ],
  [
    "RoiAlign",
    10,
    image,
    node("RoiAlign", ["x", "r", "n"], ["y"], { attributes: { output_height: 2, output_width: 2 } }),
    [floatTensor("r", [1, 4], [0, 1, 4, 5]), intTensor("n", [0])],
  ],
];

for (const [label, opset, shape, old, tensors] of CASES)
  test(`${label} of operator set ${opset} computes the same at 13 and 21`, async () => {
    for (const wanted of [13, 21]) {
      const after = await applied(raiseOpset(wanted), model(opset, shape, [old], tensors));
      expect(after.opsets[""]).toBe(wanted);
    }
  });

test("batch normalization of operator set 7 loses what it no longer has", async () => {
  const inputs = ["x", "g", "b", "m", "v"];
  const tensors = ["g", "b", "m", "v"].map((name, i) =>
    floatTensor(
      name,
      [4],
      [1, 2, 3, 4].map((k) => k + i),
    ),
  );
  const old = (spatial: number) =>
    model(
      7,
      image,
      [node("BatchNormalization", inputs, ["y"], { attributes: { spatial, momentum: float(0.9) } })],
      tensors,
    );
  const after = await applied(raiseOpset(15), old(1));
  expect(after.graph.nodes[0]!.attributes.spatial).toBeUndefined();
  await expect(async () => raiseOpset(15).apply(old(0), context)).rejects.toThrow(
    /"y" \(BatchNormalization\): spatial = 0/,
  );
});

test("sub-graphs are brought along", async () => {
  const branch = (name: string, attributes: Readonly<Record<string, AttributeInit>>) =>
    graph({
      inputs: [],
      outputs: [valueInfo(`${name}_y`, "float32")],
      nodes: [node("Squeeze", ["x"], [`${name}_y`], { attributes })],
    });
  const attributes = { then_branch: branch("t", { axes: [0] }), else_branch: branch("e", { axes: [1] }) };
  const before = onnxModel(
    {
      inputs: [valueInfo("x", "float32", [1, 1, 3]), valueInfo("c", "bool", [])],
      outputs: [valueInfo("y", "float32")],
      nodes: [node("If", ["c"], ["y"], { attributes })],
    },
    { opsets: { "": 11 }, formatVersion: 6 },
  );
  const x = { dtype: "float32", shape: [1, 1, 3], data: Float32Array.of(3, -1, 2) } as const;
  const feeds = { x, c: { dtype: "bool", shape: [], data: Uint8Array.of(1) } } as const;
  await applied(raiseOpset(13), before, { feeds });
});

test("ops that can't follow are refused by name, with what to do", async () => {
  const open = model(10, image, [
    node("Shape", ["x"], ["n"]),
    node("Cast", ["n"], ["s"], { attributes: { to: 1 } }),
    node("Resize", ["x", "s"], ["y"]),
  ]);
  await expect(async () => raiseOpset(13).apply(open, context)).rejects.toThrow(
    'node "y" (Resize): its scales are no constant; operator set 13 is needed: export the model with 13 or newer',
  );
  const old = model(6, image, [unary("Relu", {})]);
  await expect(async () => raiseOpset(13).apply(old, context)).rejects.toThrow("operator set 6 is too old");
});

test("Upsample by computed scales is known to enlarge", async () => {
  const before = onnxModel(
    {
      inputs: [valueInfo("x", "float32", [1, 1, 2, 3]), valueInfo("s", "float32", [4])],
      outputs: [valueInfo("y", "float32")],
      nodes: [node("Upsample", ["x", "s"], ["y"])],
    },
    { opsets: { "": 9 }, formatVersion: 4 },
  );
  const x = { dtype: "float32", shape: [1, 1, 2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) } as const;
  const feeds = { x, s: { dtype: "float32", shape: [4], data: Float32Array.of(1, 1, 2.5, 2) } } as const;
  await applied(raiseOpset(13), before, { feeds });
});

test("a model that is new enough comes back as the same object", async () => {
  const before = model(17, image, [unary("Relu", {})]);
  expect(await raiseOpset(13).apply(before, context)).toBe(before);
  expect(opsOf(before)).toEqual(["Relu"]);
});
