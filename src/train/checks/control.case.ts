import { floatTensor, graph, node, tensor } from "../../ir/build.ts";
import type { Graph, Node, Tensor } from "../../ir/model.ts";
import { constant, type GradCase } from "../gradcheck.case.ts";
import { of } from "./builders.case.ts";

const branch = (name: string, nodes: readonly Node[], output: string, tensors: readonly Tensor[] = []): Graph =>
  graph({ name, inputs: [], outputs: [{ name: output }], nodes, tensors });

const choose = (condition: string, yes: Graph, no: Graph, output = "y"): Node =>
  node("If", [condition], [output], { attributes: { then_branch: yes, else_branch: no } });

const truth = (value: boolean) => (): readonly Tensor[] => [tensor("c", "bool", [], Uint8Array.of(value ? 1 : 0))];

/** One branch reads both values, with names of its own that the other has too; the other reads one. */
const simple = (value: boolean): GradCase => ({
  op: "If",
  label: `${value}`,
  inputs: { x: of([2, 3]), w: of([3]) },
  tensors: truth(value),
  nodes: () => [
    choose(
      "c",
      branch("yes", [node("Tanh", ["x"], ["h"]), node("Mul", ["h", "w"], ["out"])], "out"),
      branch("no", [node("Exp", ["x"], ["h"]), node("Mul", ["h", "h"], ["out"])], "out"),
    ),
  ],
});

/** The condition depends on the data, and the result goes on. */
const byData = (bound: number): GradCase => ({
  op: "If",
  label: `data above ${bound}`,
  inputs: { x: of([2, 3]), w: of([2, 3]) },
  tensors: (precision) => [constant("bound", [], [bound], precision)],
  nodes: () => [
    node("ReduceSum", ["x"], ["sum"], { attributes: { keepdims: 0 } }),
    node("Greater", ["sum", "bound"], ["c"]),
    node("Mul", ["x", "w"], ["p"]),
    choose(
      "c",
      branch("yes", [node("Sigmoid", ["p"], ["a"])], "a"),
      branch("no", [node("Neg", ["w"], ["b"])], "b"),
      "m",
    ),
    node("Mul", ["m", "x"], ["y"]),
  ],
});

const nested: GradCase = {
  op: "If",
  label: "a branch in a branch, pooling and constants inside",
  inputs: { x: of([1, 1, 4, 4], "separate") },
  precision: "float32",
  tensors: truth(true),
  nodes: () => {
    const pool = node("MaxPool", ["scaled"], ["inner"], { attributes: { kernel_shape: [3, 3], strides: [1, 1] } });
    const deep = choose("c", branch("deep", [pool], "inner"), branch("else", [node("Relu", ["x"], ["r"])], "r"), "out");
    const scale = [floatTensor("two", [], [2])];
    return [
      choose(
        "c",
        branch("yes", [node("Mul", ["x", "two"], ["scaled"]), deep], "out", scale),
        branch("no", [node("Neg", ["x"], ["n"])], "n"),
      ),
    ];
  },
};

export const controlCases: readonly GradCase[] = [simple(true), simple(false), byData(-99), byData(99), nested];
