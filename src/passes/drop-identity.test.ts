import { expect, test } from "vitest";
import { floatTensor, graph, intTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { dropIdentity } from "./drop-identity.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const model = (nodes: readonly Node[], tensors: readonly Tensor[] = [], opset = 17) =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2, 3])],
      outputs: [valueInfo("y", "float32", [2, 3])],
      nodes,
      tensors,
    },
    { opsets: { "": opset } },
  );

const relu = node("Relu", ["x"], ["r"]);
const abs = node("Abs", ["i"], ["y"]);

test("an Identity between two nodes goes", async () => {
  expect(opsOf(await applied(dropIdentity, model([relu, node("Identity", ["r"], ["i"]), abs])))).toEqual([
    "Relu",
    "Abs",
  ]);
});

test("an Identity that makes the output hands the name on to the node before it", async () => {
  const after = await applied(dropIdentity, model([relu, node("Identity", ["r"], ["y"])]));
  expect(after.graph.nodes.map(({ outputs }) => outputs)).toEqual([["y"]]);
});

test("an Identity from input to output stays, as both names must", async () => {
  const same = model([node("Identity", ["x"], ["y"])]);
  expect(await dropIdentity.apply(same, context)).toBe(same);
});

test("a value that is an output itself keeps its name, and one value can't take two", async () => {
  const two = onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("a", "float32", [2]), valueInfo("b", "float32", [2]), valueInfo("c", "float32", [2])],
    nodes: [
      node("Relu", ["x"], ["r"]),
      node("Identity", ["r"], ["a"]),
      node("Identity", ["r"], ["b"]),
      node("Neg", ["r"], ["c"]),
    ],
  });
  expect(opsOf(await applied(dropIdentity, two))).toEqual(["Relu", "Identity", "Neg"]);
});

test("chains of them collapse, and weights behind an Identity are tied", async () => {
  const weight = floatTensor("w", [3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const nodes = [
    node("Identity", ["w"], ["w1"]),
    node("Identity", ["w1"], ["w2"]),
    node("MatMul", ["x", "w"], ["m"]),
    node("MatMul", ["m", "w2"], ["y"]),
  ];
  const after = await applied(dropIdentity, model(nodes, [weight]));
  expect(after.graph.nodes.map(({ inputs }) => inputs[1])).toEqual(["w", "w"]);
});

test("Dropout goes when its mask is unread and training is off", async () => {
  const ratio = floatTensor("ratio", [], [0.5]);
  const off = tensor("off", "bool", [], Uint8Array.of(0));
  const on = tensor("on", "bool", [], Uint8Array.of(1));
  const dropout = (training: string) => node("Dropout", ["r", "ratio", training], ["i", "mask"]);
  expect(opsOf(await applied(dropIdentity, model([relu, dropout("off"), abs], [ratio, off])))).toEqual(["Relu", "Abs"]);
  const training = model([relu, dropout("on"), abs], [ratio, on]);
  expect(await dropIdentity.apply(training, context)).toBe(training);
  const old = model([relu, node("Dropout", ["r"], ["i"]), abs], [], 9);
  expect(opsOf(await applied(dropIdentity, old))).toEqual(["Relu", "Abs"]);
});

test("paddings, transpositions, casts, reshapes and concatenations that change nothing go, others stay", async () => {
  const cases: readonly (readonly [Node, readonly Tensor[], boolean])[] = [
    [node("Pad", ["r", "p"], ["i"]), [intTensor("p", [0, 0, 0, 0])], true],
    [node("Transpose", ["r"], ["i"], { attributes: { perm: [0, 1] } }), [], true],
    [node("Reshape", ["x", "s"], ["i"]), [intTensor("s", [2, 3])], true],
    [node("Reshape", ["x", "s"], ["i"]), [intTensor("s", [3, 2])], false],
    [node("Cast", ["x"], ["i"], { attributes: { to: 1 } }), [], true],
    [node("Concat", ["r"], ["i"], { attributes: { axis: 0 } }), [], true],
    [node("Sum", ["r"], ["i"]), [], true],
    [node("Sum", ["r", "r"], ["i"]), [], false],
  ];
  for (const [middle, tensors, goes] of cases) {
    const before = model([relu, middle, abs], tensors);
    const loose = { ...before, graph: { ...before.graph, outputs: [valueInfo("y", "float32")] } };
    const after = goes ? await applied(dropIdentity, loose) : await dropIdentity.apply(loose, context);
    expect(opsOf(after).includes(middle.op), middle.op).toBe(!goes);
  }
});

test("a value captured by a sub-graph is renamed there too", async () => {
  const branch = (name: string, op: string) =>
    graph({
      inputs: [],
      outputs: [valueInfo(`${name}_y`, "float32", [2, 3])],
      nodes: [node(op, ["i"], [`${name}_y`])],
    });
  const attributes = { then_branch: branch("t", "Abs"), else_branch: branch("e", "Neg") };
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [2, 3]), valueInfo("c", "bool", [])],
    outputs: [valueInfo("y", "float32", [2, 3])],
    nodes: [relu, node("Identity", ["r"], ["i"]), node("If", ["c"], ["y"], { attributes })],
  });
  const x = { dtype: "float32", shape: [2, 3], data: Float32Array.of(3, -1, 2, 0, 5, -6) } as const;
  const feeds = { x, c: { dtype: "bool", shape: [], data: Uint8Array.of(0) } } as const;
  expect(opsOf(await applied(dropIdentity, before, { feeds }))).toEqual(["Relu", "If"]);
});
