import { expect, test } from "vitest";
import { float, floats, floatTensor, graph, node, onnxModel, valueInfo } from "../ir/build.ts";
import { readAll } from "../ir/source.ts";
import { constantNodes, constantOf, weightConstants } from "./constant-nodes.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const constant = (name: string, attributes: NonNullable<Parameters<typeof node>[3]>["attributes"]) =>
  node("Constant", [], [name], { attributes: attributes ?? {} });

test("a Constant node becomes an initializer, a graph output stays a node", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2]), valueInfo("c", "float32", [2])],
    nodes: [
      constant("b", { value: floatTensor("", [2], [1, 2]) }),
      constant("c", { value: floatTensor("", [2], [3, 4]) }),
      node("Add", ["x", "b"], ["y"]),
    ],
  });
  const after = await applied(constantNodes, model);
  expect(opsOf(after)).toEqual(["Constant", "Add"]);
  expect([...after.graph.tensors.keys()]).toEqual(["b"]);
});

test("every form of value is understood", async () => {
  const bytes = async (init: Parameters<typeof constant>[1]) => {
    const found = constantOf(constant("k", init))!;
    return [found.dtype, found.shape, [...(await readAll(found.data))].length, found.strings?.length];
  };
  expect(await bytes({ value_float: float(1.5) })).toEqual(["float32", [], 4, undefined]);
  expect(await bytes({ value_floats: floats([1, 2, 3]) })).toEqual(["float32", [3], 12, undefined]);
  expect(await bytes({ value_int: 7 })).toEqual(["int64", [], 8, undefined]);
  expect(await bytes({ value_ints: [1, 2] })).toEqual(["int64", [2], 16, undefined]);
  expect(await bytes({ value_string: "abc" })).toEqual(["string", [], 0, 1]);
  expect(constantOf(constant("k", { sparse_value: { type: "opaque", value: 0 } }))).toBeUndefined();
});

test("constants inside the branches of an If are found too", async () => {
  const branch = (name: string, value: number) =>
    graph({
      inputs: [],
      outputs: [valueInfo(`${name}_y`, "float32", [1])],
      nodes: [
        constant(`${name}_k`, { value: floatTensor("", [1], [value]) }),
        node("Add", ["x", `${name}_k`], [`${name}_y`]),
      ],
    });
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1]), valueInfo("c", "bool", [])],
    outputs: [valueInfo("y", "float32", [1])],
    nodes: [node("If", ["c"], ["y"], { attributes: { then_branch: branch("t", 1), else_branch: branch("e", 2) } })],
  });
  const x = { dtype: "float32", shape: [1], data: Float32Array.of(3) } as const;
  const feeds = { x, c: { dtype: "bool", shape: [], data: Uint8Array.of(0) } } as const;
  const after = await applied(constantNodes, model, { feeds });
  const inner = after.graph.nodes[0]!.attributes.then_branch!;
  expect(inner.type === "graph" && inner.value.nodes.map(({ op }) => op)).toEqual(["Add"]);
});

test("a model without Constant nodes comes back as the same object", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "float32", [1])],
    nodes: [node("Relu", ["x"], ["y"])],
  });
  expect(await constantNodes.apply(model, context)).toBe(model);
});

test("for contracts only weights leave their Constant nodes", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [
      constant("w", { value: floatTensor("", [2, 2], [1, 2, 3, 4]) }),
      constant("b", { value: floatTensor("", [2], [1, 2]) }),
      node("MatMul", ["x", "w"], ["p"]),
      node("Add", ["p", "b"], ["y"]),
    ],
  });
  const after = await applied(weightConstants, model);
  expect(opsOf(after)).toEqual(["Constant", "MatMul", "Add"]);
  expect([...after.graph.tensors.keys()]).toEqual(["w"]);
});
