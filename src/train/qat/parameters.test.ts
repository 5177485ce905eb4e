import { expect, test } from "vitest";
import { floatTensor, type GraphInit, graph, intTensor, node, tensor, valueInfo } from "../../ir/build.ts";
import { parametersOf } from "./parameters.ts";

const zeros = (name: string, shape: readonly number[]) =>
  floatTensor(name, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));

const parameters = (init: Pick<GraphInit, "nodes" | "tensors">): readonly string[] =>
  parametersOf(graph({ inputs: [valueInfo("x")], outputs: [valueInfo("y")], ...init }));

test("weights and biases of products count, and biases and gains apart from them", () => {
  const nodes = [
    node("Conv", ["x", "w", "b"], ["c"]),
    node("Mul", ["c", "gain"], ["g"]),
    node("Add", ["shift", "g"], ["s"]),
    node("MatMul", ["s", "m"], ["p"]),
    node("LayerNormalization", ["p", "scale", "bias"], ["y"]),
  ];
  const tensors = [
    zeros("w", [4, 3, 3, 3]),
    zeros("b", [4]),
    zeros("gain", [1, 4, 1, 1]),
    zeros("shift", [4, 1, 1]),
    zeros("m", [8, 8]),
    zeros("scale", [8]),
    zeros("bias", [8]),
  ];
  expect(parameters({ nodes, tensors })).toEqual(["w", "b", "gain", "shift", "m", "scale", "bias"]);
});

test("how inputs are normalized in front of the first weight is no parameter, nor are single numbers and integers", () => {
  const nodes = [
    node("Mul", ["x", "std"], ["a"]),
    node("Add", ["a", "mean"], ["b"]),
    node("MatMul", ["b", "w"], ["c"]),
    node("Mul", ["c", "half"], ["d"]),
    node("Gather", ["counts", "x"], ["e"]),
    node("Add", ["d", "e"], ["y"]),
  ];
  const tensors = [
    ...[zeros("std", [3]), zeros("mean", [3]), zeros("w", [3, 3]), zeros("half", [1])],
    intTensor("counts", [1, 2, 3]),
  ];
  expect(parameters({ nodes, tensors })).toEqual(["w"]);
});

test("tables of learned positions count; masks and rotary tables do not", () => {
  const nodes = [
    node("Gather", ["words", "x"], ["e"]),
    node("Add", ["e", "positions"], ["p"]),
    node("Mul", ["p", "cos"], ["r"]),
    node("MatMul", ["r", "p"], ["scores"]),
    node("Add", ["scores", "mask"], ["masked"]),
    node("Softmax", ["masked"], ["y"]),
  ];
  const tensors = [zeros("words", [9, 4]), zeros("positions", [1, 5, 4]), zeros("cos", [5, 4]), zeros("mask", [5, 5])];
  expect(parameters({ nodes, tensors })).toEqual(["words", "positions"]);
});

test("rotary tables that rows are picked of do not count, whatever lies between the rows and the products", () => {
  const nodes = [
    node("Gather", ["words", "x"], ["e"]),
    node("MatMul", ["e", "w"], ["q"]),
    ...["cos", "sin"].flatMap((name) => [
      node("Gather", [name, "positions"], [`${name}-rows`]),
      node("Unsqueeze", [`${name}-rows`, "axis"], [`${name}-wide`]),
      node("Concat", [`${name}-wide`, `${name}-wide`], [`${name}-angles`], { attributes: { axis: -1 } }),
    ]),
    node("Mul", ["q", "cos-angles"], ["straight"]),
    node("Neg", ["q"], ["turned"]),
    node("Mul", ["turned", "sin-angles"], ["across"]),
    node("Add", ["straight", "across"], ["y"]),
  ];
  const tensors = [
    ...[zeros("words", [9, 4]), zeros("w", [4, 4]), zeros("cos", [5, 2]), zeros("sin", [5, 2])],
    ...[intTensor("axis", [1]), intTensor("positions", [0, 1])],
  ];
  expect(parameters({ nodes, tensors })).toEqual(["words", "w"]);
});

test("embeddings that are multiplied do count: with each other, and as gains beside shifts", () => {
  const nodes = [
    node("Gather", ["users", "x"], ["u"]),
    node("Gather", ["things", "x"], ["t"]),
    node("Mul", ["u", "t"], ["both"]),
    node("MatMul", ["both", "w"], ["h"]),
    node("Gather", ["gains", "x"], ["gain"]),
    node("Gather", ["shifts", "x"], ["shift"]),
    node("Mul", ["h", "gain"], ["larger"]),
    node("Add", ["larger", "shift"], ["y"]),
  ];
  const names = ["users", "things", "w", "gains", "shifts"];
  expect(parameters({ nodes, tensors: names.map((name) => zeros(name, [4, 4])) })).toEqual(names);
});

test("weights of another type than float32 are none", () => {
  const half = tensor("w", "float16", [2, 2], new Uint16Array(4));
  expect(parameters({ nodes: [node("MatMul", ["x", "w"], ["y"])], tensors: [half] })).toEqual([]);
});
