import { expect, test } from "vitest";
import { type AttributeInit, floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model, Node, Tensor } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { foldBatchNorm } from "./fold-batch-norm.ts";
import { hardGates } from "./hard-gates.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** Some 50 float32 products in another order and times another factor. */
const tolerance = 2e-6;
const { normal } = rng(11);
const random = (name: string, shape: readonly number[], size = 1): Tensor =>
  floatTensor(
    name,
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => size * normal()),
  );

const CONV = node("Conv", ["x", "k", "b"], ["c"], { attributes: { pads: [1, 1, 1, 1] } });
const sigmoid = (attributes: Readonly<Record<string, AttributeInit>> = {}) =>
  node("HardSigmoid", ["c"], ["g"], { attributes });
/** relu6(c + 3) */
const ADD = node("Add", ["three", "c"], ["a"]);
const CLIP = node("Clip", ["a", "zero", "six"], ["r"]);
const THIRD = node("Mul", ["r", "sixth"], ["z"]);
const AS_SWISH = { alpha: 1 / 6, beta: 0.5 };

/** Values of the product reach about 10, far beyond both bounds of the gates. */
const model = (nodes: readonly Node[], outputs: readonly string[], opset = 14): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2, 3, 5, 5])],
      outputs: outputs.map((name) => valueInfo(name, "float32")),
      nodes,
      tensors: [
        ...[random("k", [4, 3, 3, 3]), random("b", [4], 3), floatTensor("three", [1], [3])],
        ...[floatTensor("zero", [], [0]), floatTensor("six", [], [6]), floatTensor("sixth", [], [1 / 6])],
      ],
    },
    { opsets: { "": opset } },
  );

test.each([
  ["HardSigmoid", [CONV, sigmoid()], "g", ["Mul", "Add", "Clip"], ["Conv", "Clip"]],
  ["HardSigmoid of other slopes", [CONV, sigmoid({ alpha: 0.7, beta: 0.1 })], "g", ["Mul", "Add", "Clip"], undefined],
  [
    "HardSwish",
    [CONV, node("HardSwish", ["c"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    ["Conv", "Add", "Clip", "Mul"],
  ],
  [
    "a value times its HardSigmoid",
    [CONV, sigmoid(AS_SWISH), node("Mul", ["g", "c"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    undefined,
  ],
  [
    "a value times another gate of its own",
    [CONV, sigmoid({ alpha: 0.3, beta: 0.2 }), node("Mul", ["c", "g"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    undefined,
  ],
  ["a gate written out", [CONV, ADD, CLIP, node("Mul", ["r", "sixth"], ["g"])], "g", ["Mul", "Add", "Clip"], undefined],
  [
    "a swish as Keras writes it",
    [CONV, ADD, CLIP, node("Mul", ["r", "sixth"], ["g"]), node("Mul", ["c", "g"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    undefined,
  ],
  [
    "a swish divided in the end",
    [CONV, ADD, CLIP, node("Mul", ["r", "c"], ["m"]), node("Div", ["m", "six"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    undefined,
  ],
  [
    "a HardSwish times a number",
    [CONV, node("HardSwish", ["c"], ["s"]), node("Mul", ["sixth", "s"], ["y"])],
    "y",
    ["Mul", "Add", "Clip", "Mul"],
    undefined,
  ],
] as const)("%s becomes a Clip, and the product takes the factors", async (_, nodes, output, written, left) => {
  const before = model(nodes, [output]);
  const gates = await applied(hardGates, before, { tolerance });
  expect(opsOf(gates)).toEqual(["Conv", ...written]);
  const after = await applied(foldBatchNorm, gates, { tolerance });
  expect(opsOf(after)).toEqual(left ?? (written.length === 3 ? ["Conv", "Clip"] : ["Conv", "Add", "Clip", "Mul"]));
});

const other = (op: string, inputs: readonly string[]): Node => node(op, inputs, ["z"]);

test.each([
  ["behind what is no product", model([node("Relu", ["x"], ["c"]), sigmoid()], ["g"])],
  ["whose product others read", model([CONV, sigmoid(), other("Relu", ["c"])], ["g", "z"])],
  ["whose product is an output", model([CONV, node("HardSwish", ["c"], ["y"])], ["c", "y"])],
  [
    "that multiplies and is read beside it",
    model([CONV, sigmoid(), node("Mul", ["c", "g"], ["y"]), other("Relu", ["g"])], ["y", "z"]),
  ],
  ["that falls", model([CONV, sigmoid({ alpha: -0.2 })], ["g"])],
  ["that is Add and Clip alone", model([CONV, ADD, CLIP], ["r"])],
  ["divided by zero", model([CONV, ADD, CLIP, node("Div", ["r", "zero"], ["y"])], ["y"])],
  ["divided by", model([CONV, ADD, CLIP, node("Div", ["six", "r"], ["y"])], ["y"])],
  ["that has a Clip from elsewhere on", model([CONV, ADD, node("Clip", ["a", "sixth", "six"], ["r"]), THIRD], ["z"])],
  ["whose shifted product is read twice", model([CONV, ADD, CLIP, THIRD, node("Relu", ["a"], ["y"])], ["y", "z"])],
  ["that is shifted by more than a number", model([CONV, node("Add", ["c", "c"], ["a"]), CLIP, THIRD], ["z"])],
  ["whose bounds would be attributes", model([CONV, sigmoid()], ["g"], 10)],
])("a gate %s stays", async (_, before) => {
  const { graph } = await hardGates.apply(before, context);
  expect(graph).toBe(before.graph);
});
