import { beforeAll, describe, expect, it } from "vitest";
import { readGolden } from "../algorithms/golden.case.ts";
import { algorithmNamed } from "../algorithms/index.ts";
import type { Engine } from "../engines/contract.ts";
import { node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import type { Codebook, Scheme } from "../ir/scheme.ts";
import { CODE_TABLES, decodeCodebook } from "../kernels/codebook.ts";
import { nativeEngine, run, wasmEngine } from "./engine.case.ts";
import { type FloatType, feed, floats, lowerWith, product, values, weight } from "./nbits.case.ts";

let engines: readonly Engine[];
beforeAll(async () => {
  engines = [await nativeEngine(), await wasmEngine()];
});

const scheme = (codebook: Codebook, size = 64): Scheme => ({
  dtype: "uint4",
  codebook,
  symmetric: true,
  granularity: { per: "group", size },
});

const matmul = (k: number, n: number, dtype: FloatType = "float32"): Model =>
  onnxModel({
    inputs: [valueInfo("x_w0", dtype, ["m", k])],
    outputs: [valueInfo("y", dtype)],
    nodes: [node("MatMul", ["x_w0", "w0"], ["y"], { name: "node_w0" })],
    tensors: [weight("w0", [k, n], 7, dtype)],
  });

/** Rows `[n, k]` that the codes of a `[k, n]` or `[n, k]` matrix stand for. */
function rowsOf(table: Codebook, n: number, k: number, axis: 0 | 1): Float32Array {
  const weights = { values: values(k * n, 7), shape: axis === 0 ? [n, k] : [k, n], axis, dtype: "float32" } as const;
  const { codes, scales } = algorithmNamed(table).quantize(weights, scheme(table));
  return decodeCodebook(codes, n * k, 64, CODE_TABLES[table], scales);
}

/** Float32 sums of k products. */
const SUM_ERROR = 2 ** -23;

describe("MatMulBnb4 computes with the values its codes stand for", () => {
  for (const table of ["nf4", "fp4"] as const)
    for (const k of [64, 100])
      it(`${table}, rows of ${k}`, async () => {
        const [m, n] = [3, 7];
        const x = values(m * k, 3);
        const exact = product(x, rowsOf(table, n, k, 1), m, n, k);
        const made = lowerWith(matmul(k, n), [{ form: "bnb4", scheme: scheme(table), algorithm: table }]);
        for (const engine of engines) {
          const { y } = await run(engine, made, { x_w0: feed([m, k], x) });
          for (const [i, value] of floats(y!).entries())
            expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(k * SUM_ERROR * exact.magnitude[i]!);
        }
      });

  it("a Gemm's bias is added behind it", async () => {
    const [m, n, k] = [2, 6, 64];
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [m, k])],
      outputs: [valueInfo("y")],
      nodes: [node("Gemm", ["x", "w", "b"], ["y"], { name: "fc", attributes: { transB: 1 } })],
      tensors: [weight("w", [n, k], 7), weight("b", [n], 9)],
    });
    const made = lowerWith(model, [{ form: "bnb4", scheme: scheme("nf4"), algorithm: "nf4" }]);
    expect(made.graph.nodes.map(({ op }) => op)).toEqual(["MatMulBnb4", "Add"]);
    const x = values(m * k, 3);
    const exact = product(x, rowsOf("nf4", n, k, 0), m, n, k);
    const bias = values(n, 9);
    const { y } = await run(engines[0]!, made, { x: feed([m, k], x) });
    for (const [i, value] of floats(y!).entries())
      expect(Math.abs(value - exact.y[i]! - bias[i % n]!)).toBeLessThanOrEqual(
        k * SUM_ERROR * (exact.magnitude[i]! + 1),
      );
  });
});

it("names, attributes and shapes are those of onnxruntime's Python tool", () => {
  const { nodes, weights, bnb4 } = readGolden();
  const { k, n } = weights[0]!;
  const made = lowerWith(matmul(k, n), [{ form: "bnb4", scheme: scheme("nf4"), algorithm: "nf4" }]);
  const [only] = made.graph.nodes;
  expect(only?.inputs).toEqual(nodes.node_w0_Bnb4?.inputs);
  const found = Object.entries(only!.attributes).map(([name, { value }]) => [name, value]);
  expect(Object.fromEntries(found)).toEqual(nodes.node_w0_Bnb4?.attributes);
  for (const { name, shape } of made.graph.tensors.values()) expect(shape, name).toEqual(bnb4[0]?.tensors[name]?.[1]);
});

it("float16 weights have float16 scales", async () => {
  const [m, n, k] = [2, 7, 64];
  const dtype: FloatType = "float16";
  const x = values(m * k, 3);
  const exact = product(x, rowsOf("nf4", n, k, 1), m, n, k);
  const made = lowerWith(matmul(k, n, dtype), [{ form: "bnb4", scheme: scheme("nf4"), algorithm: "nf4" }]);
  expect(made.graph.tensors.get("w0_absmax")?.dtype).toBe(dtype);
  for (const engine of engines) {
    const { y } = await run(engine, made, { x_w0: feed([m, k], x, dtype) });
    // The output is rounded to half precision: 11 bits.
    for (const [i, value] of floats(y!).entries())
      expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(2 ** -11 * exact.magnitude[i]!);
  }
});
