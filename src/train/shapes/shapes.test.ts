import { expect, test } from "vitest";
import { floatTensor, intTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { Feeds, Graph, Node, Tensor } from "../../ir/model.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { CASES } from "../checks/index.case.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { knownTypes } from "../types.ts";
import { broadcastLength, product, quotient } from "./lengths.ts";

test("products of open lengths cancel out, and what does not divide is not known", () => {
  expect(product([2, "n", 3])).toBe("6×n");
  expect(product(["t", "n"])).toBe(product(["n", "t"]));
  expect(quotient(product([2, "n", 3]), 6)).toBe("n");
  expect(quotient(product(["n", "t", 4]), product(["t", 2]))).toBe("2×n");
  expect(quotient("n", 2)).toBeNull();
  expect(quotient("n", "t")).toBeNull();
  expect(product([0, "n"])).toBe(0);
  expect(product([2, null])).toBeNull();
});

test("an open length beside another one is not known, beside 1 it stays, beside a number it is that number or 1", () => {
  expect(broadcastLength("n", "t")).toBeNull();
  expect(broadcastLength("n", 1)).toBe("n");
  expect(broadcastLength("n", 4)).toBe(4);
  expect(broadcastLength("n", "n")).toBe("n");
});

const inferredOf = (nodes: readonly Node[], tensors: readonly Tensor[] = []) =>
  knownTypes(
    onnxModel({ inputs: [valueInfo("x", "float32", ["n", 3, 8])], outputs: [valueInfo("y")], nodes, tensors }).graph,
  );

test("a shape that is computed from the shape of another value is followed", () => {
  const known = inferredOf(
    [
      node("Shape", ["x"], ["s"]),
      node("Gather", ["s", "zero"], ["batch"]),
      node("Unsqueeze", ["batch", "first"], ["b"]),
      node("Concat", ["b", "rest"], ["target"], { attributes: { axis: 0 } }),
      node("Reshape", ["x", "target"], ["y"]),
    ],
    [intTensor("zero", [0], []), intTensor("first", [0]), intTensor("rest", [-1, 4])],
  );
  expect(known.get("y")?.dims).toEqual(["n", 6, 4]);
});

test("constants whose types are declared beside them keep their numbers", () => {
  const { graph } = onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 3, 8])],
    outputs: [valueInfo("y")],
    nodes: [node("Reshape", ["x", "target"], ["y"])],
    tensors: [intTensor("target", [-1, 4, 6])],
    values: [valueInfo("target", "int64", [3])],
  });
  expect(knownTypes(graph).get("y")?.dims).toEqual(["n", 4, 6]);
});

test.each([
  ["RNN", 1, "forward"],
  ["GRU", 3, "bidirectional"],
  ["LSTM", 4, "reverse"],
] as const)("recurrent layers: %s, the shapes that the engine gives", async (op, gates, direction) => {
  const directions = direction === "bidirectional" ? 2 : 1;
  const outputs = op === "LSTM" ? ["y", "h", "c"] : ["y", "h"];
  const zeros = (name: string, shape: readonly number[]) =>
    floatTensor(name, shape, new Float32Array(elementCount(shape)));
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [5, "n", 3])],
    outputs: outputs.map((name) => valueInfo(name, "float32")),
    nodes: [node(op, ["x", "w", "r"], outputs, { attributes: { hidden_size: 2, direction } })],
    tensors: [zeros("w", [directions, 2 * gates, 3]), zeros("r", [directions, 2 * gates, 2])],
  });
  const known = knownTypes(model.graph);
  const found = await run(model, { x: { dtype: "float32", shape: [5, 4, 3], data: new Float32Array(60) } });
  for (const name of outputs)
    expect(known.get(name)?.dims?.map((dim) => (dim === "n" ? 4 : dim))).toEqual(found[name]!.shape);
});

test("declared lengths that say less than the ops do give way to them", () => {
  const { graph } = onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 4])],
    outputs: [valueInfo("y", "float32", ["unk", 4])],
    nodes: [node("Relu", ["x"], ["y"])],
  });
  expect(knownTypes(graph).get("y")?.dims).toEqual(["n", 4]);
});

test("a constant that callers may replace has no known elements", () => {
  const { graph } = onnxModel({
    inputs: [valueInfo("x", "float32", [4]), valueInfo("shape", "int64", [2])],
    outputs: [valueInfo("y")],
    nodes: [node("Reshape", ["x", "shape"], ["y"])],
    tensors: [intTensor("shape", [2, 2]), floatTensor("unused", [1], [0])],
  });
  expect(knownTypes(graph).get("y")).toEqual({ dtype: "float32", rank: 2, dims: ["?y.0", "?y.1"] });
});

/** Every input with open lengths of its own, as in the gradient checks. */
function openGraph(checked: GradCase): { readonly model: ReturnType<typeof onnxModel>; readonly opset: number } {
  const { precision = "float64", opsets = [21] } = checked;
  const opset = opsets.at(-1)!;
  const inputs = Object.entries(checked.inputs).map(([name, { shape, fixed }]) =>
    valueInfo(name, precision, fixed ? shape : shape.map((_, axis) => `${name}${axis}`)),
  );
  const init = { opsets: { "": opset }, formatVersion: 10 };
  const parts = { nodes: checked.nodes(precision), tensors: checked.tensors?.(precision) ?? [] };
  return { model: onnxModel({ inputs, outputs: [valueInfo("y", precision)], ...parts }, init), opset };
}

/** The value of a length whose symbols are axes of the inputs; undefined for symbols made up on the way. */
function lengthOf(dim: string | number, checked: GradCase): number | undefined {
  const factors = String(dim)
    .split("×")
    .map((part) => {
      if (/^\d+$/.test(part)) return Number(part);
      const [, name = "", axis = ""] = /^(.+?)(\d)$/.exec(part) ?? [];
      return part.startsWith("?") ? undefined : checked.inputs[name]?.shape[Number(axis)];
    });
  return factors.some((factor) => factor === undefined) ? undefined : factors.reduce((a, b) => a! * b!, 1);
}

async function shapeOfRun(checked: GradCase, graph: Graph, model: ReturnType<typeof onnxModel>) {
  const feeds: Feeds = Object.fromEntries(
    Object.entries(checked.inputs).map(([name, { shape }]) => {
      const values = Array.from({ length: elementCount(shape) }, (_, index) => 0.5 + index * 0.1);
      const { dtype = "float64" } = graph.inputs.find((input) => input.name === name)!;
      return [
        name,
        { dtype, shape, data: dtype === "float32" ? Float32Array.from(values) : Float64Array.from(values) },
      ];
    }),
  );
  return (await run(model, feeds)).y!.shape;
}

test.for([...new Set(CASES.map(({ op }) => op))])(
  "the inferred shape of %s is the one the engine gives",
  async (op) => {
    for (const checked of CASES.filter((other) => other.op === op)) {
      const { model } = openGraph(checked);
      const dims = knownTypes(model.graph).get("y")?.dims;
      if (dims === undefined) continue;
      const shape = await shapeOfRun(checked, model.graph, model);
      expect(dims.length, checked.label).toBe(shape.length);
      for (const [axis, dim] of dims.entries()) {
        const value = lengthOf(dim!, checked);
        if (value !== undefined) expect(value, `${checked.label}, axis ${axis} of [${dims}]`).toBe(shape[axis]);
      }
    }
  },
);
