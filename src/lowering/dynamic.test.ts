import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { graphs } from "../ir/edit.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { forModel, transformersJsScheme } from "../recipes/transformers-js.ts";
import { constantsOf, siteOf } from "./context.ts";
import { CASES, weights } from "./dynamic.case.ts";
import { dynamicForm } from "./dynamic.ts";
import { bytesOf, lowered, nativeEngine, run, sqnr, wasmEngine } from "./engine.case.ts";

const ramp = (shape: readonly number[], seed: number): NDArray => ({
  dtype: "float32",
  shape,
  data: weights(
    shape.reduce((product, dim) => product * dim, 1),
    seed,
  ),
});
const truth = (value: boolean): NDArray => ({ dtype: "bool", shape: [], data: Uint8Array.of(value ? 1 : 0) });
const ids: NDArray = { dtype: "int64", shape: [3], data: BigInt64Array.of(0n, 19n, 7n) };

const FEEDS: Readonly<Record<string, Feeds>> = {
  matmul: { x: ramp([5, 16], 91) },
  "matmul-batched": { x: ramp([3, 4, 16], 92) },
  special: { x: ramp([5, 16], 93) },
  ties: { x: ramp([5, 16], 94) },
  zeros: { x: ramp([5, 8], 95) },
  "gemm-transposed": { x: ramp([5, 16], 96) },
  gemm: { x: ramp([5, 16], 97) },
  conv: { x: ramp([1, 3, 8, 8], 98) },
  "gather-matmul": { ids },
  branches: { x: ramp([4, 8], 99), c: truth(false) },
  shared: { x: ramp([5, 16], 100), z: ramp([5, 16], 101) },
};

const own = schemeNamed("w8a8-dynamic").steps.filter(({ form }) => form === "dynamic");
const convs = { ops: new Set(["Conv"]), modelType: "bert" };
const SETTINGS = {
  "w8a8-dynamic": own,
  "q8 of a BERT": forModel(transformersJsScheme("q8"), { ops: new Set(), modelType: "bert" }).steps,
  "q8 of a model with convolutions": forModel(transformersJsScheme("q8"), convs).steps,
  "uint8 of a Llama": forModel(transformersJsScheme("uint8"), { ops: new Set(), modelType: "llama" }).steps,
};

let native: Engine;
let wasm: Engine;
beforeAll(async () => {
  native = await nativeEngine();
  wasm = await wasmEngine();
});

describe.each(Object.entries(SETTINGS))("%s", (_name, steps) => {
  it.each(Object.keys(FEEDS))("computes %s on both engines", async (name) => {
    const model = CASES[name]!();
    const exact = await run(native, model, FEEDS[name]!);
    const quantized = lowered(model, steps);
    // Uniform values on 8-bit grids, one of them reduced to 7 bits, leave about 40 dB; the outlier case one scale for all.
    const least = name === "special" ? 20 : 30;
    for (const engine of [native, wasm])
      expect(sqnr(exact, await run(engine, quantized, FEEDS[name]!)) || Infinity, engine.name).toBeGreaterThan(least);
  });
});

const ops = (model: Model): readonly string[] =>
  [...graphs(model.graph)].flatMap(({ graph }) => graph.nodes.map(({ op }) => op));

describe("what the form refuses, and why", () => {
  const reason = (
    op: string,
    init: Partial<{ x: number[]; w: number[]; attributes: Record<string, number>; opset: number }>,
  ) => {
    const { x = [4, 16], w = [16, 8], attributes = {}, opset = 17 } = init;
    const model = onnxModel(
      {
        inputs: [valueInfo("x", "float32", x)],
        outputs: [valueInfo("y")],
        nodes: [node(op, ["x", "w"], ["y"], { attributes })],
        tensors: [floatTensor("w", w, weights(elementCount(w), 1))],
      },
      { opsets: { "": opset } },
    );
    return dynamicForm.fits(siteOf(model, constantsOf(model), model.graph, "", model.graph.nodes[0]!), own[0]!.scheme);
  };

  it.each([
    ["a vector", "MatMul", { w: [16] }, /weight is a vector/],
    ["an empty weight", "MatMul", { w: [16, 0] }, /weight is empty/],
    ["a vector times stacked matrices", "MatMul", { x: [16], w: [3, 16, 8] }, /use per-tensor weights/],
    ["a transposed input", "Gemm", { attributes: { transA: 1 } }, /transA/],
    ["factors", "Gemm", { attributes: { alpha: 0.5 } }, /alpha or beta/],
    ["an old operator set", "MatMul", { opset: 10 }, /needs opset 11, the model has 10/],
    ["an op without integer kernels", "Add", {}, /Add has no dynamic integer form/],
  ] as const)("%s", (_what, op, init, message) => {
    expect(reason(op, init as never)).toMatch(message);
  });
});

describe("names and shared weights", () => {
  it("stay apart from names the model uses", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [2, 4]), valueInfo("w_scale", "float32", [2, 3])],
      outputs: [valueInfo("y"), valueInfo("x_quantized")],
      nodes: [
        node("MatMul", ["x", "w"], ["h"]),
        node("Add", ["h", "w_scale"], ["y"]),
        node("Neg", ["x"], ["x_quantized"]),
      ],
      tensors: [floatTensor("w", [4, 3], weights(12, 2))],
    });
    const feeds = { x: ramp([2, 4], 3), w_scale: ramp([2, 3], 4) };
    const quantized = lowered(model, own);
    expect([...quantized.graph.tensors.keys()]).toContain("w_scale_1");
    expect(sqnr(await run(native, model, feeds), await run(native, quantized, feeds))).toBeGreaterThan(30);
  });

  it("give a weight that is also a table codes for each use", async () => {
    const model = onnxModel({
      inputs: [valueInfo("ids", "int64", [3])],
      outputs: [valueInfo("y")],
      nodes: [node("Gather", ["w", "ids"], ["rows"]), node("MatMul", ["rows", "w"], ["y"])],
      tensors: [floatTensor("w", [20, 20], weights(400, 5))],
    });
    const quantized = lowered(model, SETTINGS["q8 of a BERT"]);
    expect([...quantized.graph.tensors.values()].map(({ dtype }) => dtype).sort()).toEqual([
      "float32",
      "float32",
      "int8",
      "int8",
      "uint8",
      "uint8",
    ]);
    expect(sqnr(await run(native, model, { ids }), await run(native, quantized, { ids }))).toBeGreaterThan(30);
  });

  it("store a weight of several nodes once, upright and transposed", () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [2, 8])],
      outputs: [valueInfo("y")],
      nodes: [
        node("Gemm", ["x", "w"], ["a"], { attributes: { transB: 1 } }),
        node("Gemm", ["a", "w"], ["b"], { attributes: { transB: 1 } }),
        node("MatMul", ["b", "w"], ["y"]),
      ],
      tensors: [floatTensor("w", [8, 8], weights(64, 6))],
    });
    const codes = [...lowered(model, own).graph.tensors.keys()].filter((name) => name.endsWith("_quantized"));
    expect(codes).toEqual(["w_transposed_quantized", "w_quantized"]);
  });
});

describe("what the engine makes of it", () => {
  const fused = async (model: Model) => native.opHistogram({ bytes: await bytesOf(model) });

  it("fuses a MatMul with the quantization of its input", async () => {
    expect(await fused(lowered(CASES.matmul!(), own))).toEqual({ DynamicQuantizeMatMul: 1 });
  });

  it("takes the bias of a Gemm into the fused node", async () => {
    expect(await fused(lowered(CASES["gemm-transposed"]!(), own))).toEqual({ DynamicQuantizeMatMul: 1 });
  });

  it("quantizes an activation that several nodes read once", async () => {
    const w = (name: string, seed: number) => floatTensor(name, [16, 8], weights(128, seed));
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [null, 16])],
      outputs: ["q", "k", "v"].map((name) => valueInfo(name)),
      nodes: ["q", "k", "v"].map((name) => node("MatMul", ["x", `w${name}`], [name], { name })),
      tensors: [w("wq", 1), w("wk", 2), w("wv", 3)],
    });
    const quantized = lowered(model, own);
    expect(ops(quantized).filter((op) => op === "DynamicQuantizeLinear")).toHaveLength(1);
    expect(await fused(quantized)).toEqual({ DynamicQuantizeLinear: 1, MatMulIntegerToFloat: 3 });
  });
});
