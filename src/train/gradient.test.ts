import { expect, test } from "vitest";
import { floatTensor, intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, NDArray, Node, Tensor } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { bytesOfModel, run, testEngine } from "../passes/same-outputs.case.ts";
import { gradientGraph } from "./gradient.ts";

const scalarLoss = valueInfo("loss", "float32", []);

const model = (nodes: readonly Node[], tensors: readonly Tensor[] = [], init = {}): Model =>
  onnxModel({ inputs: [valueInfo("x", "float32", [2, 3])], outputs: [scalarLoss], nodes, tensors }, init);

const sum = (from: string): Node => node("ReduceSum", [from], ["loss"], { attributes: { keepdims: 0 } });

const array = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

const x = array([2, 3], [1, 2, 3, 4, 5, 6]);

test("a value that is used several times gets the sum of its gradients", async () => {
  const nodes = [
    node("Mul", ["x", "x"], ["a"]),
    node("Add", ["a", "x"], ["b"]),
    node("Sub", ["b", "x"], ["c"]),
    sum("c"),
  ];
  const trained = assertLegal(gradientGraph(model(nodes), "loss", ["x"]));
  const outputs = await run(trained, { x });
  expect([...outputs["grad/x"]!.data]).toEqual([2, 4, 6, 8, 10, 12]);
  expect([...outputs.loss!.data]).toEqual([91]);
});

test("a parameter the loss does not depend on gets zeros of its shape", async () => {
  const nodes = [node("Exp", ["w"], ["unused"]), sum("x")];
  const before = model(nodes, [floatTensor("w", [2, 2], [1, 2, 3, 4])]);
  const outputs = await run(gradientGraph(before, "loss", ["w", "x"]), { x });
  expect(outputs["grad/w"]).toMatchObject({ shape: [2, 2], data: new Float32Array(4) });
  expect([...outputs["grad/x"]!.data]).toEqual([1, 1, 1, 1, 1, 1]);
});

test("a loss of several elements is summed, and the loss may be a parameter itself", async () => {
  const nodes = [node("Mul", ["x", "x"], ["square"]), sum("square")];
  const outputs = await run(gradientGraph(model(nodes), "square", ["x"]), { x });
  expect([...outputs["grad/x"]!.data]).toEqual([2, 4, 6, 8, 10, 12]);
  const itself = await run(gradientGraph(model(nodes), "x", ["x"]), { x });
  expect([...itself["grad/x"]!.data]).toEqual([1, 1, 1, 1, 1, 1]);
});

test("exactly at a bound of Clip the gradient belongs to the bound, at 0 Relu has none", async () => {
  const nodes = [
    node("Clip", ["x", "low"], ["c"]),
    node("Sub", ["c", "low"], ["r"]),
    node("Relu", ["r"], ["y"]),
    sum("y"),
  ];
  const clipped = { ...model(nodes, [floatTensor("low", [], [3])]), opsets: { "": 17 } };
  const through = await run(gradientGraph(clipped, "loss", ["x"]), { x });
  expect([...through["grad/x"]!.data]).toEqual([0, 0, 0, 1, 1, 1]);
  const bound = await run(gradientGraph(clipped, "c", ["x", "low"]), { x });
  expect([...bound["grad/x"]!.data, ...bound["grad/low"]!.data]).toEqual([0, 0, 0, 1, 1, 1, 3]);
});

test.for(["Relu", "Clip"])("what %s cuts off gets no gradient, even where that behind it is infinite", async (op) => {
  const bounds = op === "Clip" ? ["zero"] : [];
  const nodes = [node(op, ["x", ...bounds], ["a"]), node("Sqrt", ["a"], ["b"]), sum("b")];
  const trained = gradientGraph(model(nodes, [floatTensor("zero", [], [0])]), "loss", ["x"]);
  const outputs = await run(trained, { x: array([2, 3], [-1, 4, -2, 16, 1, -3]) });
  expect([...outputs["grad/x"]!.data]).toEqual([0, 0.25, 0, 0.125, 0.5, 0]);
});

test.for([
  { side: 3, laidOut: true },
  { side: 64, laidOut: false },
])("a kernel of $side x $side is laid out by a convolution: $laidOut", ({ side, laidOut }) => {
  const shape = [2, 1, side, side];
  const image = onnxModel({
    inputs: [valueInfo("x", "float32", [4, 1, 64, 64])],
    outputs: [scalarLoss],
    nodes: [node("Conv", ["x", "w"], ["y"]), sum("y")],
    tensors: [floatTensor("w", shape, new Float32Array(2 * side * side))],
  });
  const ops = gradientGraph(image, "loss", ["w"]).graph.nodes.map(({ op }) => op);
  expect(ops.includes("EyeLike")).toBe(laidOut);
});

test("lengths of 0 and a batch of none give gradients of the same shape", async () => {
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", 3])],
    outputs: [scalarLoss],
    nodes: [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["h"]), sum("h")],
    tensors: [floatTensor("w", [3, 2], [1, 2, 3, 4, 5, 6]), floatTensor("b", [2], [0, 0])],
  });
  const outputs = await run(gradientGraph(before, "loss", ["x", "w", "b"]), { x: array([0, 3], []) });
  expect(outputs["grad/x"]!.shape).toEqual([0, 3]);
  expect(outputs["grad/w"]).toMatchObject({ shape: [3, 2], data: new Float32Array(6) });
  expect(outputs["grad/b"]).toMatchObject({ shape: [2], data: new Float32Array(2) });
});

test("nodes off the way to the loss need no rule", () => {
  const nodes = [node("Det", ["x"], ["f"]), node("Shape", ["x"], ["s"]), node("Exp", ["x"], ["e"]), sum("e")];
  expect(() => gradientGraph(model(nodes), "loss", ["x"])).not.toThrow();
});

test("the model it was made from is unchanged, and its own outputs stay", () => {
  const before = model([node("Exp", ["x"], ["e"]), sum("e")]);
  const after = gradientGraph(before, "loss", ["x"]);
  expect(before.graph.nodes).toHaveLength(2);
  expect(after.graph.nodes.slice(0, 2)).toEqual(before.graph.nodes);
  expect(after.graph.outputs).toEqual([scalarLoss, valueInfo("grad/x", "float32", [2, 3])]);
});

const refused = (nodes: readonly Node[], tensors: readonly Tensor[] = [], init = {}) =>
  expect(() => gradientGraph(model(nodes, tensors, init), "loss", ["x"]));

test("an op without a rule is refused with its node", () => {
  refused([node("Det", ["x"], ["f"], { name: "down" }), sum("f")]).toThrow(/node "down" \(Det\).*no gradient rule/);
  const contrib = node("FastGelu", ["x"], ["f"], { name: "act", domain: "com.microsoft" });
  const opsets = { "": 17, "com.microsoft": 1 };
  refused([contrib, sum("f")], [], { opsets }).toThrow(/node "act" \(com.microsoft.FastGelu\)/);
  refused([node("toString", ["x"], ["f"]), sum("f")]).toThrow(/no gradient rule/);
});

test("what a rule does not cover is refused with its node", () => {
  const same = { auto_pad: "SAME_UPPER", strides: [2, 2] };
  const conv = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 1, "height", 4])],
    outputs: [scalarLoss],
    nodes: [node("Conv", ["x", "w"], ["c"], { name: "conv1", attributes: same }), sum("c")],
    tensors: [floatTensor("w", [1, 1, 2, 2], [1, 2, 3, 4])],
  });
  expect(() => gradientGraph(conv, "loss", ["x"])).toThrow(/node "conv1" \(Conv\): auto_pad needs the lengths of "x"/);
});

test("a request that makes no sense is refused", () => {
  const good = model([node("Exp", ["x"], ["e"]), sum("e")], [intTensor("i", [1])]);
  expect(() => gradientGraph(good, "los", ["x"])).toThrow(/no value "los"/);
  expect(() => gradientGraph(good, "loss", ["e"])).toThrow(/"e" is neither an input nor an initializer/);
  expect(() => gradientGraph(good, "loss", ["x", "x"])).toThrow(/twice/);
  expect(() => gradientGraph(good, "loss", ["i"])).toThrow(/"i" is of type int64/);
  expect(() => gradientGraph({ ...good, opsets: { "": 13 } }, "loss", ["x"])).toThrow(/opset 13/);
  const taken = model([node("Exp", ["x"], ["grad/x"]), sum("grad/x")]);
  expect(() => gradientGraph(taken, "loss", ["x"])).toThrow(/"grad\/x" already/);
});

test("a chain of 20,000 nodes is differentiated without deep recursion", () => {
  const count = 20_000;
  const chain = Array.from({ length: count }, (_, index) =>
    node("Neg", [index === 0 ? "x" : `v${index - 1}`], [`v${index}`]),
  );
  const after = gradientGraph(model([...chain, sum(`v${count - 1}`)]), "loss", ["x"]);
  expect(after.graph.nodes.length).toBeGreaterThan(2 * count);
});

/** A table of 64 rows, read 4,096 times; the loss is the sum of what was read times whole numbers, which add up exactly. */
const lookUp = {
  Gather: { indices: [4096], attributes: { axis: 0 } },
  GatherND: { indices: [4096, 1], attributes: {} },
};

test.for(["Gather", "GatherND"] as const)("threads lose no gradient of rows %s reads often", async (op) => {
  const [rows, width, count] = [64, 512, 4096];
  const { indices, attributes } = lookUp[op];
  const { uniform } = rng(3);
  const whole = (length: number, below: number) => Array.from({ length }, () => Math.floor(uniform() * below));
  const [ids, weights] = [whole(count, rows), whole(count * width, 8)];
  const nodes = [node(op, ["w", "ids"], ["read"], { attributes }), node("Mul", ["read", "x"], ["b"]), sum("b")];
  const before = onnxModel({
    inputs: [valueInfo("x", "float32", [count, width])],
    outputs: [scalarLoss],
    nodes,
    tensors: [floatTensor("w", [rows, width], new Array(rows * width).fill(1)), intTensor("ids", ids, indices)],
  });
  const expected = new Float32Array(rows * width);
  for (const [at, weight] of weights.entries())
    expected[ids[Math.floor(at / width)]! * width + (at % width)]! += weight;
  const bytes = await bytesOfModel(gradientGraph(before, "loss", ["w"]));
  const session = await (await testEngine()).open({ bytes }, { threads: 2, spin: true });
  for (let turn = 0; turn < 20; turn++) {
    const outputs = await session.run({ x: array([count, width], weights) }, ["grad/w"]);
    expect(outputs["grad/w"]!.data).toEqual(expected);
  }
  await session.close();
});

const PARAMETERS = { w1: [2, 8], b1: [8], w2: [8, 1], b2: [1] } as const;

/** Mean squared error of a two-layer perceptron; its parameters are inputs. */
const perceptron = onnxModel({
  inputs: [
    valueInfo("x", "float32", ["batch", 2]),
    valueInfo("target", "float32", ["batch", 1]),
    ...Object.entries(PARAMETERS).map(([name, shape]) => valueInfo(name, "float32", shape)),
  ],
  outputs: [scalarLoss],
  nodes: [
    node("Gemm", ["x", "w1", "b1"], ["h"]),
    node("Tanh", ["h"], ["a"]),
    node("MatMul", ["a", "w2"], ["m"]),
    node("Add", ["m", "b2"], ["y"]),
    node("Sub", ["y", "target"], ["e"]),
    node("Mul", ["e", "e"], ["square"]),
    node("ReduceMean", ["square"], ["loss"], { attributes: { keepdims: 0 } }),
  ],
});

const stepped = (value: NDArray, gradient: NDArray, rate: number): NDArray => ({
  ...value,
  data: (value.data as Float32Array).map((number, index) => number - rate * (gradient.data[index] as number)),
});

test("a two-layer perceptron learns exclusive-or by plain gradient descent", async () => {
  const names = Object.keys(PARAMETERS);
  const { normal } = rng(5);
  let feeds: Feeds = Object.fromEntries(
    Object.entries(PARAMETERS).map(([name, shape]) => {
      const count = shape.reduce((product: number, length) => product * length, 1);
      return [name, array(shape, Array.from({ length: count }, normal))];
    }),
  );
  const data = { x: array([4, 2], [0, 0, 0, 1, 1, 0, 1, 1]), target: array([4, 1], [0, 1, 1, 0]) };
  const bytes = await bytesOfModel(gradientGraph(perceptron, "loss", names));
  const session = await (await testEngine()).open({ bytes });
  const losses: number[] = [];
  for (let step = 0; step < 1000; step++) {
    const outputs = await session.run({ ...feeds, ...data });
    losses.push(outputs.loss!.data[0] as number);
    feeds = Object.fromEntries(names.map((name) => [name, stepped(feeds[name]!, outputs[`grad/${name}`]!, 0.2)]));
  }
  await session.close();
  expect(losses[0]).toBeGreaterThan(0.1);
  expect(losses.at(-1)).toBeLessThan(1e-3);
});
