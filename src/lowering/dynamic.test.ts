import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { graphs } from "../ir/edit.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { forModel, transformersJsScheme } from "../recipes/transformers-js.ts";
import { CASES, weights } from "./dynamic.case.ts";
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
