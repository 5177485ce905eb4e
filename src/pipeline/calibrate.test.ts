import { beforeAll, expect, test } from "vitest";
import { memoryArray } from "../containers/data-arrays.ts";
import { rowsDataset } from "../containers/data-rows.ts";
import type { Engine, Session } from "../engines/contract.ts";
import { inMemory } from "../engines/models.case.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { withTaps } from "../engines/taps.ts";
import { floatTensor, intTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Model } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { formatStats } from "../observers/stats-json.ts";
import { calibrate, checkStats, mergeStats } from "./calibrate.ts";
import { type Hooks, noHooks } from "./progress.ts";

let engine: Engine;
beforeAll(async () => {
  engine = ((await openOrtNode()).engine ?? (await openOrtWeb()).engine)!;
});

/** y = relu(x * w), and its shape as an integer value. */
const model = (batch: Dim = "n"): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [batch, 4])],
    outputs: [valueInfo("y", "float32", [batch, 4])],
    nodes: [node("Mul", ["x", "w"], ["m"]), node("Relu", ["m"], ["y"]), node("Shape", ["m"], ["s"])],
    tensors: [floatTensor("w", [4], [1, -2, 4, 0])],
  });

const open = async (of: Model, taps: readonly string[]): Promise<Session> =>
  engine.open(await inMemory(withTaps(of, taps)));

const random = rng(1);
const numbers = Float32Array.from({ length: 400 }, random.normal);
const samples = (count = 100, batch: Dim = "n", data: Float32Array = numbers) =>
  rowsDataset(
    [
      {
        input: valueInfo("x", "float32", [batch, 4]),
        array: memoryArray({ dtype: "float32", shape: [count, 4], data: data.subarray(0, count * 4) }, "x.npy"),
      },
    ],
    "x.npy",
  );

test("statistics are those of the values the model computes", async () => {
  const session = await open(model(), ["m"]);
  const stats = await calibrate(session, ["x", "m", "y"], samples(), { model: "ab".repeat(32) });
  const products = numbers.map((value, i) => value * [1, -2, 4, 0][i % 4]!);
  expect(stats).toMatchObject({ version: 1, model: "ab".repeat(32), samples: 100 });
  expect(stats.values.m).toMatchObject({
    min: Math.min(...products),
    max: Math.max(...products),
    count: 400,
    batches: 100,
  });
  expect(stats.values.y).toMatchObject({ min: 0, max: Math.max(...products) });
  expect(stats.values.x).toMatchObject({ min: Math.min(...numbers), max: Math.max(...numbers) });
  await session.close();
});

test("the batch size changes nothing but the last bits of averages", async () => {
  const session = await open(model(), ["m"]);
  const [one, many, auto] = [
    await calibrate(session, ["m", "y"], samples(), { batch: 1 }),
    await calibrate(session, ["m", "y"], samples(), { batch: 33 }),
    await calibrate(session, ["m", "y"], samples()),
  ];
  expect(many).toEqual(one);
  expect(auto).toEqual(one);
  await session.close();
});

test("values that are not floats are left out", async () => {
  const session = await open(model(), ["m", "s"]);
  expect(Object.keys((await calibrate(session, ["s", "m"], samples())).values)).toEqual(["m"]);
  await session.close();
});

test("a model with a fixed first dimension is fed one sample at a time", async () => {
  const session = await open(model(1), ["m"]);
  expect((await calibrate(session, ["m"], samples(10, 1))).values.m).toMatchObject({ count: 40, batches: 10 });
  await session.close();
});

const reshaped = (shape: readonly number[]): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 4])],
    outputs: [valueInfo("y", "float32")],
    nodes: [node("Reshape", ["x", "shape"], ["r"]), node("Softmax", ["r"], ["y"])],
    tensors: [intTensor("shape", shape)],
  });

test.each([
  ["fails", [1, 4]],
  ["mixes samples", [1, -1]],
])("a model that hides a fixed batch and %s with several samples is fed one at a time", async (_, shape) => {
  const session = await open(reshaped(shape), []);
  expect((await calibrate(session, ["y"], samples())).values.y).toMatchObject({ count: 400, batches: 100 });
  const { max } = (await calibrate(session, ["y"], samples())).values.y!;
  const alone = await session.run({ x: { dtype: "float32", shape: [1, 4], data: numbers.slice(0, 4) } });
  expect(max).toBeGreaterThanOrEqual(Math.max(...(alone.y!.data as Float32Array)));
  await session.close();
});

test("NaN in a value is an error that names it", async () => {
  const root = onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 4])],
    outputs: [valueInfo("y", "float32", ["n", 4])],
    nodes: [node("Sqrt", ["x"], ["root"]), node("Relu", ["root"], ["y"])],
  });
  const session = await open(root, ["root"]);
  await expect(calibrate(session, ["root"], samples())).rejects.toThrow(/value "root" holds \d+ NaN/);
  await session.close();
});

test("progress counts samples, and an interruption stops the run", async () => {
  const session = await open(model(), ["m"]);
  let ticks = 0;
  const note: string[] = [];
  const abort = new AbortController();
  const hooks: Hooks = {
    ...noHooks,
    signal: abort.signal,
    progress: {
      note() {},
      step: () => ({
        tick: (count = 1) => {
          ticks += count;
          if (ticks === 50) abort.abort();
        },
        done: (text = "") => note.push(text),
      }),
    },
  };
  await expect(calibrate(session, ["m"], samples(), { batch: 25, hooks })).rejects.toMatchObject({ code: "cancelled" });
  expect(ticks).toBe(50);
  await calibrate(session, ["m"], samples(), { batch: 40, hooks: { ...hooks, signal: new AbortController().signal } });
  expect(note).toEqual(["100 samples, 1 values"]);
  await session.close();
});

test("statistics of parts merge to those of the whole; of another model they are refused", async () => {
  const session = await open(model(), ["m"]);
  const of = (part: Float32Array, digest = "") =>
    calibrate(session, ["m"], samples(part.length / 4, "n", part), { model: digest });
  const [a, b, whole] = [await of(numbers.subarray(0, 120)), await of(numbers.subarray(120)), await of(numbers)];
  const merged = mergeStats(a, b);
  expect(merged.values.m!.histogram).toEqual(whole.values.m!.histogram);
  expect(merged).toMatchObject({ samples: 100, values: { m: { min: whole.values.m!.min, count: 400 } } });
  const other = await of(numbers, "cd".repeat(32));
  expect(mergeStats(a, other).model).toBe("cd".repeat(32));
  expect(() => mergeStats({ ...a, model: "ab".repeat(32) }, other)).toThrow("not to abababababab...");
  expect(() => checkStats(other, "ab".repeat(32))).toThrow("SHA-256 cdcdcdcdcdcd...");
  await session.close();
});

test("the statistics of a run take as much room for many samples as for few", async () => {
  const session = await open(model(), ["m"]);
  const [few, many] = [await calibrate(session, ["m"], samples(10)), await calibrate(session, ["m"], samples(100))];
  expect(many.values.m!.histogram!.counts.length).toBe(few.values.m!.histogram!.counts.length);
  // Text differs by the counts themselves: ten times the samples fill at most ten times the bins, 400 of 8192.
  expect(formatStats(many).length).toBeLessThan(formatStats(few).length + 400 * 8);
  await session.close();
});
