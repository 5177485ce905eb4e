import { describe, expect, it } from "vitest";
import { floatTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model, Node } from "../ir/model.ts";
import type { NodePlan, Plan } from "../ir/plan.ts";
import { codesOf, type QParams, type Scheme } from "../ir/scheme.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { unpackUnsigned } from "../numeric/packing.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { observedValues } from "../pipeline/make.ts";
import { lowerNodes } from "./index.ts";
import { lowerStatic } from "./qdq.ts";

type Weight = NonNullable<NodePlan["weight"]>;

const bytes = (model: Model, name: string): Promise<Uint8Array> => readAll(model.graph.tensors.get(name)!.data);
const signed = async (model: Model, name: string) => [...new Int8Array((await bytes(model, name)).slice().buffer)];
const floats = async (model: Model, name: string) => [...decodeFloats(await bytes(model, name), "float32")];

/** y = x w (+ b) with a weight of [2, 3]: every quotient below is exact, ties included. */
const WEIGHT = [0.5, -1.5, 2.5, 3.5, -200, 200];
const model = (bias?: readonly number[]): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y")],
    nodes: [node("Gemm", bias ? ["x", "w", "b"] : ["x", "w"], ["y"], { name: "fc" })],
    tensors: [floatTensor("w", [2, 3], WEIGHT), ...(bias ? [floatTensor("b", [3], bias)] : [])],
  });

const perAxis: Scheme = { dtype: "int8", symmetric: true, granularity: { per: "axis" } };
const given = (scale: readonly number[], zeroPoint = scale.map(() => 0)): QParams => ({
  scale: Float32Array.from(scale),
  zeroPoint: Int32Array.from(zeroPoint),
});

function planOf(weight: Partial<Weight>, form: NodePlan["form"], values: Plan["values"] = []): Plan {
  const bytes = { before: 0, after: 0 };
  const full = { tensor: "w", input: 1, shape: [2, 3], axis: 1, scheme: perAxis, algorithm: "rtn", bytes, ...weight };
  const nodes: readonly NodePlan[] = [{ scope: "", index: 0, node: "fc", op: "Gemm", form, weight: full }];
  return { scheme: "test", nodes, values, kept: [], notes: [], bytes };
}

const value = (scale: number, zeroPoint: number): Plan["values"][number] => ({
  scope: "",
  value: "x",
  scheme: { dtype: "uint8", symmetric: false, granularity: { per: "tensor" } },
  observer: "mse",
  qparams: { scale, zeroPoint },
});

const staticModel = (source: Model, plan: Plan): Promise<Model> => {
  const nodes = new Map<Node, NodePlan>([[source.graph.nodes[0]!, plan.nodes[0]!]]);
  return lowerStatic(source, plan, nodes, undefined);
};

describe("a static plan with given parameters", () => {
  it("writes exactly those scales and zero points, and codes rounded half to even and clipped", async () => {
    const made = await staticModel(model(), planOf({ qparams: given([1, 1, 1]) }, "qdq", [value(0.25, 7)]));
    expect(await signed(made, "w/q")).toEqual([0, -2, 2, 4, -127, 127]);
    expect(await floats(made, "w/s")).toEqual([1, 1, 1]);
    expect(await floats(made, "x/s")).toEqual([0.25]);
    expect([...(await bytes(made, "x/z"))]).toEqual([7]);
  });

  it("clips to the scheme's own codes", async () => {
    const scheme: Scheme = { ...perAxis, codes: [-1, 1] };
    expect(codesOf(scheme)).toEqual([-1, 1]);
    const made = await staticModel(model(), planOf({ scheme, qparams: given([1, 2, 0.5]) }, "qdq", [value(1, 0)]));
    expect(await signed(made, "w/q")).toEqual([0, -1, 1, 1, -1, 1]);
  });

  it("needs no calibration for such values", () => {
    expect(observedValues(planOf({}, "qdq", [value(1, 0)]))).toEqual([]);
  });

  it("keeps the scales of a weight whose bias they can't hold, and the bias in float", async () => {
    const scale = 2 ** -40;
    const plan = planOf({ qparams: given([scale, scale, scale]) }, "qdq", [value(2 ** -20, 0)]);
    const made = await staticModel(model([1, 1, 1]), plan);
    expect(await floats(made, "w/s")).toEqual([scale, scale, scale]);
    expect(made.graph.nodes.find(({ op }) => op === "Gemm")!.inputs[2]).toBe("b");
    const wide = await staticModel(model([1, 1, 1]), planOf({ qparams: given([1, 1, 1]) }, "qdq", [value(1, 0)]));
    expect(wide.graph.nodes.find(({ op }) => op === "Gemm")!.inputs[2]).not.toBe("b");
  });

  it("refuses what is no grid", async () => {
    const lower = (qparams: QParams, from = value(1, 0)) => staticModel(model(), planOf({ qparams }, "qdq", [from]));
    await expect(lower(given([1, 1]))).rejects.toThrow(/weight "w": 2 scales and 2 zero points are given; expected 3/);
    await expect(lower(given([1, 0, 1]))).rejects.toThrow(/entry 1: scale 0 is given; expected a positive/);
    await expect(lower(given([1, 1, Number.NaN]))).rejects.toThrow(/entry 2: scale NaN/);
    await expect(lower(given([1, 1, 1], [0, 0, 300]))).rejects.toThrow(/zero point 300 is given; .* -127 to 127/);
    await expect(lower(given([1, 1, 1]), value(1, -1))).rejects.toThrow(/value "x": zero point -1 .* 0 to 255/);
  });
});

describe("forms that work node by node take them too", () => {
  it("dynamic", async () => {
    const made = lowerNodes(model(), planOf({ qparams: given([1, 2, 4]) }, "dynamic"));
    expect(await signed(made, "w_quantized")).toEqual([0, -1, 1, 4, -100, 50]);
    expect(await floats(made, "w_scale")).toEqual([1, 2, 4]);
  });

  it("stored int8", async () => {
    const made = lowerNodes(model(), planOf({ qparams: given([1, 2, 4]) }, "dq"));
    expect(await signed(made, "w_quantized")).toEqual([0, -1, 1, 4, -100, 50]);
    expect(await floats(made, "w_scale")).toEqual([1, 2, 4]);
  });

  for (const [dtype, bits, top] of [
    ["uint4", 4, 15],
    ["uint2", 2, 3],
    ["uint8", 8, 255],
  ] as const)
    it(`groups of ${dtype}, whichever way the matrix is stored`, async () => {
      const data = Float32Array.from({ length: 40 }, (_, i) => ((i * 7) % 23) - 11.5);
      const scheme: Scheme = { dtype, symmetric: false, granularity: { per: "group", size: 16 } };
      const qparams = given([0.5, 1, 2, 4], [1, 2, 3, 0]);
      for (const axis of [0, 1]) {
        const shape = axis === 0 ? [2, 20] : [20, 2];
        const source = onnxModel({
          inputs: [valueInfo("x", "float32", [1, 20])],
          outputs: [valueInfo("y")],
          nodes: [node("Gemm", ["x", "w"], ["y"], { name: "fc", attributes: { transB: 1 - axis } })],
          tensors: [tensor("w", "float32", shape, data)],
        });
        const made = lowerNodes(source, planOf({ shape, axis, scheme, qparams }, "nbits"));
        expect(await floats(made, "w_scales")).toEqual([0.5, 1, 2, 4]);
        const codes = await bytes(made, `w_Q${bits}`);
        const unpacked = bits === 8 ? codes : unpackUnsigned(codes, bits, 64);
        for (let row = 0; row < 2; row++)
          for (let k = 0; k < 20; k++) {
            const block = 2 * row + Math.floor(k / 16);
            const exact = data[axis === 0 ? row * 20 + k : k * 2 + row]! / qparams.scale[block]!;
            const code = Math.min(Math.max(roundHalfEven(exact) + qparams.zeroPoint[block]!, 0), top);
            expect(unpacked[block * 16 + (k % 16)], `row ${row}, column ${k}`).toBe(code);
          }
      }
    });

  it("but not where a table takes the place of a grid, nor where zero points have no place", async () => {
    const scheme: Scheme = { dtype: "uint4", symmetric: true, granularity: { per: "group", size: 16 } };
    const read = (more: Partial<Weight>, name: string) => {
      const form = more.scheme?.codebook ? "bnb4" : "nbits";
      return bytes(lowerNodes(model(), planOf({ axis: 1, scheme, ...more }, form)), name);
    };
    const table: Partial<Weight> = { scheme: { ...scheme, codebook: "nf4" }, qparams: given([1]), algorithm: "nf4" };
    await expect(read(table, "w_Bnb4")).rejects.toThrow(/nf4 is a table/);
    await expect(read({ qparams: given([1, 1, 1], [8, 8, 7]) }, "w_Q4")).rejects.toThrow(
      /zero point 7 is given; a symmetric scheme has 8/,
    );
  });
});
