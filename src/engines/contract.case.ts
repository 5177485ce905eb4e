/** What every engine must do. A case that an engine can't meet is listed in its `skips` with the reason. */
import { expect, test } from "vitest";
import type { Model, NDArray } from "../ir/model.ts";
import type { ErrorCode } from "../numeric/errors.ts";
import type { Engine, MemoryPlace, ModelPlace, OpHistogram } from "./contract.ts";
import { FEEDABLE, type FeedableDType } from "./feedable.ts";
import { computeShare } from "./histogram.ts";
import { withTaps } from "./taps.ts";

/** What can't be opened, the code of the error and what it says. */
export type Refusal = readonly [place: ModelPlace, code: ErrorCode, message: RegExp];

/** The models of the suite in one container. Names, values and results are the same in all of them. */
export interface ContractModels {
  inMemory(model: Model): Promise<MemoryPlace>;
  /** With its weights in files of their own; only where the container has that. */
  inFiles?(model: Model): Promise<Required<MemoryPlace>>;
  /** How the number of rows is called where any will do. */
  readonly rows: string;
  /** x [rows, 2] times [[1, 2, 3], [4, 5, 6]] is m, plus [10, 20, 30] is y; one op each, "mm" and "bias". */
  readonly matmul: Model;
  /** One image of 3 by 3, one channel, with a filter [[1, 2], [3, 4]]. */
  readonly conv: Model;
  /** Hands a vector of two on. */
  identity(dtype: FeedableDType): Model;
  /** Those `identity` can be had for. */
  readonly dtypes: readonly FeedableDType[];
  /** With `flag` y is -x, without it the square root of x. */
  readonly branches: Model;
  readonly branchesHistogram: OpHistogram;
  /** A matrix product in integers between floats. */
  readonly quantized: Model;
  readonly quantizedHistogram: OpHistogram;
  /** Looks up [10, 20] at index i. */
  readonly gather: Model;
  /** What is said about an index that is too large. */
  readonly badIndex: RegExp;
  indexOf(index: number): NDArray;
  refusals(): Promise<readonly Refusal[]>;
  /** A model with one node of this name and an op called Relu; only where nodes have names. */
  named?(name: string): Model;
}

export interface EngineCase {
  readonly name: string;
  readonly models: ContractModels;
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

/** Shapes with every open dimension at 1. */
const shapeOf = (model: Model): readonly number[] =>
  (model.graph.inputs[0]?.shape ?? []).map((length) => (typeof length === "number" ? length : 1));

type Body = (engine: Engine, models: ContractModels, save: EngineCase["save"]) => Promise<void>;

const CASES: Readonly<Record<string, Body>> = {
  "a MatMul with bias gives the values computed by hand, for any batch": async (engine, { inMemory, matmul }) => {
    const session = await engine.open(await inMemory(matmul));
    expect(session.threads).toBe(1);
    expect(session.inputs).toMatchObject(matmul.graph.inputs);
    expect(session.outputs).toMatchObject(matmul.graph.outputs);
    const one = await session.run({ x: floats([1, 2], [1, 1]) });
    expect(one).toEqual({ y: floats([1, 3], [15, 27, 39]) });
    const two = await session.run({ x: floats([2, 2], [1, 0, 0, 1]) });
    expect(two).toEqual({ y: floats([2, 3], [11, 22, 33, 14, 25, 36]) });
    const none = await session.run({ x: floats([0, 2], []) });
    expect(none).toEqual({ y: floats([0, 3], []) });
    await session.close();
  },

  "a Conv gives the values computed by hand, with and without optimization": async (engine, { inMemory, conv }) => {
    for (const optimize of ["all", "none"] as const) {
      const session = await engine.open(await inMemory(conv), { optimize });
      const { y } = await session.run({ x: floats(shapeOf(conv), [1, 2, 3, 4, 5, 6, 7, 8, 9]) });
      expect(y?.shape).toEqual(conv.graph.outputs[0]?.shape);
      expect(values(y)).toEqual([37, 47, 67, 77]);
      await session.close();
    }
  },

  "every dtype that JavaScript can feed passes through unchanged": async (engine, { inMemory, identity, dtypes }) => {
    for (const dtype of dtypes) {
      const x = sample(dtype);
      expect(await run(engine, await inMemory(identity(dtype)), { x })).toEqual({ y: x });
    }
  },

  "a feed may be a part of a larger buffer, and results do not share it": async (engine, { inMemory, identity }) => {
    const x = { dtype: "float32", shape: [2], data: Float32Array.of(1, 2, 3, 4).subarray(1, 3) } as const;
    const { y } = await run(engine, await inMemory(identity("float32")), { x });
    x.data.fill(0);
    expect(values(y)).toEqual([2, 3]);
  },

  "tapped values come back beside the outputs, and fetches limit them": async (engine, { inMemory, matmul }) => {
    const session = await engine.open(await inMemory(withTaps(matmul, ["m"])));
    const x = floats([1, 2], [1, 1]);
    const both = await session.run({ x });
    expect(Object.keys(both).sort()).toEqual(["m", "y"]);
    expect(values(both.m)).toEqual([5, 7, 9]);
    expect(await session.run({ x }, ["m"])).toEqual({ m: floats([1, 3], [5, 7, 9]) });
    await session.close();
  },

  "branches of a sub-graph are chosen at run time": async (engine, { inMemory, branches }) => {
    const place = await inMemory(branches);
    const flag = (on: number): NDArray => ({ dtype: "bool", shape: shapeOf(branches), data: Uint8Array.of(on) });
    const x = floats([2], [4, 9]);
    expect(values((await run(engine, place, { flag: flag(1), x })).y)).toEqual([-4, -9]);
    expect(values((await run(engine, place, { flag: flag(0), x })).y)).toEqual([2, 3]);
  },

  "external data is found in memory": async (engine, { inFiles, matmul }) => {
    const { y } = await run(engine, await inFiles!(matmul), { x: floats([1, 2], [1, 1]) });
    expect(values(y)).toEqual([15, 27, 39]);
  },

  "external data is found beside a model that is opened by path": async (engine, { inFiles, matmul }, save) => {
    const { bytes, external: files } = await inFiles!(matmul);
    const path = await save([
      { name: "model.onnx", bytes },
      ...files.map(({ location, bytes }) => ({ name: location, bytes })),
    ]);
    expect(values((await run(engine, { path }, { x: floats([1, 2], [1, 1]) })).y)).toEqual([15, 27, 39]);
  },

  "a model is opened by path": async (engine, { inMemory, matmul }, save) => {
    const path = await save([{ name: "model", bytes: (await inMemory(matmul)).bytes }]);
    expect(values((await run(engine, { path }, { x: floats([1, 2], [1, 1]) })).y)).toEqual([15, 27, 39]);
  },

  "the histogram shows a fused integer MatMul": async (engine, models) => {
    const { inMemory, matmul } = models;
    const histogram = await engine.opHistogram(await inMemory(models.quantized));
    expect(histogram).toEqual(models.quantizedHistogram);
    expect(computeShare(histogram ?? {})).toEqual({ integer: 1, codes: 0, float: 0, share: 1 });
    expect(computeShare((await engine.opHistogram(await inMemory(matmul))) ?? {}).share).toBe(0);
  },

  "the histogram counts the nodes of every branch": async (engine, { inMemory, branches, branchesHistogram }) => {
    expect(await engine.opHistogram(await inMemory(branches))).toEqual(branchesHistogram);
  },

  "the profile has every node once, with the time of all runs": async (engine, { inMemory, matmul }) => {
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

  "names of nodes that need escaping survive in the profile": async (engine, { inMemory, named }) => {
    const name = 'q"uote\\back\nline,"args" : {"op_name" : "Bad"}_kernel_time';
    const session = await engine.open(await inMemory(named!(name)), { profile: true });
    await session.run({ x: floats([1], [1]) });
    expect(await session.profile()).toMatchObject([{ node: name, op: "Relu", runs: 1 }]);
    await session.close();
  },

  "a session that was not opened for it has no profile": async (engine, { inMemory, matmul }) => {
    const session = await engine.open(await inMemory(matmul));
    await expect(session.profile()).rejects.toThrow(/open the session with `profile: true`/);
    await session.close();
  },

  "wrong feeds are refused with what was found and what is expected": async (engine, { inMemory, matmul, rows }) => {
    const session = await engine.open(await inMemory(matmul));
    const x = floats([1, 2], [1, 1]);
    const refused = (feeds: Readonly<Record<string, NDArray>>, message: RegExp) =>
      expect(session.run(feeds)).rejects.toThrow(message);
    await refused({}, /input "x" is missing; nothing was given/);
    await refused({ x, z: x }, /no input "z"; its inputs are "x"/);
    await refused({ constructor: x }, /no input "constructor"/);
    await refused({ x: sample("int32") }, /dtype int32 was given, float32 is expected/);
    await refused({ x: floats([2], [1, 1]) }, new RegExp(`shape \\[2\\] was given, \\[${rows}, 2\\] is expected`));
    await refused(
      { x: floats([1, 3], [1, 1, 1]) },
      new RegExp(`shape \\[1, 3\\] was given, \\[${rows}, 2\\] is expected`),
    );
    await refused({ x: floats([1, 2], [1]) }, /shape \[1,2\] has 2 elements, but the data has 1/);
    await refused({ x: { ...x, data: Float64Array.of(1, 1) } }, /is a Float64Array; use a Float32Array/);
    await expect(session.run({ x }, ["z"])).rejects.toThrow(/no output "z"; its outputs are "y"/);
    expect(values((await session.run({ x })).y)).toEqual([15, 27, 39]);
    await session.close();
  },

  "a model that can't be opened is refused with the place and the reason": async (engine, { refusals }) => {
    for (const [place, code, message] of await refusals())
      await expect(engine.open(place)).rejects.toMatchObject({
        name: "FewbitError",
        code,
        message: expect.stringMatching(message),
      });
  },

  "a missing file is named": async (engine) => {
    const open = engine.open({ path: "no/such/model.onnx" });
    await expect(open).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/no\/such\/model\.onnx/),
    });
  },

  "a run that fails names the model and the cause": async (engine, { inMemory, gather, badIndex, indexOf }) => {
    const session = await engine.open(await inMemory(gather));
    const failed = session.run({ i: indexOf(7) });
    await expect(failed).rejects.toThrow(/model in memory: /);
    await expect(failed).rejects.toThrow(badIndex);
    expect(values((await session.run({ i: indexOf(1) })).y)).toEqual([20]);
    await session.close();
  },

  "closing twice is fine, running after it is not": async (engine, { inMemory, matmul }) => {
    const session = await engine.open(await inMemory(matmul));
    await session.close();
    await session.close();
    await expect(session.run({ x: floats([1, 2], [1, 1]) })).rejects.toThrow(/the session is closed/);
  },

  "two sessions live side by side": async (engine, { inMemory, matmul, conv }) => {
    const [a, b] = [await engine.open(await inMemory(matmul)), await engine.open(await inMemory(conv))];
    await a.close();
    const { y } = await b.run({ x: floats(shapeOf(conv), [1, 0, 0, 0, 0, 0, 0, 0, 0]) });
    expect(values(y)).toEqual([1, 0, 0, 0]);
    await b.close();
  },
};

/** Registers the suite for one engine. */
export function engineContract({ name, open, save, models, skips }: EngineCase): void {
  for (const [title, body] of Object.entries(CASES)) {
    const reason = skips[title];
    if (reason !== undefined) test.skip(`${name}: ${title} (${reason})`);
    else test(`${name}: ${title}`, async () => body(await open(), models, save));
  }
}
