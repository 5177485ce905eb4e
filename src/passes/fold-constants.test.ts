import { expect, test } from "vitest";
import { float, floatTensor, graph, intTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Node, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { foldConstants } from "./fold-constants.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

const model = (nodes: readonly Node[], tensors: readonly Tensor[], shape: readonly number[] = [2, 3]) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", shape)],
    outputs: [valueInfo("y", "float32")],
    nodes,
    tensors,
  });

const values = async (found: Tensor | undefined) =>
  Array.from(typedView(await readAll(found!.data), found!.dtype), Number);

test("arithmetic on constants is done once", async () => {
  const nodes = [node("Mul", ["a", "b"], ["c"]), node("Sqrt", ["c"], ["d"]), node("Add", ["x", "d"], ["y"])];
  const after = await applied(
    foldConstants,
    model(nodes, [floatTensor("a", [3], [1, 4, 9]), floatTensor("b", [], [4])]),
  );
  expect(opsOf(after)).toEqual(["Add"]);
  expect(await values(after.graph.tensors.get("d"))).toEqual([2, 4, 6]);
});

test("shape arithmetic of exporters becomes one constant", async () => {
  const nodes = [
    node("Gather", ["s", "i"], ["g"], { attributes: { axis: 0 } }),
    node("Unsqueeze", ["g", "zero"], ["u"]),
    node("Concat", ["u", "rest"], ["target"], { attributes: { axis: 0 } }),
    node("Reshape", ["x", "target"], ["y"]),
  ];
  const tensors = [intTensor("s", [3, 2]), intTensor("i", [0], []), intTensor("zero", [0]), intTensor("rest", [-1])];
  const after = await applied(foldConstants, model(nodes, tensors));
  expect(opsOf(after)).toEqual(["Reshape"]);
  expect(await values(after.graph.tensors.get("target"))).toEqual([3, -1]);
});

test("a transposed weight stays lazy and has the right bytes", async () => {
  const w = floatTensor(
    "w",
    [2, 3, 4],
    Array.from({ length: 24 }, (_, i) => i),
  );
  let reads = 0;
  const watched: Tensor = {
    ...w,
    data: {
      size: w.data.size,
      read(offset, length) {
        reads++;
        return w.data.read(offset, length);
      },
    },
  };
  const nodes = [
    node("Transpose", ["w"], ["t"], { attributes: { perm: [1, 2, 0] } }),
    node("MatMul", ["x", "t"], ["y"]),
  ];
  const before = model(nodes, [watched], [3, 2, 4]);
  const after = await foldConstants.apply(before, context);
  expect(opsOf(after)).toEqual(["MatMul"]);
  expect(reads).toBe(0);
  expect(after.graph.tensors.get("t")!.shape).toEqual([3, 4, 2]);
  await applied(foldConstants, before);
});

test("reshapes of a weight share its bytes", async () => {
  const w = floatTensor("w", [6], [1, 2, 3, 4, 5, 6]);
  const cases: readonly (readonly [Node, Tensor | undefined, readonly number[]])[] = [
    [node("Reshape", ["w", "s"], ["t"]), intTensor("s", [3, -1]), [3, 2]],
    [node("Unsqueeze", ["w", "s"], ["t"]), intTensor("s", [0, 2]), [1, 6, 1]],
    [node("Unsqueeze", ["w", "s"], ["t"]), intTensor("s", [-1]), [6, 1]],
    [node("Flatten", ["w"], ["t"], { attributes: { axis: 0 } }), undefined, [1, 6]],
  ];
  for (const [middle, argument, shape] of cases) {
    const nodes = [middle, node("Mul", ["x", "t"], ["y"])];
    const after = await applied(foldConstants, model(nodes, argument ? [w, argument] : [w], [1]));
    expect(after.graph.tensors.get("t")!.shape).toEqual(shape);
    expect(after.graph.tensors.get("t")!.data).toBe(w.data);
  }
});

test("nothing big is made: a bomb stays a node", async () => {
  const nodes = [
    node("ConstantOfShape", ["s"], ["c"]),
    node("Expand", ["one", "s"], ["e"]),
    node("Tile", ["one", "s"], ["t"]),
    node("Range", ["from", "to", "one"], ["r"]),
    node("Add", ["column", "row"], ["o"]),
    node("Relu", ["x"], ["y"]),
  ];
  const wide = Array.from({ length: 2048 }, (_, i) => i);
  const tensors = [
    intTensor("s", [1000, 1000, 1000]),
    intTensor("one", [1], []),
    intTensor("from", [0], []),
    intTensor("to", [2 ** 40], []),
    floatTensor("column", [2048, 1], wide),
    floatTensor("row", [1, 2048], wide),
  ];
  const before = model(nodes, tensors);
  expect(await foldConstants.apply(before, context)).toBe(before);
});

test("random numbers, quantization and what the caller may feed are left alone", async () => {
  const nodes = [
    node("RandomNormal", [], ["n"], { attributes: { shape: [3], seed: float(1) } }),
    node("DequantizeLinear", ["q", "scale"], ["d"]),
    node("Neg", ["open"], ["o"]),
    node("Sum", ["x", "d", "n", "o"], ["y"]),
  ];
  const before = model(nodes, [
    tensor("q", "int8", [3], Int8Array.of(1, 2, 3)),
    floatTensor("scale", [], [0.5]),
    floatTensor("open", [3], [1, 2, 3]),
  ]);
  const inputs = [...before.graph.inputs, valueInfo("open", "float32", [3])];
  const fed = { ...before, graph: { ...before.graph, inputs } };
  expect(await foldConstants.apply(fed, context)).toBe(fed);
});

test("without an engine only views are folded", async () => {
  const nodes = [node("Neg", ["a"], ["n"]), node("Reshape", ["a", "s"], ["t"]), node("Sum", ["x", "n", "t"], ["y"])];
  const after = await foldConstants.apply(model(nodes, [floatTensor("a", [3], [1, 2, 3]), intTensor("s", [1, 3])]), {});
  expect(opsOf(after)).toEqual(["Neg", "Sum"]);
});

test("a node the engine refuses stays, its neighbours are folded", async () => {
  const nodes = [
    node("Add", ["a", "b"], ["bad"]),
    node("Neg", ["a"], ["n"]),
    node("Add", ["x", "n"], ["y"]),
    node("Relu", ["bad"], ["z"]),
  ];
  const before = model(nodes, [floatTensor("a", [3], [1, 2, 3]), floatTensor("b", [2], [1, 2])]);
  expect(opsOf(await foldConstants.apply(before, context))).toEqual(["Add", "Add", "Relu"]);
});

test("a sub-graph folds constants of the graph around it", async () => {
  const branch = (name: string) =>
    graph({
      inputs: [],
      outputs: [valueInfo(`${name}_y`, "float32", [3])],
      nodes: [node("Neg", ["a"], [`${name}_n`]), node("Add", ["x", `${name}_n`], [`${name}_y`])],
    });
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [3]), valueInfo("c", "bool", [])],
    outputs: [valueInfo("y", "float32", [3])],
    nodes: [node("If", ["c"], ["y"], { attributes: { then_branch: branch("t"), else_branch: branch("e") } })],
    tensors: [floatTensor("a", [3], [1, 2, 3])],
  });
  const x = { dtype: "float32", shape: [3], data: Float32Array.of(3, -1, 2) } as const;
  const feeds = { x, c: { dtype: "bool", shape: [], data: Uint8Array.of(1) } } as const;
  const after = await applied(foldConstants, before, { feeds });
  const inner = after.graph.nodes[0]!.attributes.then_branch!;
  expect(inner.type === "graph" && inner.value.nodes.map(({ op }) => op)).toEqual(["Add"]);
});
