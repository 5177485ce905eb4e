import { expect, test } from "vitest";
import { floatTensor, node, tensor, tfliteModel, valueInfo } from "../ir/build.ts";
import { withGraph } from "../ir/edit.ts";
import type { Model, NDArray } from "../ir/model.ts";
import { loadLitert, readTfliteFile } from "../node/litert.ts";
import type { Engine, Session } from "./contract.ts";
import { fullyConnected, identity, matmulOf, quantized, tfliteBytes } from "./contract-tflite.case.ts";
import { computeShare } from "./histogram.ts";
import { LITERT_INSTALL, openLitert } from "./litert.ts";
import type { LitertPackage, LitertWasm } from "./litert-api.ts";
import { withTaps } from "./taps.ts";

const floats = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});
const values = (array: NDArray | undefined): readonly number[] => Array.from(array?.data ?? [], Number);

async function started(load = loadLitert): Promise<Engine> {
  const { engine, reason } = await openLitert({ load, readModel: readTfliteFile });
  if (engine === undefined) throw new Error(reason);
  return engine;
}

let shared: Promise<Engine> | undefined;
const litert = (): Promise<Engine> => {
  shared ??= started();
  return shared;
};

async function withSession<T>(model: Model, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await (await litert()).open(await tfliteBytes(model));
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

test("rows beyond the batch of the file run batch after batch", async () => {
  await withSession(matmulOf(2), async (session) => {
    const { y } = await session.run({ x: floats([4, 2], [1, 1, 1, 0, 0, 1, 0, 0]) });
    expect(y).toEqual(floats([4, 3], [15, 27, 39, 11, 22, 33, 14, 25, 36, 10, 20, 30]));
    expect(await session.run({ x: floats([0, 2], []) })).toEqual({ y: floats([0, 3], []) });
    await expect(session.run({ x: floats([3, 2], [1, 1, 1, 1, 1, 1]) })).rejects.toThrow(
      /input "x": 3 rows were given, but the model takes 2 at a time; give a multiple/,
    );
    await expect(session.run({ x: floats([2, 3], [1, 1, 1, 1, 1, 1]) })).rejects.toThrow(/\[2n, 2\] is expected/);
  });
});

test("a file that leaves its batch open takes any number of rows", async () => {
  await withSession(matmulOf(null), async (session) => {
    expect(session.inputs[0]?.shape).toEqual([null, 2]);
    expect(await session.run({ x: floats([2, 2], [1, 0, 0, 1]) })).toEqual({
      y: floats([2, 3], [11, 22, 33, 14, 25, 36]),
    });
  });
});

/** a [1, 2] + b [1, 2] + s, a scalar. */
const sum = tfliteModel({
  inputs: [valueInfo("a", "float32", [1, 2]), valueInfo("b", "float32", [1, 2]), valueInfo("s", "float32", [])],
  outputs: [valueInfo("y", "float32", [1, 2])],
  values: [valueInfo("m", "float32", [1, 2])],
  nodes: [node("ADD", ["a", "b"], ["m"]), node("ADD", ["m", "s"], ["y"])],
});

test("inputs hold as many batches each, but for scalars, which serve all of them", async () => {
  await withSession(sum, async (session) => {
    const [a, s] = [floats([2, 2], [1, 2, 3, 4]), floats([], [100])];
    const { y } = await session.run({ a, b: floats([2, 2], [10, 20, 30, 40]), s });
    expect(values(y)).toEqual([111, 122, 133, 144]);
    await expect(session.run({ a, b: floats([1, 2], [1, 1]), s })).rejects.toThrow(
      /input "b" holds 1 batches and input "a" 2; give as many of each/,
    );
  });
});

test("inputs, constants and inner values can be tapped, in the type they have", async () => {
  await withSession(withTaps(quantized, ["xq", "mq", "w", "x"]), async (session) => {
    const found = await session.run({ x: floats([2, 4], [1, 2, 3, 4, -1, -2, -3, -4]) });
    expect(found.xq).toEqual({ dtype: "int8", shape: [2, 4], data: Int8Array.of(10, 20, 30, 40, -10, -20, -30, -40) });
    expect(found.mq?.dtype).toBe("int8");
    expect(found.x).toEqual(floats([2, 4], [1, 2, 3, 4, -1, -2, -3, -4]));
    expect(found.w?.shape).toEqual([4, 4]);
    expect(values(found.w).slice(0, 3)).toEqual([-20, -17, -14]);
    expect(values(found.y)).toEqual(values(found.mq).map((code) => 0.5 * (code - 3)));
  });
});

test("a model may hand an input on, and do nothing else", async () => {
  const idle = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("x", "float32", [1, 2])],
    nodes: [],
  });
  await withSession(idle, async (session) => {
    expect(await session.run({ x: floats([2, 2], [1, 2, 3, 4]) })).toEqual({ x: floats([2, 2], [1, 2, 3, 4]) });
  });
});

test("an output that is listed twice comes back once", async () => {
  const { outputs } = quantized.graph;
  const twice = withGraph(quantized, { ...quantized.graph, outputs: [...outputs, ...outputs] });
  await withSession(twice, async (session) => {
    const found = await session.run({ x: floats([1, 4], [1, 2, 3, 4]) });
    expect(Object.keys(found)).toEqual(["y"]);
    expect(found.y?.shape).toEqual([1, 4]);
  });
});

test("a file with signatures is run by the names of its tensors, taps included", async () => {
  const matmul = matmulOf(1);
  const signed: Model = {
    ...matmul,
    extra: {
      subgraphs: [],
      signatures: [
        {
          key: "serving_default",
          subgraph: 0,
          inputs: [{ name: "pixels", value: "x" }],
          outputs: [{ name: "scores", value: "y" }],
        },
      ],
    },
  };
  await withSession(withTaps(signed, ["m"]), async (session) => {
    expect(await session.run({ x: floats([1, 2], [1, 1]) })).toEqual({
      y: floats([1, 3], [15, 27, 39]),
      m: floats([1, 3], [5, 7, 9]),
    });
  });
});

test("a tapped output that belongs to no row can't be put together", async () => {
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [])],
    nodes: [node("SUM", ["x", "axes"], ["y"], { attributes: { keep_dims: 0 } })],
    tensors: [tensor("axes", "int32", [2], Int32Array.of(0, 1))],
  });
  await withSession(model, async (session) => {
    expect((await session.run({ x: floats([1, 2], [1, 2]) })).y).toEqual(floats([], [3]));
    await expect(session.run({ x: floats([2, 2], [1, 2, 3, 4]) })).rejects.toThrow(/output "y": shape \[\] can't be/);
  });
});

/** The package, and what its machines are once they run. */
async function watched(): Promise<{ readonly load: () => Promise<LitertPackage>; readonly machines: LitertWasm[] }> {
  const machines: LitertWasm[] = [];
  const loaded = await loadLitert();
  const factory: LitertPackage["factory"] = async (options) => {
    const wasm = await loaded.factory(options);
    machines.push(wasm);
    return wasm;
  };
  return { load: async () => ({ ...loaded, factory }), machines };
}

test("opening, running and closing again and again takes no more memory", async () => {
  const WIDTH = 2 ** 16;
  const wide = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, WIDTH])],
    outputs: [valueInfo("y", "float32", [1, WIDTH])],
    nodes: [node("ADD", ["x", "b"], ["y"])],
    tensors: [floatTensor("b", [WIDTH], new Array(WIDTH).fill(1))],
  });
  const { load, machines } = await watched();
  const engine = await started(load);
  const place = await tfliteBytes(wide);
  const x = floats([4, WIDTH], new Array(4 * WIDTH).fill(1));
  const once = async () => {
    const session = await engine.open(place);
    expect((await session.run({ x })).y?.data[0]).toBe(2);
    await session.close();
  };
  await once();
  const before = machines[0]!.HEAPU8.length;
  for (let i = 0; i < 30; i++) await once();
  expect(machines[0]!.HEAPU8.length).toBe(before);
});

test("a model that crashes the machine takes down what is open, and the next one runs on a new one", async () => {
  const { load, machines } = await watched();
  const engine = await started(load);
  const place = await tfliteBytes(matmulOf(1));
  const x = floats([1, 2], [1, 1]);
  const open = await engine.open(place);
  const compile = machines[0]!.compileModel;
  Object.assign(machines[0]!, {
    compileModel() {
      throw new (globalThis as unknown as { WebAssembly: { RuntimeError: ErrorConstructor } }).WebAssembly.RuntimeError(
        "unreachable",
      );
    },
  });
  await expect(engine.open(place)).rejects.toMatchObject({ code: "engine", message: /unreachable/ });
  Object.assign(machines[0]!, { compileModel: compile });
  await expect(open.run({ x })).rejects.toThrow(/the engine crashed over an earlier model; open the model again/);
  await open.close();
  const again = await engine.open(place);
  expect(values((await again.run({ x })).y)).toEqual([15, 27, 39]);
  expect(machines).toHaveLength(2);
  await again.close();
});

test("no global variable is left behind", async () => {
  const before = Object.getOwnPropertyNames(globalThis);
  const session = await (await started()).open(await tfliteBytes(identity("int8")));
  await session.close();
  expect(Object.getOwnPropertyNames(globalThis)).toEqual(before);
});

test("without the package the reason is one line that says how to get it", async () => {
  const missing = Object.assign(new Error("Cannot find module"), { code: "MODULE_NOT_FOUND" });
  expect(await openLitert({ load: () => Promise.reject(missing) })).toEqual({
    reason: `@litertjs/core is not installed; \`${LITERT_INSTALL}\` adds it`,
  });
});

test("no memory is taken for an absurd input", async () => {
  const absurd = tfliteModel({
    inputs: [valueInfo("x", "float32", [2 ** 10, 2 ** 19])],
    outputs: [valueInfo("y", "float32", [2 ** 10, 2 ** 19])],
    nodes: [node("RELU", ["x"], ["y"])],
  });
  const opening = (await litert()).open(await tfliteBytes(absurd));
  await expect(opening).rejects.toMatchObject({
    code: "limit",
    message: expect.stringMatching(/an input takes .* fix/),
  });
});

test("profiles are refused when the model is opened", async () => {
  const engine = await litert();
  await expect(engine.open(await tfliteBytes(identity("int8")), { profile: true })).rejects.toMatchObject({
    code: "unsupported",
  });
});

/** Weights of 1 on the first of four inputs, in int8 or int4, with floats in front of them. */
function hybrid(
  op: string,
  rank: number,
  bits: 4 | 8,
  rest: { readonly attributes?: object; readonly also?: "size" | "bias" },
) {
  const ones = new Array<number>(rank - 1).fill(1);
  const weights = bits === 8 ? tensor("w", "int8", [...ones, 4], Int8Array.of(100, 0, 0, 0)) : nibbles([...ones, 4]);
  const scale = Float32Array.of(bits === 8 ? 0.01 : 0.2);
  const inputs = rest.also === "size" ? ["size", "w", "x"] : ["x", "w", ...(rest.also ? ["bias"] : [])];
  return tfliteModel({
    inputs: [valueInfo("x", "float32", [...ones, 4])],
    outputs: [valueInfo("y", "float32", [...ones, op === "DEPTHWISE_CONV_2D" ? 4 : 1])],
    nodes: [node(op, inputs, ["y"], { attributes: { ...rest.attributes } })],
    tensors: [
      { ...weights, quantization: { qparams: { scale, zeroPoint: Int32Array.of(0) } } },
      tensor("size", "int32", [4], Int32Array.of(1, 1, 1, 1)),
      floatTensor("bias", [1], [0]),
    ],
  });
}
const nibbles = (shape: readonly number[]) => tensor("w", "int4", shape, Uint8Array.of(5, 0));

const VALID = { padding: "VALID", stride_w: 1, stride_h: 1 };
const DILATED = { ...VALID, dilation_w_factor: 1, dilation_h_factor: 1, fused_activation_function: "NONE" };

test.each([
  ["FULLY_CONNECTED float32xint8", hybrid("FULLY_CONNECTED", 2, 8, fullyConnected)],
  ["FULLY_CONNECTED float32xint4", hybrid("FULLY_CONNECTED", 2, 4, fullyConnected)],
  ["CONV_2D float32xint8", hybrid("CONV_2D", 4, 8, { attributes: DILATED, also: "bias" })],
  ["CONV_2D float32xint4", hybrid("CONV_2D", 4, 4, { attributes: DILATED, also: "bias" })],
  [
    "DEPTHWISE_CONV_2D float32xint8",
    hybrid("DEPTHWISE_CONV_2D", 4, 8, { attributes: { ...DILATED, depth_multiplier: 1 } }),
  ],
  ["TRANSPOSE_CONV float32xint8", hybrid("TRANSPOSE_CONV", 4, 8, { attributes: VALID, also: "size" })],
  ["BATCH_MATMUL float32xint8", hybrid("BATCH_MATMUL", 3, 8, { attributes: { adj_y: 1 } })],
])("%s quantizes its floats on the way, as the histogram says", async (name, model) => {
  const histogram = (await (await litert()).opHistogram(await tfliteBytes(model))) ?? {};
  expect(histogram).toEqual({ [name]: 1 });
  expect(computeShare(histogram).share).toBe(1);
  await withSession(model, async (session) => {
    // beside 1000, a value of 1 is less than half a step of 8 bits: in floats the result would be 1
    const x = floats(model.graph.inputs[0]!.shape as readonly number[], [1, 1000, 0, 0]);
    expect(values((await session.run({ x })).y)[0]).toBe(0);
  });
});
