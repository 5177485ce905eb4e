import { afterAll, expect, test } from "vitest";
import { floatTensor, graph, intTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Graph, Model, Tensor } from "../../ir/model.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { normalFeeds, run } from "../../passes/same-outputs.case.ts";
import { type GradCase, gradientError, TOLERANCE } from "../gradcheck.case.ts";
import { gradientGraph } from "../gradient.ts";
import { UNROLLED } from "./cases.case.ts";
import { MAX_UNROLLED_NODES, unrollLoops } from "./index.ts";

/** Some roundings in single precision, over the largest number: sums come in another order, the recurrent kernels' tanh is their own. */
const SAME = 2e-6;

const modelOf = ({ nodes, tensors, inputs }: GradCase, opset: number): Model =>
  onnxModel(
    {
      inputs: Object.entries(inputs).map(([name, { shape }]) => valueInfo(name, "float32", shape)),
      outputs: [{ name: "y" }],
      nodes: nodes("float32"),
      tensors: tensors?.("float32") ?? [],
    },
    { opsets: { "": opset }, formatVersion: 10 },
  );

async function difference(checked: GradCase): Promise<number> {
  const before = modelOf(checked, 21);
  const after = assertLegal(unrollLoops(before));
  expect(after.graph.nodes.map(({ op }) => op)).not.toContain(checked.op);
  const feeds = normalFeeds(before.graph.inputs);
  const [own, plain] = [(await run(before, feeds)).y!, (await run(after, feeds)).y!];
  expect(plain.shape).toEqual(own.shape);
  const [a, b] = [own, plain].map(({ data, dtype }) => floatsOf(data, dtype)) as [Float32Array, Float32Array];
  return Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / Math.max(...a.map(Math.abs));
}

const worst = new Map<string, readonly [number, number]>();

test.for([...new Set(UNROLLED.map(({ op }) => op))])(
  "%s unrolled computes what the engine does, and its gradients are right",
  async (op) => {
    for (const checked of UNROLLED.filter((other) => other.op === op)) {
      const forward = await difference(checked);
      expect(forward, `outputs, ${checked.label}`).toBeLessThan(SAME);
      const gradient = await gradientError(checked);
      expect(gradient, `gradients, ${checked.label}`).toBeLessThan(TOLERANCE[checked.precision ?? "float64"]);
      const [a, b] = worst.get(op) ?? [0, 0];
      worst.set(op, [Math.max(a, forward), Math.max(b, gradient)]);
    }
  },
);

afterAll(() => {
  const rows = [...worst].map(
    ([op, [forward, gradient]]) => `  ${op.padEnd(8)} ${forward.toExponential(1)}  ${gradient.toExponential(1)}`,
  );
  console.log(["worst error of what is unrolled, outputs and gradients:", ...rows].join("\n"));
});

const refusing = (body: Graph, tensors: readonly Tensor[]): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2])],
      outputs: [valueInfo("loss", "float32", [])],
      nodes: [
        node("Loop", ["n", "", "x"], ["y"], { name: "while", attributes: { body } }),
        node("ReduceSum", ["y"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
      tensors,
    },
    { opsets: { "": 21 } },
  );

/** Goes on while the sum is small, or always. */
const body = (always: boolean): Graph =>
  graph({
    inputs: [valueInfo("i", "int64", []), valueInfo("go", "bool", []), valueInfo("v", "float32", [2])],
    outputs: [valueInfo("on", "bool", []), valueInfo("w", "float32", [2])],
    nodes: [
      node("Add", ["v", "v"], ["w"]),
      ...(always
        ? [node("Identity", ["go"], ["on"])]
        : [node("ReduceSum", ["w"], ["sum"], { attributes: { keepdims: 0 } }), node("Less", ["sum", "most"], ["on"])]),
    ],
    tensors: [floatTensor("most", [], [100])],
  });

test("a loop that ends when its data says so, or would be too long, stays and is refused by name", () => {
  const byData = refusing(body(false), [intTensor("n", [5], [])]);
  expect(unrollLoops(byData)).toBe(byData);
  expect(() => gradientGraph(byData, "loss", ["x"])).toThrow(/node "while" \(Loop\): .*steps written out/);
  const long = refusing(body(true), [intTensor("n", [MAX_UNROLLED_NODES], [])]);
  expect(unrollLoops(long)).toBe(long);
  const empty = { ...body(true), nodes: [], outputs: [valueInfo("go", "bool", []), valueInfo("v", "float32", [2])] };
  const idle = refusing(empty, [intTensor("n", [1e15], [])]);
  expect(unrollLoops(idle)).toBe(idle);
  expect(unrollLoops(refusing(body(true), [intTensor("n", [5], [])])).graph.nodes.map(({ op }) => op)).not.toContain(
    "Loop",
  );
});
