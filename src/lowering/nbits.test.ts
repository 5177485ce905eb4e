import { beforeAll, describe, expect, it } from "vitest";
import { readGolden } from "../algorithms/golden.case.ts";
import type { Engine } from "../engines/contract.ts";
import { float, graph, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model, Tensor } from "../ir/model.ts";
import { type ByteSource, computedSource, readAll } from "../ir/source.ts";
import { bytesOf, nativeEngine, run, wasmEngine } from "./engine.case.ts";
import {
  decodedRows,
  type FloatType,
  feed,
  fitOf,
  floats,
  groups,
  lowerWith,
  product,
  values,
  weight,
} from "./nbits.case.ts";

let engines: readonly Engine[];
beforeAll(async () => {
  engines = [await nativeEngine(), await wasmEngine()];
});

const matmul = (k: number, n: number, dtype: FloatType = "float32"): Model =>
  onnxModel({
    inputs: [valueInfo("x", dtype, ["m", k])],
    outputs: [valueInfo("y", dtype)],
    nodes: [node("MatMul", ["x", "w"], ["y"], { name: "mm" })],
    tensors: [weight("w", [k, n], 7, dtype)],
  });

const gemm = (k: number, n: number, transB: number, bias: readonly number[] = [n], w?: Tensor): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [3, k])],
    outputs: [valueInfo("y")],
    nodes: [node("Gemm", ["x", "w", "b"], ["y"], { name: "fc", attributes: { transB } })],
    tensors: [w ?? weight("w", transB ? [n, k] : [k, n], 7), weight("b", bias, 9)],
  });

/** Float32 sums of k products: each of k additions rounds by half a unit in the last place of the partial sum. */
const SUM_ERROR = 2 ** -23;

describe("MatMulNBits computes with the values its codes stand for", () => {
  const cases = ([2, 4, 8] as const).flatMap((bits) =>
    [16, 32, 64, 128, 256].flatMap((size) => [true, false].map((symmetric) => ({ bits, size, symmetric }))),
  );
  for (const { bits, size, symmetric } of cases)
    it(`${bits} bit, group ${size}, ${symmetric ? "symmetric" : "asymmetric"}, rows no multiple of the group`, async () => {
      const [m, n, k] = [3, 17, size * 2 + 5];
      const scheme = groups(bits, size, symmetric);
      const x = values(m * k, 3);
      const exact = product(x, decodedRows(values(k * n, 7), n, k, 1, scheme, "float32"), m, n, k);
      for (const engine of engines) {
        const { y } = await run(engine, lowerWith(matmul(k, n), [{ form: "nbits", scheme }]), { x: feed([m, k], x) });
        for (const [i, value] of floats(y!).entries())
          expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(k * SUM_ERROR * exact.magnitude[i]!);
      }
    });

  it("accuracy_level 4 rounds activations to int8 per group and stays within that rounding", async () => {
    const [m, n, k] = [3, 17, 131];
    const x = values(m * k, 3);
    for (const bits of [2, 4, 8] as const) {
      const scheme = groups(bits, 32, true);
      const rows = decodedRows(values(k * n, 7), n, k, 1, scheme, "float32");
      const exact = product(x, rows, m, n, k);
      const model = lowerWith(matmul(k, n), [{ form: "nbits", scheme, options: { accuracy_level: 4 } }]);
      const { y } = await run(engines[0]!, model, { x: feed([m, k], x) });
      // Half a step of an int8 grid over [-1, 1] in every activation, worst case.
      const worst = (column: number) =>
        rows.subarray(column * k, column * k + k).reduce((sum, v) => sum + Math.abs(v), 0) / 254;
      for (const [i, value] of floats(y!).entries())
        expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(worst(i % n) + 1e-5);
    }
  });

  it("float16 weights keep float16 scales", async () => {
    const [m, n, k] = [2, 5, 70];
    const scheme = groups(4, 32, false);
    const x = values(m * k, 3);
    const exact = product(x, decodedRows(values(k * n, 7), n, k, 1, scheme, "float16"), m, n, k);
    const model = lowerWith(matmul(k, n, "float16"), [{ form: "nbits", scheme }]);
    expect(model.graph.tensors.get("w_scales")?.dtype).toBe("float16");
    const { y } = await run(engines[0]!, model, { x: feed([m, k], x, "float16") });
    // The output itself is rounded to half precision: 11 bits.
    for (const [i, value] of floats(y!).entries())
      expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(
        2 ** -11 * Math.abs(exact.y[i]!) + k * SUM_ERROR * exact.magnitude[i]!,
      );
  });
});

describe("Gemm", () => {
  const [m, n, k] = [3, 6, 40];
  const scheme = groups(4, 16, true);
  const x = values(m * k, 3);
  for (const [label, transB, bias] of [
    ["upright with a vector bias", 0, [n]],
    ["transposed with a vector bias", 1, [n]],
    ["transposed with a bias per row", 1, [m, n]],
    ["upright with a scalar bias", 0, []],
  ] as const)
    it(label, async () => {
      const rows = decodedRows(values(k * n, 7), n, k, transB === 1 ? 0 : 1, scheme, "float32");
      const exact = product(x, rows, m, n, k);
      const b = values(
        bias.reduce((p: number, d) => p * d, 1),
        9,
      );
      const model = lowerWith(gemm(k, n, transB, bias), [{ form: "nbits", scheme }]);
      expect(model.graph.nodes.map(({ op }) => op)).toEqual(
        bias.length === 1 ? ["MatMulNBits"] : ["MatMulNBits", "Add"],
      );
      for (const engine of engines) {
        const { y } = await run(engine, model, { x: feed([m, k], x) });
        for (const [i, value] of floats(y!).entries()) {
          const want = exact.y[i]! + b[b.length === m * n ? i : i % b.length]!;
          expect(Math.abs(value - want)).toBeLessThanOrEqual((k + 1) * SUM_ERROR * (exact.magnitude[i]! + 1));
        }
      }
    });
});

describe("names, attributes and inputs", () => {
  it("are those of onnxruntime's Python tool", () => {
    const { nodes, weights, nbits } = readGolden();
    const { k, n } = weights[0]!;
    const model = onnxModel({
      inputs: [valueInfo("x_w0", "float32", ["m", k])],
      outputs: [valueInfo("y_w0")],
      nodes: [node("MatMul", ["x_w0", "w0"], ["y_w0"], { name: "node_w0" })],
      tensors: [weight("w0", [k, n], 1)],
    });
    const made = lowerWith(model, [{ form: "nbits", scheme: groups(4, 32, false) }]);
    const [only] = made.graph.nodes;
    expect(only?.inputs).toEqual(nodes[only!.name]?.inputs);
    const found = Object.entries(only!.attributes).map(([name, { value }]) => [name, value]);
    expect(Object.fromEntries(found)).toEqual(nodes[only!.name]?.attributes);
    expect(made.opsets["com.microsoft"]).toBe(1);
    const { tensors } = nbits.find(({ bits, block, symmetric }) => bits === 4 && block === 32 && !symmetric)!;
    for (const { name, shape } of made.graph.tensors.values()) expect(shape, name).toEqual(tensors[name]?.[1]);
  });

  it("accuracy_level comes from the plan and is left out without", () => {
    const step = { form: "nbits", scheme: groups(4, 32, true) } as const;
    expect(lowerWith(matmul(64, 4), [step]).graph.nodes[0]?.attributes.accuracy_level).toBeUndefined();
    const asked = lowerWith(matmul(64, 4), [{ ...step, options: { accuracy_level: 4 } }]);
    expect(asked.graph.nodes[0]?.attributes.accuracy_level).toEqual({ type: "int", value: 4 });
  });

  it("change where the model uses them already", () => {
    const model = matmul(64, 4);
    const taken = { ...model, graph: { ...model.graph, inputs: [...model.graph.inputs, valueInfo("w_scales")] } };
    const made = lowerWith(taken, [{ form: "nbits", scheme: groups(4, 32, true) }]);
    expect([...made.graph.tensors.keys()]).toEqual(["w_copy1_Q4", "w_copy1_scales"]);
  });
});

describe("shared weights", () => {
  const square = (second: ReturnType<typeof node>): Model =>
    onnxModel({
      inputs: [valueInfo("x", "float32", [2, 32])],
      outputs: [valueInfo("y"), valueInfo("z")],
      nodes: [node("MatMul", ["x", "w"], ["y"], { name: "a" }), second],
      tensors: [weight("w", [32, 32], 7)],
    });
  const scheme = groups(4, 32, true);

  it("are stored once for nodes that read them the same way", () => {
    const made = lowerWith(square(node("MatMul", ["x", "w"], ["z"], { name: "b" })), [{ form: "nbits", scheme }]);
    expect([...made.graph.tensors.keys()]).toEqual(["w_Q4", "w_scales"]);
  });

  it("are stored twice where one node reads rows and the other columns", async () => {
    const model = square(node("Gemm", ["x", "w"], ["z"], { name: "b", attributes: { transB: 1 } }));
    const made = lowerWith(model, [{ form: "nbits", scheme }]);
    expect([...made.graph.tensors.keys()]).toEqual(["w_Q4", "w_scales", "w_2_Q4", "w_2_scales"]);
    const x = values(64, 3);
    const { z } = await run(engines[0]!, made, { x: feed([2, 32], x) });
    const exact = product(x, decodedRows(values(1024, 7), 32, 32, 0, scheme, "float32"), 2, 32, 32);
    for (const [i, value] of floats(z!).entries())
      expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(32 * SUM_ERROR * exact.magnitude[i]!);
  });

  it("of a graph around two branches are stored once, beside the constant", async () => {
    const branch = (output: string) =>
      graph({
        inputs: [],
        outputs: [valueInfo(output)],
        nodes: [node("MatMul", ["x", "w"], [output], { name: output })],
      });
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [2, 32]), valueInfo("c", "bool", [])],
      outputs: [valueInfo("y")],
      nodes: [
        node("If", ["c"], ["y"], { name: "if", attributes: { then_branch: branch("t"), else_branch: branch("e") } }),
      ],
      tensors: [weight("w", [32, 8], 7)],
    });
    const made = lowerWith(model, [{ form: "nbits", scheme }]);
    expect([...made.graph.tensors.keys()]).toEqual(["w_Q4", "w_scales"]);
    const c = { dtype: "bool", shape: [], data: Uint8Array.of(1) } as const;
    const { y } = await run(engines[0]!, made, { x: feed([2, 32], values(64, 3)), c });
    expect(y?.shape).toEqual([2, 8]);
  });

  it("behind a Transpose are used as they lie", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [2, 32])],
      outputs: [valueInfo("y")],
      nodes: [
        node("Transpose", ["w"], ["t"], { attributes: { perm: [1, 0] } }),
        node("MatMul", ["x", "t"], ["y"], { name: "mm" }),
      ],
      tensors: [weight("w", [12, 32], 7)],
    });
    const made = lowerWith(model, [{ form: "nbits", scheme }]);
    expect(made.graph.nodes.map(({ op }) => op)).toEqual(["MatMulNBits"]);
    const x = values(64, 3);
    const { y } = await run(engines[0]!, made, { x: feed([2, 32], x) });
    const exact = product(x, decodedRows(values(384, 7), 12, 32, 0, scheme, "float32"), 2, 12, 32);
    for (const [i, value] of floats(y!).entries())
      expect(Math.abs(value - exact.y[i]!)).toBeLessThanOrEqual(32 * SUM_ERROR * exact.magnitude[i]!);
  });
});

describe("weights are read when the file is written", () => {
  it("once for codes, scales and zero points, and again for a second file", async () => {
    let reads = 0;
    const bytes = await readAll(weight("w", [64, 4], 7).data);
    const data: ByteSource = computedSource(bytes.length, () => {
      reads++;
      return bytes;
    });
    const model = matmul(64, 4);
    const counted = {
      ...model,
      graph: { ...model.graph, tensors: new Map([["w", { ...model.graph.tensors.get("w")!, data }]]) },
    };
    const made = lowerWith(counted, [{ form: "nbits", scheme: groups(4, 32, false) }]);
    expect(reads).toBe(0);
    const first = await bytesOf(made);
    expect(reads).toBe(1);
    expect(await bytesOf(made)).toEqual(first);
    expect(reads).toBe(2);
  });

  it("a NaN is named with its weight", async () => {
    const w = tensor("w", "float32", [64, 2], new Float32Array(128).fill(Number.NaN, 5, 6));
    const model = { ...gemm(64, 2, 0, [2], w) };
    await expect(bytesOf(lowerWith(model, [{ form: "nbits", scheme: groups(4, 32, true) }]))).rejects.toThrow(
      /weight "w" holds 1 NaN and 0 infinite values/,
    );
  });
});

describe("nodes it does not fit are refused with the reason", () => {
  const scheme = groups(4, 32, true);
  const withNode = (made: ReturnType<typeof node>, tensors: readonly Tensor[]): Model =>
    onnxModel({ inputs: [valueInfo("x"), valueInfo("v")], outputs: [valueInfo("y")], nodes: [made], tensors });
  for (const [label, model, reason] of [
    ["a weight that is fed", withNode(node("MatMul", ["x", "v"], ["y"]), []), "weight is not constant"],
    ["a vector", withNode(node("MatMul", ["x", "w"], ["y"]), [weight("w", [64], 1)]), "weight has 1 dimensions, not 2"],
    [
      "a stack of matrices",
      withNode(node("MatMul", ["x", "w"], ["y"]), [weight("w", [2, 64, 4], 1)]),
      "weight has 3 dimensions, not 2",
    ],
    [
      "few rows",
      withNode(node("MatMul", ["x", "w"], ["y"]), [weight("w", [4, 3], 1)]),
      "weight is too small: 48 bytes as it is, 60 as codes and scales",
    ],
    [
      "another factor",
      withNode(node("Gemm", ["x", "w"], ["y"], { attributes: { alpha: float(2) } }), [weight("w", [64, 4], 1)]),
      "Gemm with alpha or beta other than 1 has no form with weights in groups",
    ],
    [
      "integers",
      withNode(node("MatMul", ["x", "w"], ["y"]), [tensor("w", "int32", [64, 4], new Int32Array(256))]),
      "weight is int32, not float32 or float16",
    ],
    [
      "another op",
      withNode(node("Conv", ["x", "w"], ["y"]), [weight("w", [4, 4, 3, 3], 1)]),
      "Conv has no form with weights in groups",
    ],
  ] as const)
    it(label, () => expect(fitOf(model, "nbits", scheme)).toBe(reason));

  it("a group size that no kernel has is a wrong request", () => {
    expect(() => fitOf(matmul(64, 4), "nbits", groups(4, 48, true))).toThrow(
      /group size 48: expected a power of two from 16 to 256/,
    );
  });
});
