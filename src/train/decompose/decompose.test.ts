import { afterAll, expect, test } from "vitest";
import { intTensor, type NodeInit, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Model, Node, Tensor, ValueInfo } from "../../ir/model.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { normalFeeds, run } from "../../passes/same-outputs.case.ts";
import { type GradCase, gradientError, TOLERANCE } from "../gradcheck.case.ts";
import { DECOMPOSED } from "./cases.case.ts";
import { decompose, FUNCTIONS } from "./index.ts";

/** Two orders of rounding in single precision, over the largest number; masks of -10,000 and -1e30 give the same zeros. */
const SAME = 2e-6;

function modelOf(checked: GradCase, nodes: GradCase["nodes"]): Model {
  const { tensors, inputs, opsets } = checked;
  const outputs = checked.nodes("float32").flatMap((made) => made.outputs.filter((name) => name !== ""));
  return onnxModel(
    {
      inputs: Object.entries(inputs).map(([name, { shape }]) => valueInfo(name, "float32", shape)),
      outputs: outputs.map((name) => valueInfo(name)),
      nodes: nodes("float32"),
      tensors: tensors?.("float32") ?? [],
    },
    { opsets: { "": opsets![0]!, "com.microsoft": 1 }, formatVersion: 10 },
  );
}

async function difference(checked: GradCase): Promise<number> {
  const before = modelOf(checked, checked.nodes);
  const after = assertLegal(decompose(before));
  expect(after).not.toBe(before);
  expect(after.graph.nodes.filter(({ op }) => op === before.graph.nodes[0]!.op && op !== "Gelu")).toEqual([]);
  const feeds = normalFeeds(before.graph.inputs);
  const own = await run(checked.smooth ? modelOf(checked, checked.smooth) : before, feeds);
  const plain = await run(after, feeds);
  const errors = Object.entries(own).map(([name, array]) => {
    expect(plain[name]!.shape).toEqual(array.shape);
    const [a, b] = [array, plain[name]!].map(({ data, dtype }) => floatsOf(data, dtype)) as [
      Float32Array,
      Float32Array,
    ];
    const size = Math.max(...a.map(Math.abs));
    return Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / size;
  });
  return Math.max(...errors);
}

const OPS = [...new Set(DECOMPOSED.map(({ op }) => op))];
const worst = new Map<string, readonly [number, number]>();

test("every decomposition has a check", () => {
  expect([...OPS].sort()).toEqual(Object.keys(FUNCTIONS).sort());
});

test.for(OPS)("%s decomposed computes what the engine's own kernel does, and its gradients are right", async (op) => {
  for (const checked of DECOMPOSED.filter((other) => other.op === op)) {
    const forward = await difference(checked);
    expect(forward, `outputs, ${checked.label}`).toBeLessThan(SAME);
    const gradient = await gradientError(checked);
    expect(gradient, `gradients, ${checked.label}`).toBeLessThan(TOLERANCE.float32);
    const [a, b] = worst.get(op) ?? [0, 0];
    worst.set(op, [Math.max(a, forward), Math.max(b, gradient)]);
  }
});

afterAll(() => {
  const rows = [...worst].map(
    ([op, [forward, gradient]]) => `  ${op.padEnd(48)} ${forward.toExponential(1)}  ${gradient.toExponential(1)}`,
  );
  console.log(["worst relative error of each decomposition, outputs and gradients:", ...rows].join("\n"));
});

const refused = (made: Node, inputs: readonly ValueInfo[], tensors: readonly Tensor[] = []) => {
  const init = { opsets: { "": 23, "com.microsoft": 1 } };
  return expect(() => decompose(onnxModel({ inputs, outputs: [valueInfo("y")], nodes: [made], tensors }, init)));
};

const contrib = (op: string, inputs: readonly string[], attributes: NonNullable<NodeInit["attributes"]> = {}) =>
  node(op, inputs, ["y"], { name: "it", domain: "com.microsoft", attributes });

test("a cache is refused by name, an empty one is none", () => {
  const attributes = { num_heads: 1, kv_num_heads: 1 };
  const grouped = contrib("GroupQueryAttention", ["q", "q", "q", "past", "past", "n", "n"], attributes);
  const query = valueInfo("q", "float32", ["batch", "time", 16]);
  const past = (length: number | string) => valueInfo("past", "float32", ["batch", 1, length, 16]);
  const lengths = [intTensor("n", [3])];
  refused(grouped, [query, past("seen")], lengths).toThrow(
    /node "it" \(com.microsoft.GroupQueryAttention\).*past_key is a cache/,
  );
  refused(grouped, [query, past(0)], lengths).not.toThrow();
  const multi = contrib("MultiHeadAttention", ["q", "q", "q", "", "", "", "past", "past"], { num_heads: 1 });
  refused(multi, [query, past("seen")]).toThrow(/"it".*past_key/);
});

test("what has no plain form is refused with its node", () => {
  const x = valueInfo("x", "float32", [2, 3, 4]);
  refused(contrib("FusedMatMul", ["x", "x"], { transBatchA: 1 }), [x]).toThrow(/"it".*transBatchA 1/);
  refused(contrib("FusedGemm", ["x", "x"], { activation: "Softsign" }), [x]).toThrow(/"it".*activation is Softsign/);
  const open = valueInfo("x", "float32", ["batch", "time", "size"]);
  refused(contrib("MultiHeadAttention", ["x", "x", "x"], { num_heads: 2 }), [open]).toThrow(/"it".*size of its heads/);
});

test("a model without such ops stays the same object, and one of an old operator set is refused", () => {
  const parts = { inputs: [valueInfo("x", "float32", [2])], outputs: [valueInfo("y")] };
  const plain = onnxModel({ ...parts, nodes: [node("Relu", ["x"], ["y"])] });
  expect(decompose(plain)).toBe(plain);
  const old = onnxModel({ ...parts, nodes: [contrib("Gelu", ["x"])] }, { opsets: { "": 17, "com.microsoft": 1 } });
  expect(() => decompose(old)).toThrow(/opset 17, expected 20/);
});
