import { expect, test } from "vitest";
import { float, floatTensor, intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model, Node, Tensor } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { cancelTransposes, withoutTransposes } from "./cancel-transposes.ts";
import { applied, opsOf, type SameOptions } from "./same-outputs.case.ts";

const FIRST = [0, 3, 1, 2];
const LAST = [0, 2, 3, 1];

const first = (from: string, to: string): Node => node("Transpose", [from], [to], { attributes: { perm: FIRST } });
const last = (from: string, to: string): Node => node("Transpose", [from], [to], { attributes: { perm: LAST } });

/** An op that needs channels first. */
const pool = (from: string, to: string): Node =>
  node("MaxPool", [from], [to], { attributes: { kernel_shape: [1, 1] } });

const numbers = (name: string, shape: readonly number[], seed = 1): Tensor => {
  const { normal } = rng(seed);
  const count = shape.reduce((product, dim) => product * dim, 1);
  return floatTensor(name, shape, Array.from({ length: count }, normal));
};

/** x [2, 4, 6, 3] in, y out. */
const modelOf = (nodes: readonly Node[], tensors: readonly Tensor[] = [], rest: readonly string[] = []): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [2, 4, 6, 3])],
    outputs: ["y", ...rest].map((name) => ({ name })),
    nodes,
    tensors,
  });

/** The op between two Transposes to channels last and back: `op` reads "a" and makes "b". */
const between = (op: readonly Node[], tensors: readonly Tensor[] = []): Model =>
  modelOf([first("x", "x1"), pool("x1", "r"), last("r", "a"), ...op, first("b", "y")], tensors);

const transposes = (model: Model): number => opsOf(model).filter((op) => op === "Transpose").length;

async function left(model: Model, options: SameOptions = {}): Promise<number> {
  return transposes(await applied(cancelTransposes, model, options));
}

test("a pair that undoes itself is removed", async () => {
  expect(await left(modelOf([first("x", "a"), node("Relu", ["a"], ["b"]), last("b", "y")]))).toBe(0);
});

test("a model without Transposes, or where none can go, stays the same object", async () => {
  const idle = [
    modelOf([node("Relu", ["x"], ["y"])]),
    modelOf([first("x", "a"), node("GlobalAveragePool", ["a"], ["y"])]),
    modelOf([node("Relu", ["x"], ["a"]), first("a", "y")]),
    modelOf([first("x", "a"), node("Relu", ["a"], ["y"])]),
  ];
  for (const model of idle) expect(await cancelTransposes.apply(model, {})).toBe(model);
});

const OPS: readonly (readonly [string, Node, readonly Tensor[]])[] = [
  ["Add of a vector", node("Add", ["a", "c"], ["b"]), [numbers("c", [3])]],
  ["Mul by a plane", node("Mul", ["c", "a"], ["b"]), [numbers("c", [6, 3])]],
  ["Sub of a scalar", node("Sub", ["a", "c"], ["b"]), [numbers("c", [])]],
  ["Add to itself", node("Add", ["a", "a"], ["b"]), []],
  ["PRelu", node("PRelu", ["a", "c"], ["b"]), [numbers("c", [4, 1, 3])]],
  ["Clip", node("Clip", ["a", "c"], ["b"]), [numbers("c", [])]],
  ["LeakyRelu", node("LeakyRelu", ["a"], ["b"], { attributes: { alpha: float(0.1) } }), []],
  ["Softmax", node("Softmax", ["a"], ["b"]), []],
  ["Softmax of a middle axis", node("Softmax", ["a"], ["b"], { attributes: { axis: 1 } }), []],
  [
    "Concat with a constant",
    node("Concat", ["a", "c"], ["b"], { attributes: { axis: 3 } }),
    [numbers("c", [2, 4, 6, 2])],
  ],
  ["ReduceMean that keeps", node("ReduceMean", ["a"], ["b"], { attributes: { axes: [1, 2] } }), []],
  ["ReduceSum that keeps", node("ReduceSum", ["a", "c"], ["b"]), [intTensor("c", [-1])]],
  ["ArgMax", node("ArgMax", ["a"], ["b"], { attributes: { axis: -1 } }), []],
  ["Pad", node("Pad", ["a", "c"], ["b"]), [intTensor("c", [0, 1, 2, 0, 0, 3, 4, 1])]],
  ["Tile", node("Tile", ["a", "c"], ["b"]), [intTensor("c", [1, 2, 1, 3])]],
  [
    "Slice",
    node("Slice", ["a", "c", "d", "e"], ["b"]),
    [intTensor("c", [1, 0]), intTensor("d", [3, 2]), intTensor("e", [2, -1])],
  ],
  [
    "Slice of the axes in front",
    node("Slice", ["a", "c", "d"], ["b"]),
    [intTensor("c", [0, 1]), intTensor("d", [1, 9])],
  ],
];

test.each(OPS)("%s is passed by Transposes on both sides", async (_, op, tensors) => {
  const options = op.op === "Softmax" || op.op.startsWith("Reduce") ? { tolerance: 1e-6 } : {};
  expect(await left(between([op], tensors), options)).toBe(1);
});

test("both parts of a Split are in the other order", async () => {
  const split = node("Split", ["a"], ["p", "q"], { attributes: { axis: 1 } });
  const nodes = [
    first("x", "x1"),
    last("x1", "x2"),
    node("Abs", ["x2"], ["a0"]),
    first("a0", "a1"),
    last("a1", "a"),
    split,
  ];
  const ends = [first("p", "p1"), first("q", "q1"), node("Add", ["p1", "q1"], ["y"])];
  expect(await left(modelOf([...nodes, ...ends]))).toBeLessThanOrEqual(1);
});

test("reductions that drop axes leave no Transpose where the order of the rest is the same", async () => {
  const mean = node("ReduceMean", ["a"], ["y"], { attributes: { axes: [1, 2], keepdims: 0 } });
  const chain = [first("x", "x1"), pool("x1", "r"), last("r", "a"), mean];
  expect(await left(modelOf(chain), { tolerance: 1e-6 })).toBe(1);
});

test("an axis that goes leaves the others in the order they had", async () => {
  for (const axis of [0, 1, 3]) {
    const max = node("ReduceMax", ["a"], ["y"], { attributes: { axes: [axis], keepdims: 0 } });
    const undo = node("Transpose", ["b"], ["c"], { attributes: { perm: [1, 2, 0] } });
    const again = node("Transpose", ["c"], ["y"], { attributes: { perm: [1, 0, 2] } });
    const chain = [first("x", "x1"), pool("x1", "r"), last("r", "a"), { ...max, outputs: ["b"] }, undo, again];
    expect(await left(modelOf(chain))).toBeLessThan(4);
  }
});

test("two Transposes in a row are one", async () => {
  const turn = (from: string, to: string, perm: readonly number[]) =>
    node("Transpose", [from], [to], { attributes: { perm } });
  const nodes = [turn("x", "a", [0, 3, 1, 2]), turn("a", "b", [1, 0, 2, 3]), pool("b", "y")];
  expect(await left(modelOf(nodes))).toBe(1);
});

test("a Reshape that can't see the order of axes of length 1 needs no Transpose", async () => {
  const mean = node("GlobalAveragePool", ["x1"], ["r"]);
  const nodes = [first("x", "x1"), mean, last("r", "a"), node("Reshape", ["a", "s"], ["y"])];
  const model = modelOf(nodes, [intTensor("s", [-1, 3])]);
  const declared = {
    ...model,
    graph: { ...model.graph, values: new Map([["a", valueInfo("a", "float32", ["N", 1, 1, 3])]]) },
  };
  expect(await left(declared, { tolerance: 1e-6 })).toBe(1);
  expect(transposes(await applied(cancelTransposes, model, { tolerance: 1e-6 }))).toBe(2);
});

test("a Reshape that a Transpose of axes of length 1 follows gives the order itself", async () => {
  const gate = [node("GlobalAveragePool", ["x1"], ["g"]), node("Reshape", ["g", "s"], ["h"]), first("h", "h1")];
  const nodes = [first("x", "x1"), ...gate, node("Mul", ["x1", "h1"], ["y"])];
  expect(await left(modelOf(nodes, [intTensor("s", [-1, 1, 1, 3])]), { tolerance: 1e-6 })).toBe(1);
  const moved = [first("x", "x1"), ...gate, node("MaxPool", ["h1"], ["y"], { attributes: { kernel_shape: [1, 1] } })];
  expect(await left(modelOf(moved, [intTensor("s", [-1, 1, 3, 1])]), { tolerance: 1e-6 })).toBe(1);
  const long = [
    first("x", "x1"),
    pool("x1", "p"),
    node("Reshape", ["p", "s"], ["h"]),
    first("h", "h1"),
    pool("h1", "y"),
  ];
  expect(await left(modelOf(long, [intTensor("s", [-1, 4, 6, 3])]))).toBe(2);
});

test("a value that leaves the graph or is read by another op keeps its Transpose", async () => {
  const nodes = [first("x", "a"), node("Relu", ["a"], ["b"]), last("b", "y"), node("Shape", ["y"], ["s"])];
  expect(await left(modelOf(nodes, [], ["s", "a"]))).toBe(1);
});

test("constants that one node reads keep their names, others are copied, and it is said how they were turned", () => {
  const nodes = [
    first("x", "x1"),
    pool("x1", "r"),
    last("r", "a"),
    node("Add", ["a", "own"], ["b"]),
    node("Mul", ["b", "shared"], ["c"]),
    first("c", "y"),
    node("Neg", ["shared"], ["z"]),
  ];
  const model = modelOf(nodes, [numbers("own", [3]), numbers("shared", [6, 3])], ["z"]);
  const { graph, turned } = withoutTransposes(model.graph);
  expect(graph.tensors.get("own")!.shape).toEqual([1, 3, 1, 1]);
  expect(graph.tensors.get("shared")).toBe(model.graph.tensors.get("shared"));
  expect([...turned]).toEqual([
    ["own", { constant: "own", perm: FIRST }],
    ["shared_turned", { constant: "shared", perm: FIRST }],
  ]);
});

test("values of a sub-graph and pairs across a graph's ends keep their names", async () => {
  const branch = (op: string) => ({
    ...onnxModel({ inputs: [], outputs: [{ name: `${op}_out` }], nodes: [node(op, ["b"], [`${op}_out`])] }).graph,
  });
  const choose = node("If", ["yes"], ["y"], { attributes: { then_branch: branch("Abs"), else_branch: branch("Neg") } });
  const yes = { ...floatTensor("yes", [], [0]), dtype: "bool" as const };
  const flag = {
    ...yes,
    data: {
      ...floatTensor("", [], [0]).data,
      size: 1,
      bytes: new Uint8Array([1]),
      read: async () => new Uint8Array([1]),
    },
  };
  await applied(cancelTransposes, modelOf([first("x", "a"), last("a", "b"), choose], [flag]));
});
