/** What every engine must do. A case that an engine can't meet is listed in its `skips` with the reason. */
import { expect, test } from "vitest";
import type { NDArray } from "../ir/model.ts";
import type { Engine, ModelPlace } from "./contract.ts";
import { FEEDABLE, type FeedableDType } from "./feedable.ts";
import { computeShare } from "./histogram.ts";
import { branches, conv, doubleConv, gather, identity, inFiles, inMemory, matmul, qdq, single } from "./models.case.ts";
import { withTaps } from "./taps.ts";

export interface EngineCase {
  readonly name: string;
  readonly open: () => Promise<Engine>;
  /** Writes the files of a model into a fresh folder and returns the path of the main one. */
  readonly save: (files: readonly { readonly name: string; readonly bytes: Uint8Array }[]) => Promise<string>;
  /** Case name to reason. */
  readonly skips: Readonly<Record<string, string>>;
}

const floats = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

const values = (array: NDArray | undefined): readonly number[] => Array.from(array?.data ?? [], Number);

/** Two of every dtype's values, the extremes of the integers among them. */
const SAMPLES: { readonly [D in FeedableDType]: readonly (number | bigint)[] } = {
  float32: [-1.5, 3.4028234663852886e38],
  float64: [Math.PI, -1e300],
  float16: [0x3c00, 0xfbff], // bits of 1 and -65504
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int8: [-128, 127],
  uint64: [0n, 2n ** 64n - 1n],
  uint32: [0, 2 ** 32 - 1],
  uint16: [0, 65535],
  uint8: [0, 255],
  bool: [0, 1],
};

const sample = (dtype: FeedableDType): NDArray => ({
  dtype,
  shape: [2],
  data: (FEEDABLE[dtype] as Float32ArrayConstructor).from(SAMPLES[dtype] as number[]),
});

async function run(engine: Engine, place: ModelPlace, feeds: Readonly<Record<string, NDArray>>) {
  const session = await engine.open(place);
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

const CASES: Readonly<Record<string, (engine: Engine, save: EngineCase["save"]) => Promise<void>>> = {
  "a MatMul with bias gives the values computed by hand, for any batch": async (engine) => {
    const session = await engine.open(await inMemory(matmul));
    expect(session.threads).toBe(1);
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["batch", 2] }]);
    expect(session.outputs).toEqual([{ name: "y", dtype: "float32", shape: ["batch", 3] }]);
    const one = await session.run({ x: floats([1, 2], [1, 1]) });
    expect(one).toEqual({ y: floats([1, 3], [15, 27, 39]) });
    const two = await session.run({ x: floats([2, 2], [1, 0, 0, 1]) });
    expect(two).toEqual({ y: floats([2, 3], [11, 22, 33, 14, 25, 36]) });
    const none = await session.run({ x: floats([0, 2], []) });
    expect(none).toEqual({ y: floats([0, 3], []) });
    await session.close();
  },

  "a Conv gives the values computed by hand, with and without optimization": async (engine) => {
    for (const optimize of ["all", "none"] as const) {
      const session = await engine.open(await inMemory(conv), { optimize });
      const { y } = await session.run({ x: floats([1, 1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]) });
      expect(y).toEqual(floats([1, 1, 2, 2], [37, 47, 67, 77]));
      await session.close();
    }
  },

  "every dtype that JavaScript can feed passes through unchanged": async (engine) => {
    for (const dtype of Object.keys(FEEDABLE) as FeedableDType[]) {
      const x = sample(dtype);
      expect(await run(engine, await inMemory(identity(dtype)), { x })).toEqual({ y: x });
    }
  },

  "a feed may be a part of a larger buffer, and results do not share it": async (engine) => {
    const x = { dtype: "float32", shape: [2], data: Float32Array.of(1, 2, 3, 4).subarray(1, 3) } as const;
    const { y } = await run(engine, await inMemory(identity("float32")), { x });
    x.data.fill(0);
    expect(values(y)).toEqual([2, 3]);
  },

  "tapped values come back beside the outputs, and fetches limit them": async (engine) => {
    const session = await engine.open(await inMemory(withTaps(matmul, ["m"])));
    const x = floats([1, 2], [1, 1]);
    const both = await session.run({ x });
    expect(Object.keys(both).sort()).toEqual(["m", "y"]);
    expect(values(both.m)).toEqual([5, 7, 9]);
    expect(await session.run({ x }, ["m"])).toEqual({ m: floats([1, 3], [5, 7, 9]) });
    await session.close();
  },

  "branches of a sub-graph are chosen at run time": async (engine) => {
    const place = await inMemory(branches);
    const flag = (on: number): NDArray => ({ dtype: "bool", shape: [], data: Uint8Array.of(on) });
    const x = floats([2], [4, 9]);
    expect(values((await run(engine, place, { flag: flag(1), x })).y)).toEqual([-4, -9]);
    expect(values((await run(engine, place, { flag: flag(0), x })).y)).toEqual([2, 3]);
  },

  "external data is found in memory": async (engine) => {
    const { y } = await run(engine, await inFiles(matmul), { x: floats([1, 2], [1, 1]) });
    expect(values(y)).toEqual([15, 27, 39]);
  },

  "external data is found beside a model that is opened by path": async (engine, save) => {
    const { bytes, external: files } = await inFiles(matmul);
    const path = await save([
      { name: "model.onnx", bytes },
      ...files.map(({ location, bytes }) => ({ name: location, bytes })),
    ]);
    expect(values((await run(engine, { path }, { x: floats([1, 2], [1, 1]) })).y)).toEqual([15, 27, 39]);
  },

  "the histogram shows a fused integer MatMul": async (engine) => {
    const histogram = await engine.opHistogram(await inMemory(qdq));
    expect(histogram).toEqual({ QuantizeLinear: 1, QLinearMatMul: 1, DequantizeLinear: 1 });
    expect(computeShare(histogram ?? {})).toEqual({ integer: 1, codes: 0, float: 0, share: 1 });
    expect(computeShare((await engine.opHistogram(await inMemory(matmul))) ?? {}).share).toBe(0);
  },

  "the histogram counts the nodes of every branch": async (engine) => {
    expect(await engine.opHistogram(await inMemory(branches))).toEqual({ If: 1, Neg: 1, Sqrt: 1 });
  },

  "the profile has every node once, with the time of all runs": async (engine) => {
    const session = await engine.open(await inMemory(withTaps(matmul, ["m"])), { profile: true, optimize: "none" });
    for (let i = 0; i < 3; i++) await session.run({ x: floats([1, 2], [1, 1]) });
    const times = await session.profile();
    expect(times.map(({ node, op, runs }) => ({ node, op, runs }))).toEqual([
      { node: "mm", op: "MatMul", runs: 3 },
      { node: "bias", op: "Add", runs: 3 },
    ]);
    for (const { ms } of times) expect(ms).toBeGreaterThanOrEqual(0);
    expect(await session.profile()).toBe(times);
    await session.close();
  },

  "names of nodes that need escaping survive in the profile": async (engine) => {
    const name = 'q"uote\\back\nline,"args" : {"op_name" : "Bad"}_kernel_time';
    const session = await engine.open(await inMemory(single("Relu", 17, name)), { profile: true });
    await session.run({ x: floats([1], [1]) });
    expect(await session.profile()).toMatchObject([{ node: name, op: "Relu", runs: 1 }]);
    await session.close();
  },

  "a session that was not opened for it has no profile": async (engine) => {
    const session = await engine.open(await inMemory(matmul));
    await expect(session.profile()).rejects.toThrow(/open the session with `profile: true`/);
    await session.close();
  },

  "wrong feeds are refused with what was found and what is expected": async (engine) => {
    const session = await engine.open(await inMemory(matmul));
    const x = floats([1, 2], [1, 1]);
    const refused = (feeds: Readonly<Record<string, NDArray>>, message: RegExp) =>
      expect(session.run(feeds)).rejects.toThrow(message);
    await refused({}, /input "x" is missing; nothing was given/);
    await refused({ x, z: x }, /no input "z"; its inputs are "x"/);
    await refused({ constructor: x }, /no input "constructor"/);
    await refused({ x: sample("int32") }, /dtype int32 was given, float32 is expected/);
    await refused({ x: floats([2], [1, 1]) }, /shape \[2\] was given, \[batch, 2\] is expected/);
    await refused({ x: floats([1, 3], [1, 1, 1]) }, /shape \[1, 3\] was given, \[batch, 2\] is expected/);
    await refused({ x: floats([1, 2], [1]) }, /shape \[1,2\] has 2 elements, but the data has 1/);
    await refused({ x: { ...x, data: Float64Array.of(1, 1) } }, /is a Float64Array; use a Float32Array/);
    await expect(session.run({ x }, ["z"])).rejects.toThrow(/no output "z"; its outputs are "y"/);
    expect(values((await session.run({ x })).y)).toEqual([15, 27, 39]);
    await session.close();
  },

  "a model that can't be opened is refused with the place and the reason": async (engine) => {
    const refused = (place: ModelPlace, code: string, message: RegExp) =>
      expect(engine.open(place)).rejects.toMatchObject({
        name: "FewbitError",
        code,
        message: expect.stringMatching(message),
      });
    await refused({ bytes: new TextEncoder().encode("no model at all") }, "format", /not an ONNX model, or cut short/);
    const { bytes } = await inMemory(matmul);
    await refused({ bytes: bytes.subarray(0, bytes.length - 9) }, "format", /cut short/);
    await refused(await inMemory(single("Frobnicate")), "engine", /does not know op Frobnicate in opset 17/);
    await refused(await inMemory(single("Relu", 99)), "engine", /opset 99 .* newer than the engine knows/);
    await refused(await inMemory(doubleConv), "engine", /node "it": the engine has no kernel for Conv/);
    await refused(await inMemory(identity("bfloat16")), "unsupported", /element type .* that JavaScript can't hold/);
  },

  "a missing file is named": async (engine) => {
    const open = engine.open({ path: "no/such/model.onnx" });
    await expect(open).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/no\/such\/model\.onnx/),
    });
  },

  "a run that fails names the model and the cause": async (engine) => {
    const session = await engine.open(await inMemory(gather));
    await expect(session.run({ i: sampleIndex(7) })).rejects.toThrow(/model in memory: .*indices element out of/);
    expect(values((await session.run({ i: sampleIndex(1) })).y)).toEqual([20]);
    await session.close();
  },

  "closing twice is fine, running after it is not": async (engine) => {
    const session = await engine.open(await inMemory(matmul));
    await session.close();
    await session.close();
    await expect(session.run({ x: floats([1, 2], [1, 1]) })).rejects.toThrow(/the session is closed/);
  },

  "two sessions live side by side": async (engine) => {
    const [a, b] = [await engine.open(await inMemory(matmul)), await engine.open(await inMemory(conv))];
    await a.close();
    const { y } = await b.run({ x: floats([1, 1, 3, 3], [1, 0, 0, 0, 0, 0, 0, 0, 0]) });
    expect(values(y)).toEqual([1, 0, 0, 0]);
    await b.close();
  },
};

const sampleIndex = (index: number): NDArray => ({ dtype: "int64", shape: [1], data: BigInt64Array.of(BigInt(index)) });

/** Registers the suite for one engine. */
export function engineContract({ name, open, save, skips }: EngineCase): void {
  for (const [title, body] of Object.entries(CASES)) {
    const reason = skips[title];
    if (reason !== undefined) test.skip(`${name}: ${title} (${reason})`);
    else test(`${name}: ${title}`, async () => body(await open(), save));
  }
}
