/** Models trained or quantized elsewhere: their Q/DQ pairs come out again with the same scales, zero points and codes. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { computeShare } from "../engines/histogram.ts";
import { inMemory } from "../engines/models.case.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { withTaps } from "../engines/taps.ts";
import { floatTensor, intTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model, NDArray, Node, Tensor } from "../ir/model.ts";
import type { Plan } from "../ir/plan.ts";
import { readAll } from "../ir/source.ts";
import { tempScratch } from "../node/scratch.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { calibrate } from "./calibrate.ts";
import { observedValues } from "./make.ts";
import { planModel } from "./plan.ts";
import { prepare } from "./prepare.ts";
import { quantize } from "./quantize.ts";
import { memoryDataset } from "./samples.ts";

let engine: Engine;
beforeAll(async () => {
  engine = (await openOrtNode({ scratch: tempScratch })).engine!;
});

const random = rng(3);
const normal = (shape: readonly number[], scale = 1) =>
  Float32Array.from({ length: elementCount(shape) }, () => random.normal() * scale);
const images: NDArray = { dtype: "float32", shape: [4, 3, 8, 8], data: normal([4, 3, 8, 8]) };

/** Collects nodes and tensors of a model with Q/DQ pairs, in the styles of several exporters. */
function exporter() {
  const nodes: Node[] = [];
  const tensors: Tensor[] = [];
  const codes = new Map<string, readonly number[]>();
  const integer = (
    name: string,
    dtype: "int8" | "uint8",
    values: readonly number[],
    shape: readonly number[],
  ): string => {
    const array = dtype === "int8" ? Int8Array.from(values) : Uint8Array.from(values);
    tensors.push(tensor(name, dtype, shape, array));
    return name;
  };
  const float = (name: string, shape: readonly number[], values: ArrayLike<number>): string => {
    tensors.push(floatTensor(name, shape, values));
    return name;
  };
  const op: typeof node = (...all) => {
    const made = node(...all);
    nodes.push(made);
    return made;
  };
  interface Act {
    readonly dtype?: "int8" | "uint8";
    readonly zero?: number;
    readonly limits?: readonly [number, number];
    /** Shape [1], as PyTorch writes what it has per tensor. */
    readonly vector?: boolean;
  }
  /** Q, perhaps Clip, and DQ behind `from`; answers the name of the decoded value. */
  const act = (from: string, scale: number, { dtype = "uint8", zero = 0, limits }: Act = {}): string => {
    const s = float(`${from}_scale`, [], [scale]);
    const z = integer(`${from}_zero`, dtype, [zero], []);
    op("QuantizeLinear", [from, s, z], [`${from}_q`]);
    if (limits) {
      const bounds = limits.map((limit, i) => integer(`${from}_limit${i}`, dtype, [limit], []));
      op("Clip", [`${from}_q`, ...bounds], [`${from}_c`]);
    }
    op("DequantizeLinear", [limits ? `${from}_c` : `${from}_q`, s, z], [`${from}_dq`]);
    return `${from}_dq`;
  };
  interface Weight {
    readonly axis?: number;
    readonly limits?: readonly [number, number];
    /** Stored as codes, without a QuantizeLinear. */
    readonly coded?: boolean;
  }
  /** A weight with a scale per channel; remembers the codes it must have. */
  const weight = (name: string, shape: readonly number[], { axis = 0, limits = [-127, 127], coded }: Weight = {}) => {
    const values = normal(shape, 0.3);
    const channels = shape[axis]!;
    const inner = elementCount(shape.slice(axis + 1));
    const scales = Float32Array.from({ length: channels }, (_, c) => (0.9 + (c % 3) * 0.1) / limits[1]);
    const exact = Array.from(values, (value, i) => {
      const code = roundHalfEven(Math.fround(value / scales[Math.floor(i / inner) % channels]!));
      return Math.min(Math.max(code, limits[0]), limits[1]);
    });
    codes.set(name, exact);
    const s = float(`${name}_scale`, [channels], scales);
    const z = integer(`${name}_zero`, "int8", scales.length > 0 ? [...scales].map(() => 0) : [], [channels]);
    const attributes = { axis };
    if (coded) integer(`${name}_q`, "int8", exact, shape);
    else op("QuantizeLinear", [float(name, shape, values), s, z], [`${name}_q`], { attributes });
    const clip = !coded && limits[0] > -127;
    if (clip) {
      const bounds = limits.map((limit, i) => integer(`${name}_limit${i}`, "int8", [limit], []));
      op("Clip", [`${name}_q`, ...bounds], [`${name}_c`]);
    }
    op("DequantizeLinear", [clip ? `${name}_c` : `${name}_q`, s, z], [`${name}_dq`], { attributes });
    return { name: `${name}_dq`, scales };
  };
  /** int32 codes on the scale of the products. */
  const bias = (name: string, scales: Float32Array, data: number): string => {
    const steps = scales.map((scale) => Math.fround(scale * data));
    tensors.push(
      tensor(
        name,
        "int32",
        [scales.length],
        Int32Array.from(scales, (_, i) => 37 * i - 100),
      ),
    );
    op("DequantizeLinear", [name, float(`${name}_scale`, [scales.length], steps)], [`${name}_dq`], {
      attributes: { axis: 0 },
    });
    return `${name}_dq`;
  };
  const model = (output: string): Model =>
    onnxModel({
      inputs: [valueInfo("x", "float32", ["n", 3, 8, 8])],
      outputs: [valueInfo(output, "float32")],
      nodes,
      tensors,
    });
  return { op, act, weight, bias, float, model, codes };
}

const pads = { pads: [1, 1, 1, 1] };

/** PyTorch QAT: weights through Q/DQ, 7-bit activations, ReLU behind the pair of a sum, batch norm behind the weights. */
function pytorch() {
  const { op, act, weight, float, model, codes } = exporter();
  const limits = [0, 127] as const;
  const x = act("x", 0.05, { zero: 64, limits });
  op("Conv", [x, weight("w1", [8, 3, 3, 3]).name], ["c1"], { attributes: pads });
  op(
    "Div",
    [
      "c1",
      float(
        "sf",
        [1, 8, 1, 1],
        normal([8]).map((v) => 1 + v * v),
      ),
    ],
    ["d1"],
  );
  const norm = ["gamma", "beta", "mean"].map((name, i) =>
    float(
      name,
      [8],
      normal([8], 0.2).map((v) => v + (i === 0 ? 1 : 0)),
    ),
  );
  op(
    "BatchNormalization",
    [
      "d1",
      ...norm,
      float(
        "variance",
        [8],
        normal([8]).map((v) => 0.5 + v * v),
      ),
    ],
    ["n1"],
  );
  op("Relu", ["n1"], ["r1"]);
  const r = act("r1", 0.02, { limits });
  op("Conv", [r, weight("w2", [8, 8, 3, 3]).name], ["c2"], { attributes: pads });
  const c = act("c2", 0.05, { zero: 60, limits });
  op("Add", [r, c], ["sum"]);
  op("Relu", [act("sum", 0.04, { zero: 50, limits })], ["r2"]);
  op("MaxPool", ["r2"], ["p"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } });
  op("Flatten", ["p"], ["f"]);
  op("Gemm", ["f", weight("w3", [10, 128]).name, float("b3", [10], normal([10]))], ["y"], {
    attributes: { transB: 1 },
  });
  return { model: model(act("y", 0.1, { zero: 64, limits })), codes, heavy: 3 };
}

/** Brevitas (QCDQ) at 4 bits: codes narrowed by Clip, weights narrow, biases of int32. */
function brevitas() {
  const { op, act, weight, bias, model, codes } = exporter();
  const narrow = { limits: [-7, 7] } as const;
  const x = act("x", 0.02, { dtype: "int8", limits: [-127, 127] });
  const one = weight("w1", [8, 3, 3, 3], narrow);
  op("Conv", [x, one.name, bias("b1", one.scales, 0.02)], ["c1"], { attributes: pads });
  op("Relu", ["c1"], ["r1"]);
  const two = weight("w2", [8, 8, 3, 3], { ...narrow, coded: true });
  const r = act("r1", 0.2, { limits: [0, 15] });
  op("Conv", [r, two.name, bias("b2", two.scales, 0.2)], ["c2"], { attributes: pads });
  op("Relu", ["c2"], ["r2"]);
  op("GlobalAveragePool", [act("r2", 0.3, { limits: [0, 15] })], ["g"]);
  op("Flatten", [act("g", 0.1, { limits: [0, 15] })], ["f"]);
  const three = weight("w3", [10, 8], narrow);
  op("Gemm", ["f", three.name, bias("b3", three.scales, 0.1)], ["y"], { attributes: { transB: 1 } });
  return { model: model("y"), codes, heavy: 3 };
}

/** ONNX Runtime's and TensorFlow's style: int8 everywhere, weights as codes, ReLU6, a matrix that is transposed. */
function signed() {
  const { op, act, weight, float, model, codes } = exporter();
  const int8 = { dtype: "int8" } as const;
  const x = act("x", 0.04, { ...int8, zero: 5 });
  op("Conv", [x, weight("w1", [8, 3, 3, 3], { coded: true }).name], ["c1"], { attributes: pads });
  op("Clip", ["c1", float("zero", [], [0]), float("six", [], [6])], ["r1"]);
  const r = act("r1", 6 / 255, { ...int8, zero: -128 });
  op("Conv", [r, weight("w2", [8, 8, 3, 3], { coded: true }).name], ["c2"], { attributes: pads });
  op("Relu", ["c2"], ["r2"]);
  op("GlobalAveragePool", [act("r2", 0.05, int8)], ["g"]);
  op("Flatten", [act("g", 0.03, int8)], ["f"]);
  op("Transpose", [weight("w3", [10, 8], { coded: true }).name], ["t"], { attributes: { perm: [1, 0] } });
  op("MatMul", ["f", "t"], ["y"]);
  return { model: model(act("y", 0.05, { ...int8, zero: 3 })), codes, heavy: 3 };
}

async function run(model: Model, optimize: "all" | "none"): Promise<Float32Array> {
  const session = await engine.open(await inMemory(model), { optimize });
  const outputs = await session.run({ x: images });
  await session.close();
  return Object.values(outputs)[0]!.data as Float32Array;
}

interface Lowered {
  readonly plan: Plan;
  readonly model: Model;
}

/** As `make` does it; without samples nothing is calibrated. */
async function lowered(model: Model, name = "w8a8", samples = false): Promise<Lowered> {
  const scheme = schemeNamed(name);
  const { opset } = scheme;
  const needs = { grids: true, static: scheme.static !== undefined, ...(opset === undefined ? {} : { opset }) };
  const prepared = (await prepare(model, {}, needs)).model;
  const plan = planModel(prepared, { ...plainRecipe(scheme), onlyGiven: !samples });
  const names = observedValues(plan);
  if (names.length === 0) return { plan, model: (await quantize(prepared, plan)).model };
  const session = await engine.open(
    await inMemory(
      withTaps(
        prepared,
        names.filter((value) => value !== "x"),
      ),
    ),
  );
  const stats = await calibrate(session, names, memoryDataset(prepared, { x: images }));
  await session.close();
  return { plan, model: (await quantize(prepared, plan, stats)).model };
}

/** Codes of every int8 weight that a model holds, by length: names change on the way. */
async function weightCodes({ graph }: Model): Promise<ReadonlyMap<number, readonly number[]>> {
  const found = new Map<number, readonly number[]>();
  for (const { dtype, shape, data } of graph.tensors.values())
    if (["int8", "int4"].includes(dtype) && shape.length > 1) {
      const values = decodeFloats(await readAll(data), dtype, elementCount(shape));
      found.set(
        values.length,
        [...values].map((code) => code + 0),
      );
    }
  return found;
}

const difference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0) /
  a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const transposed = (codes: readonly number[], rows: number, columns: number): readonly number[] =>
  codes.map((_, i) => codes[(i % rows) * columns + Math.floor(i / rows)]!);

const EXPORTS = { pytorch, brevitas, signed };

describe.each(Object.keys(EXPORTS) as (keyof typeof EXPORTS)[])("a model in the style of %s", (style) => {
  it("becomes w8a8 without any sample, with the same codes and outputs, all products in integers", async () => {
    const { model, codes, heavy } = EXPORTS[style]();
    const made = await lowered(model);
    expect(observedValues(made.plan)).toEqual([]);
    const found = await weightCodes(made.model);
    for (const [name, exact] of codes) {
      const stored = found.get(exact.length)!;
      const turned = style === "signed" && name === "w3";
      expect(stored, name).toEqual((turned ? transposed(exact, 10, 8) : exact).map((code) => code + 0));
    }
    const share = computeShare((await engine.opHistogram(await inMemory(made.model)))!);
    expect(share).toMatchObject({ integer: heavy, float: 0 });
    const before = computeShare((await engine.opHistogram(await inMemory(model)))!);
    expect(share.share).toBeGreaterThanOrEqual(before.share);
    const exact = await run(model, "none");
    // The same codes everywhere: what is left is the order of float32 operations.
    expect(difference(exact, await run(made.model, "none"))).toBeLessThan(1e-6);
    // Integer kernels scale sums in another order; one that lies between two codes may become the other of them, and the
    // outputs of these models have about 64 codes to a side.
    expect(difference(exact, await run(made.model, "all"))).toBeLessThan(0.02);
  });
});

it("4-bit grids are packed by the scheme that has room for them, with the same outputs", async () => {
  const { model, codes } = brevitas();
  const made = await lowered(model, "w4a8");
  expect(made.model.graph.tensors.get("w2_dq/q")!.dtype).toBe("int4");
  expect((await weightCodes(made.model)).get(codes.get("w2")!.length)).toEqual(
    codes.get("w2")!.map((code) => code + 0),
  );
  expect(difference(await run(model, "none"), await run(made.model, "none"))).toBeLessThan(1e-6);
});

it("2-bit codes with zero among them stay as they are where the scheme itself takes odd ones", async () => {
  const { op, act, weight, model } = exporter();
  const coded = weight("w1", [8, 3, 3, 3], { limits: [-2, 1], coded: true });
  op("Conv", [act("x", 0.05, { zero: 64 }), coded.name], ["c1"], { attributes: pads });
  const source = model(act("c1", 0.1, { zero: 128 }));
  const made = await lowered(source, "w2a8");
  expect(made.plan.nodes[0]!.weight!.scheme).toMatchObject({ dtype: "int2", codes: [-1, 1] });
  expect(made.model.graph.nodes.map(({ op: name }) => name)).not.toContain("Gather");
  expect(difference(await run(source, "none"), await run(made.model, "none"))).toBeLessThan(1e-6);
});

it("grids of more codes than the scheme has are not used but where values keep 8 bits: others are calibrated, scales searched", async () => {
  const { model } = signed();
  const { plan } = await lowered(model, "w4a4", true);
  expect(plan.values.flatMap(({ value, qparams }) => (qparams ? [value] : []))).toEqual(["x", "r2", "y_dq"]);
  expect(plan.nodes.every(({ weight }) => weight?.qparams === undefined)).toBe(true);
  expect(plan.notes.join()).toMatch(/w4a4 has no room for the model's own grids of "w1_dq", "/);
});

it("dynamic products keep the codes of their weights", async () => {
  const { model, codes } = brevitas();
  const made = await lowered(model, "w8a8-dynamic");
  expect(made.model.graph.nodes.map(({ op }) => op)).toContain("MatMulInteger");
  expect((await weightCodes(made.model)).get(80)).toEqual(transposed(codes.get("w3")!, 10, 8).map((code) => code + 0));
});

describe("values without a grid", () => {
  const partly = () => {
    const { op, act, weight, model } = exporter();
    op("Conv", [act("x", 0.05, { zero: 64 }), weight("w1", [8, 3, 3, 3]).name], ["c1"], { attributes: pads });
    op("Relu", ["c1"], ["r1"]);
    op("Conv", ["r1", weight("w2", [8, 8, 3, 3]).name], ["c2"], { attributes: pads });
    op("Relu", ["c2"], ["r2"]);
    op("Conv", [act("r2", 0.1), weight("w3", [4, 8, 3, 3]).name], ["c3"], { attributes: pads });
    return model(act("c3", 0.1, { zero: 128 }));
  };

  it("stay in float without samples, and say so; their weights keep their codes in the file", async () => {
    const model = partly();
    const { plan, model: made } = await lowered(model);
    expect(plan.nodes.filter(({ form }) => form === "qdq").map(({ weight }) => weight?.tensor)).toContain("w3_dq");
    expect(plan.kept.map(({ reason }) => reason)).toEqual([]);
    expect(plan.nodes.filter(({ form }) => form === "dq").map(({ weight }) => weight?.tensor)).toEqual([
      "w1_dq",
      "w2_dq",
    ]);
    expect(plan.notes.join()).toMatch(/the model holds no grid for "r1" that fits/);
    const share = computeShare((await engine.opHistogram(await inMemory(made)))!);
    expect(share).toMatchObject({ integer: 1, float: 2 });
    // Nodes in float read what they read before: rounded values, and weights on their grid.
    expect(difference(await run(model, "none"), await run(made, "none"))).toBeLessThan(1e-6);
  });

  it("are calibrated with samples", async () => {
    const { plan, model: made } = await lowered(partly(), "w8a8", true);
    expect(observedValues(plan)).toEqual(["r1"]);
    expect(computeShare((await engine.opHistogram(await inMemory(made)))!)).toMatchObject({ integer: 3, share: 1 });
  });
});

it("a value with two grids is rounded to both, one after the other", async () => {
  const { op, act, weight, model } = exporter();
  op("Conv", [act("x", 0.05, { zero: 64 }), weight("w1", [8, 3, 3, 3]).name], ["c1"], { attributes: pads });
  op("Conv", [act(act("c1", 0.1, { zero: 128 }), 0.13, { zero: 100 }), weight("w2", [4, 8, 3, 3]).name], ["c2"], {
    attributes: pads,
  });
  const source = model(act("c2", 0.1, { zero: 128 }));
  const made = await lowered(source);
  expect(observedValues(made.plan)).toEqual([]);
  expect(difference(await run(source, "none"), await run(made.model, "none"))).toBeLessThan(1e-6);
});

it("what is no such pair stays as it is, the model the same object", async () => {
  const { op, float, model } = exporter();
  float("nan", [], [Number.NaN]);
  op("QuantizeLinear", ["x", "nan"], ["q"]);
  op("DequantizeLinear", ["q", "nan"], ["y"]);
  const broken = model("y");
  expect((await prepare(broken, {}, { grids: true })).model).toBe(broken);
  const computed = onnxModel({
    inputs: [valueInfo("x", "float32", [4, 4]), valueInfo("s", "float32", [])],
    outputs: [valueInfo("y")],
    nodes: [node("QuantizeLinear", ["x", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["y"])],
    tensors: [],
  });
  expect((await prepare(computed, {}, { grids: true })).model).toBe(computed);
  const used = onnxModel({
    inputs: [valueInfo("x", "float32", [4, 4])],
    outputs: [valueInfo("y"), valueInfo("z", "uint8")],
    nodes: [
      node("QuantizeLinear", ["x", "s"], ["q"]),
      node("DequantizeLinear", ["q", "s"], ["y"]),
      node("Reshape", ["q", "shape"], ["z"]),
    ],
    tensors: [floatTensor("s", [], [0.1]), intTensor("shape", [16])],
  });
  expect((await prepare(used, {}, { grids: true })).model.graph.nodes.map(({ op: name }) => name)).toContain(
    "QuantizeLinear",
  );
});

it("a product of two values runs in integers where both came with a grid", async () => {
  const { op, act, model, float } = exporter();
  op("Reshape", [act("x", 0.05, { zero: 128 }), "shape"], ["q"]);
  op("Transpose", ["q"], ["k"], { attributes: { perm: [0, 2, 1] } });
  op("MatMul", ["q", "k"], ["scores"]);
  op("Softmax", [act("scores", 0.5, { zero: 100 })], ["share"]);
  op("MatMul", [act("share", 1 / 255), "q"], ["mixed"]);
  float("unused", [1], [0]);
  const source = model("mixed");
  const shaped = {
    ...source,
    graph: { ...source.graph, tensors: new Map(source.graph.tensors).set("shape", intTensor("shape", [0, 3, 64])) },
  };
  const made = await lowered(shaped);
  const share = computeShare((await engine.opHistogram(await inMemory(made.model)))!);
  expect(share).toMatchObject({ integer: 2, float: 0 });
  const exact = await run(shaped, "none");
  expect(difference(exact, await run(made.model, "none"))).toBeLessThan(1e-6);
  // One of 100 codes of the scores may be its neighbour, half a unit in an exponent.
  expect(difference(exact, await run(made.model, "all"))).toBeLessThan(0.1);
});

it("a ReLU or pool between two different grids stays, so that both are rounded to", async () => {
  const { op, act, weight, model } = exporter();
  const convolve = (from: string, name: string, shape: readonly number[], to: string) =>
    op("Conv", [from, weight(name, shape).name], [to], { attributes: pads });
  convolve(act("x", 0.05, { zero: 64 }), "w1", [8, 3, 3, 3], "c1");
  op("Relu", [act("c1", 0.11, { zero: 100 })], ["r1"]);
  op("MaxPool", [act("r1", 0.03)], ["p1"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } });
  convolve(act("p1", 0.07, { zero: 3 }), "w2", [4, 8, 3, 3], "c2");
  const source = model(act("c2", 0.2, { zero: 128 }));
  const made = await lowered(source);
  expect(difference(await run(source, "none"), await run(made.model, "none"))).toBeLessThan(1e-6);
});

it("what has a grid of its own is not folded away", async () => {
  const { op, act, weight, float, model } = exporter();
  op("Conv", [act("x", 0.05, { zero: 64 }), weight("w1", [8, 3, 3, 3]).name], ["c1"], { attributes: pads });
  op("Mul", [act("c1", 0.1, { zero: 100 }), float("factor", [8, 1, 1], normal([8]))], ["m1"]);
  op("MatMul", [act("m1", 0.08, { zero: 128 }), weight("w2", [8, 4], { axis: 1 }).name], ["p1"]);
  op("Add", [act("p1", 0.1, { zero: 90 }), float("b2", [4], normal([4]))], ["s1"]);
  const source = model(act("s1", 0.1, { zero: 128 }));
  const made = await lowered(source);
  expect(difference(await run(source, "none"), await run(made.model, "none"))).toBeLessThan(1e-6);
});

it.each(["w8a8", "w4a4", "w2a2"])("what %s wrote is the same when it is quantized once more", async (name) => {
  const { op, float, model } = exporter();
  op("Conv", ["x", float("w1", [8, 3, 3, 3], normal([8, 3, 3, 3], 0.3))], ["c1"], { attributes: pads });
  op("Relu", ["c1"], ["r1"]);
  op("MaxPool", ["r1"], ["p1"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } });
  op("Conv", ["p1", float("w2", [8, 8, 3, 3], normal([8, 8, 3, 3], 0.2))], ["c2"], { attributes: pads });
  op("GlobalAveragePool", ["c2"], ["g"]);
  op("Flatten", ["g"], ["f"]);
  op("Gemm", ["f", float("w3", [10, 8], normal([10, 8])), float("b3", [10], normal([10]))], ["y"], {
    attributes: { transB: 1 },
  });
  const once = (await lowered(model("y"), name, true)).model;
  const twice = await lowered(once, name);
  expect(observedValues(twice.plan)).toEqual([]);
  expect(twice.plan.nodes.filter(({ weight }) => weight && weight.qparams === undefined)).toEqual([]);
  expect(difference(await run(once, "none"), await run(twice.model, "none"))).toBeLessThan(1e-6);
  expect(computeShare((await engine.opHistogram(await inMemory(twice.model)))!)).toMatchObject({
    integer: 3,
    share: 1,
  });
});
