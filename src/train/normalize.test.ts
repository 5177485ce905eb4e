import { afterAll, expect, test } from "vitest";
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
import { assertLegal } from "../ir/check.ts";
import type { Attribute, FunctionDef, Model, Node, Tensor } from "../ir/model.ts";
import { floatsOf } from "../numeric/convert.ts";
import { normalFeeds, run } from "../passes/same-outputs.case.ts";
import { of } from "./checks/builders.case.ts";
import { type Given, type GradCase, gradientError, TOLERANCE } from "./gradcheck.case.ts";
import { gradientGraph } from "./gradient.ts";
import { normalizeForTraining, TRAINING_OPSET } from "./normalize.ts";

const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true });

/** One node of an old operator set, with constants of its own. */
const old = (
  op: string,
  opset: number,
  shape: readonly number[],
  attributes: Readonly<Record<string, AttributeInit>> = {},
  tensors: readonly Tensor[] = [],
): GradCase => ({
  ...{ op, label: `of operator set ${opset}`, precision: "float32", opsets: [opset] },
  inputs: { x: fixed(...shape) },
  tensors: () => tensors,
  nodes: () => [node(op, ["x", ...tensors.map(({ name }) => name)], ["y"], { attributes })],
  prepare: normalizeForTraining,
});

const vector = (name: string, ...values: readonly number[]): Tensor => floatTensor(name, [values.length], values);
const statistics = [vector("s", 1, 2, 0.5), vector("b", 0, 1, 2), vector("m", 0.1, 0.2, 0.3), vector("v", 1, 2, 3)];

const OLD: readonly GradCase[] = [
  ...[7, 9, 11, 12].flatMap((opset) => [
    old("Softmax", opset, [2, 3, 4], { axis: 1 }),
    old("LogSoftmax", opset, [3, 4], { axis: -1 }),
  ]),
  ...[7, 10, 11].map((opset) => old("Dropout", opset, [2, 3], { ratio: float(0.3) })),
  ...[7, 9, 13].map((opset) => old("BatchNormalization", opset, [2, 3, 4], {}, statistics)),
  ...[7, 10].map((opset) => old("Clip", opset, [3, 4], { min: float(-40), max: float(40) })),
  ...[7, 10].map((opset) => old("Pad", opset, [2, 3], { pads: [1, 0, 0, 2], value: float(0.5) })),
  ...[7, 9].map((opset) => old("Slice", opset, [4, 5], { starts: [1, -3], ends: [3, 5], axes: [0, 1] })),
  old("Upsample", 7, [1, 2, 3, 3], { scales: floats([1, 1, 2, 2]), mode: "nearest" }),
  old("Upsample", 9, [1, 2, 3, 3], { mode: "nearest" }, [vector("scales", 1, 1, 2, 2)]),
  old("Resize", 10, [1, 2, 3, 3], { mode: "nearest" }, [vector("scales", 1, 1, 2, 2)]),
  ...[7, 11, 13, 17].map((opset) => old("ReduceMean", opset, [2, 3, 4], { axes: opset < 11 ? [0, 2] : [-1] })),
  ...[7, 12].map((opset) => old("ReduceSum", opset, [2, 3, 4], { axes: [1], keepdims: 0 })),
  old("Squeeze", 11, [2, 1, 3], { axes: [1] }),
  old("Unsqueeze", 12, [2, 3], { axes: [0, 3] }),
  old("GlobalAveragePool", 8, [2, 3, 4]),
  old("MaxPool", 8, [1, 2, 5, 5], { kernel_shape: [3, 3], strides: [2, 2] }),
  {
    ...old("GroupNormalization", 18, [2, 4, 3], { num_groups: 2, epsilon: 1e-3 }),
    inputs: { x: fixed(2, 4, 3), s: fixed(2), b: fixed(2) },
    nodes: () => [node("GroupNormalization", ["x", "s", "b"], ["y"], { attributes: { num_groups: 2, epsilon: 1e-3 } })],
  },
  {
    ...old("Split", 11, [4, 3]),
    nodes: () => [
      node("Split", ["x"], ["a", "b"], { attributes: { axis: 0, split: [1, 3] } }),
      node("Add", ["a", "b"], ["y"]),
    ],
  },
  {
    ...old("Gemm", 7, [2, 3]),
    inputs: { x: fixed(2, 3), w: of([4, 3]), b: of([4]) },
    nodes: () => [
      node("Constant", [], ["shape"], { attributes: { value: intTensor("", [1, 8]) } }),
      node("Gemm", ["x", "w", "b"], ["g"], { attributes: { transB: 1 } }),
      node("Reshape", ["g", "shape"], ["y"]),
    ],
  },
];

/** Rounding in single precision, over the largest number. */
const SAME = 1e-6;

const modelOf = ({ nodes, tensors, inputs, opsets }: GradCase): Model =>
  onnxModel(
    {
      inputs: Object.entries(inputs).map(([name, { shape }]) => valueInfo(name, "float32", shape)),
      outputs: [valueInfo("y")],
      nodes: nodes("float32"),
      tensors: tensors?.("float32") ?? [],
    },
    { opsets: { "": opsets![0]! }, formatVersion: 8 },
  );

/** Between a model (or another that is known to compute the same) and its normalized form. */
async function difference(before: Model, reference = before): Promise<number> {
  const after = assertLegal(await normalizeForTraining(before));
  expect(after.opsets[""]).toBe(TRAINING_OPSET);
  const feeds = normalFeeds(before.graph.inputs);
  const [own, plain] = [(await run(reference, feeds)).y!, (await run(after, feeds)).y!];
  expect(plain.shape).toEqual(own.shape);
  const [a, b] = [own, plain].map(({ data, dtype }) => floatsOf(data, dtype)) as [Float32Array, Float32Array];
  return Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / Math.max(...a.map(Math.abs));
}

const worst = new Map<string, number>();

test.for([...new Set(OLD.map(({ op }) => op))])(
  "%s of old operator sets computes the same, and its gradients are right",
  async (op) => {
    for (const checked of OLD.filter((other) => other.op === op)) {
      expect(await difference(modelOf(checked)), `outputs, ${checked.label}`).toBeLessThan(SAME);
      const error = await gradientError(checked);
      expect(error, `gradients, ${checked.label}`).toBeLessThan(TOLERANCE.float32);
      worst.set(op, Math.max(error, worst.get(op) ?? 0));
    }
  },
);

afterAll(() => {
  const rows = [...worst].map(([op, error]) => `  ${op.padEnd(20)} ${error.toExponential(1)}`);
  console.log(["worst relative error of gradients through models of old operator sets:", ...rows].join("\n"));
});

const utf8 = new TextEncoder();

/** An attribute of a function's node that refers to one of the call, as files hold it (AttributeProto, fields 1, 21 and 20). */
function reference(name: string, from: string, type: number): Attribute {
  const text = (value: string) => [value.length, ...utf8.encode(value)];
  const onnx = Uint8Array.from([0x0a, ...text(name), 0xaa, 0x01, ...text(from), 0xa0, 0x01, type]);
  return { type: "opaque", value: { onnx, outside: false } };
}

const made = (name: string, inputs: readonly string[], nodes: readonly Node[], opset = 17): FunctionDef => ({
  ...{ name, domain: "local", inputs, outputs: ["out"], nodes },
  opsets: { "": opset, local: 1 },
});

const leaky: FunctionDef = made(
  "Leaky",
  ["a"],
  [node("LeakyRelu", ["a"], ["out"], { attributes: { alpha: reference("alpha", "slope", 1) } })],
);

/** Calls another function twice, and has names the model has too. */
const twice = (opset: number, last: readonly Node[]): FunctionDef =>
  made(
    "Twice",
    ["a", "b"],
    [
      node("Leaky", ["a"], ["y"], { domain: "local", attributes: { slope: 0.25 } }),
      node("Leaky", ["b"], ["x"], { domain: "local", attributes: { slope: 0.5 } }),
      node("Add", ["x", "y"], ["h"]),
      ...last,
    ],
    opset,
  );

const sum = (inputs: readonly string[], attributes = {}) => node("ReduceSum", inputs, ["out"], { attributes });
const newer = twice(17, [
  node("Constant", [], ["one"], { attributes: { value: intTensor("", [1]) } }),
  sum(["h", "one"]),
]);
const older = twice(11, [sum(["h"], { axes: [1] })]);

const calling = onnxModel(
  {
    inputs: [valueInfo("x", "float32", [2, 3]), valueInfo("w", "float32", [3])],
    outputs: [valueInfo("y")],
    nodes: [
      node("Mul", ["x", "w"], ["h"]),
      node("Twice", ["h", "x"], ["t"], { domain: "local" }),
      node("Tanh", ["t"], ["y"]),
    ],
  },
  { opsets: { "": 17, local: 1 }, functions: [leaky, newer], formatVersion: 8 },
);

test("functions are inlined, those of another operator set and with attributes of the call too", async () => {
  expect(await difference(calling)).toBeLessThan(SAME);
  // The engine refuses functions of an older operator set that has other attributes, though ONNX allows them.
  expect(await difference({ ...calling, functions: [leaky, older] }, calling)).toBeLessThan(SAME);
  const after = await normalizeForTraining(calling);
  expect(after.functions).toEqual([]);
  expect(after.graph.nodes.map(({ domain }) => domain)).not.toContain("local");
});

test("a function that calls itself is refused", async () => {
  const endless = made("Leaky", ["a"], [node("Leaky", ["a"], ["out"], { domain: "local" })]);
  await expect(normalizeForTraining({ ...calling, functions: [endless, newer] })).rejects.toThrow(
    /"Leaky" is called more than 100 deep/,
  );
});

test("a model that has the form stays the same object", async () => {
  const plain = onnxModel(
    { inputs: [valueInfo("x", "float32", [2])], outputs: [valueInfo("y")], nodes: [node("Relu", ["x"], ["y"])] },
    { opsets: { "": 21 }, formatVersion: 10 },
  );
  expect(await normalizeForTraining(plain)).toBe(plain);
});

test("ops inside a branch are written out too, and the way back goes through it", async () => {
  const branch = (nodes: readonly Node[], name: string) =>
    graph({ name, inputs: [], outputs: [valueInfo(name)], nodes });
  const gelu = branch([node("FastGelu", ["x"], ["yes"], { domain: "com.microsoft" })], "yes");
  const attributes = { then_branch: gelu, else_branch: branch([node("Neg", ["x"], ["no"])], "no") };
  const before = onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2]), valueInfo("c", "bool", [])],
      outputs: [valueInfo("loss", "float32", [])],
      nodes: [
        node("If", ["c"], ["y"], { attributes }),
        node("ReduceSum", ["y"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
    },
    { opsets: { "": 17, "com.microsoft": 1 } },
  );
  const after = assertLegal(gradientGraph(await normalizeForTraining(before), "loss", ["x"]));
  const x = { dtype: "float32", shape: [2], data: Float32Array.of(30, -30) } as const;
  const slopes = async (value: number) => {
    const c = { dtype: "bool", shape: [], data: Uint8Array.of(value) } as const;
    return [...(await run(after, { x, c }))["grad/x"]!.data];
  };
  expect(await slopes(1)).toEqual([1, 0]);
  expect(await slopes(0)).toEqual([-1, -1]);
});
