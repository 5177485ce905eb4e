import { expect, test } from "vitest";
import { memoryData, type TrainingData } from "../../containers/training-data.ts";
import { valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import { withTensors } from "../../ir/edit.ts";
import type { Feeds, NDArray } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel, run, testEngine } from "../../passes/same-outputs.case.ts";
import { withLoss } from "../losses.ts";
import { adam } from "../optimizers.ts";
import { nextOf, numberInput, RATE, trainingStep } from "../step.ts";
import {
  attention,
  type Built,
  batchNorm,
  buildModel,
  conv,
  dense,
  depthwise,
  dropout,
  embedding,
  gated,
  globalAveragePool,
  layerNorm,
  llama,
  relu,
  residual,
  rmsNorm,
  sequential,
  silu,
  trainingForm,
} from "./index.ts";

const float = (shape: readonly number[], values: ArrayLike<number>): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

const int = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "int64",
  shape,
  data: BigInt64Array.from(values, BigInt),
});

/** Trains with Adam on a fixed batch size and gives the loss of every step, and the state at the end. */
async function train(
  { model, parameters }: Built,
  data: TrainingData,
  steps: number,
  batch = data.length,
  rate = 0.01,
) {
  const { model: form, follow } = await trainingForm(model);
  const lossy = withLoss(form, { kind: "cross-entropy" });
  const step = trainingStep(lossy.model, { loss: lossy.loss, parameters, optimizer: adam(), follow });
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(assertLegal(step.model)) });
  const entries = step.state.map(async ({ name, shape, data: source }) => {
    return [name, float(shape, decodeFloats(await readAll(source), "float32"))] as const;
  });
  let state: Feeds = Object.fromEntries(await Promise.all(entries));
  const losses: number[] = [];
  for (let at = 1; at <= steps; at++) {
    const numbers = Object.entries(step.optimizer.numbers(at)).map(([name, v]) => [numberInput(name), float([], [v])]);
    const rows = Array.from({ length: batch }, (_, i) => (i + at * batch) % data.length);
    const fed = { ...(await data.rows(rows)), ...state, ...Object.fromEntries(numbers), [RATE]: float([], [rate]) };
    const outputs = await session.run(fed);
    losses.push(outputs[step.loss]!.data[0] as number);
    state = Object.fromEntries(step.state.map(({ name }) => [name, outputs[nextOf(name)]!]));
  }
  await session.close();
  return { losses, state };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

test("a model without batch normalization or dropout is its own training form", async () => {
  const { model } = buildModel({ inputs: [valueInfo("x", "float32", ["batch", 4])] }, (build, x = "") =>
    dense(2)(build, x),
  );
  expect((await trainingForm(model)).model).toBe(model);
});

test("running statistics move towards those of the batch by what the momentum leaves", async () => {
  const inputs = [valueInfo("x", "float32", ["batch", 2, 3])];
  const { model } = buildModel({ inputs }, (build, x = "") => batchNorm({ momentum: 0.75 })(build, x));
  const { model: form, follow } = await trainingForm(model);
  expect([...follow.keys()]).toEqual(["norm.mean", "norm.variance"]);
  const outputs = [...form.graph.outputs, ...[...follow.values()].map((name) => valueInfo(name, "float32", [2]))];
  const x = float([1, 2, 3], [1, 2, 3, 10, 10, 40]);
  const found = await run({ ...form, graph: { ...form.graph, outputs } }, { x });
  const [means, variances] = [...follow.values()].map((name) => [...found[name]!.data]);
  expect(means).toEqual([0.25 * 2, 0.25 * 20]);
  expect(variances![0]).toBeCloseTo(0.75 + 0.25 * (2 / 3), 6);
  expect(variances![1]).toBeCloseTo(0.75 + 0.25 * 200, 4);
  const normal = [...(found.output!.data as Float32Array)].slice(0, 3);
  expect(mean(normal)).toBeCloseTo(0, 6);
  expect(mean(normal.map((v) => v * v))).toBeCloseTo(1, 4);
});

test("a dropout keeps its share, enlarged, and draws anew at every step and in every place", async () => {
  const [ratio, rows, width] = [0.25, 200, 50];
  const inputs = [valueInfo("x", "float32", ["batch", width])];
  const { model } = buildModel({ inputs }, (build, x = "") =>
    build.emit("Concat", [dropout(ratio)(build, x), dropout(ratio)(build, x)], { axis: 1 }),
  );
  const { model: form, follow } = await trainingForm(model);
  expect([...follow.keys()]).toEqual(["train/step"]);
  const drawn = async (step: number) => {
    const tensor = { ...form.graph.tensors.get("train/step")!, name: "train/step" };
    const at = float([], [step]).data as Float32Array;
    const data = { ...tensor.data, bytes: new Uint8Array(at.buffer), read: async () => new Uint8Array(at.buffer) };
    const graph = withTensors(form.graph, [{ ...tensor, data }]);
    const { output } = await run(
      { ...form, graph },
      { x: float([rows, width], new Float32Array(rows * width).fill(1)) },
    );
    return [...(output!.data as Float32Array)].map((v) => (v === 0 ? 0 : 1));
  };
  const [first, again, second] = [await drawn(1), await drawn(1), await drawn(2)];
  expect(again).toEqual(first);
  // 20,000 draws: the share has a standard deviation of 0.003, a product of two shares one of 0.0035.
  expect(mean(first)).toBeCloseTo(1 - ratio, 1);
  expect(Math.abs(mean(first) - (1 - ratio))).toBeLessThan(0.015);
  const pairs: readonly (readonly [string, (i: number) => number])[] = [
    ["next step", (i) => second[i]!],
    ["next element", (i) => first[(i + 1) % first.length]!],
    ["next row", (i) => first[(i + 2 * width) % first.length]!],
    ["other dropout", (i) => first[(i + width) % first.length]!],
  ];
  for (const [name, other] of pairs)
    expect(Math.abs(mean(first.map((v, i) => v * other(i))) - (1 - ratio) ** 2), name).toBeLessThan(0.018);
});

test("a small convolutional network with batch normalization learns which half is brighter", async () => {
  const inputs = [valueInfo("image", "float32", ["batch", 1, 8, 8])];
  const unit = (layer: typeof relu) => sequential(layer, batchNorm(), relu);
  const built = buildModel({ inputs, seed: 1 }, (build, x = "") =>
    sequential(
      ...[unit(conv(4, { bias: false })), residual(unit(depthwise({ bias: false }))), unit(conv(8, { kernel: 1 }))],
      ...[conv(4, { stride: 2 }), relu, globalAveragePool, dense(2)],
    )(build, x),
  );
  const { uniform } = rng(2);
  const labels = Array.from({ length: 32 }, () => Number(uniform() < 0.5));
  const pixels = labels.flatMap((label) =>
    Array.from({ length: 64 }, (_, i) => uniform() + (Number(i % 8 < 4) === label ? 0.5 : 0)),
  );
  const data = memoryData({ image: float([32, 1, 8, 8], pixels), labels: int([32], labels) });
  const { losses, state } = await train(built, data, 60);
  expect(losses[0]).toBeGreaterThan(0.5);
  expect(losses.at(-1)).toBeLessThan(0.1);
  expect([...state["norm.mean"]!.data].every((v) => v !== 0)).toBe(true);
});

test("a small attention network learns whether a token comes twice", async () => {
  const inputs = [valueInfo("ids", "int64", ["batch", 6])];
  const built = buildModel({ inputs, seed: 4 }, (build, ids = "") => {
    const rows = embedding(8, 16)(build, ids);
    const block = sequential(
      residual(sequential(layerNorm(), attention({ heads: 2, bias: true }))),
      residual(sequential(rmsNorm(), gated(16, silu), dropout(0.05))),
    );
    const pooled = build.emit("ReduceMean", [block(build, rows), build.ints([1])], { keepdims: 0 });
    return dense(2)(build, pooled);
  });
  const { integer, shuffle } = rng(6);
  const rows = Array.from({ length: 64 }, (_, at) => {
    const all = shuffle([0, 1, 2, 3, 4, 5, 6, 7]).slice(0, 6);
    return at % 2 === 0 ? all : shuffle([...all.slice(1), all[integer(1, 5)]!]);
  });
  const labels = rows.map((row) => Number(new Set(row).size < row.length));
  const data = memoryData({ ids: int([64, 6], rows.flat()), labels: int([64], labels) });
  const { losses } = await train(built, data, 150);
  expect(losses[0]).toBeGreaterThan(0.6);
  expect(mean(losses.slice(-5))).toBeLessThan(0.1);
});

test("a small language model learns a sequence by heart", async () => {
  const sizes = { vocabulary: 11, width: 16, hidden: 24, layers: 2, heads: 4, kvHeads: 2, headDim: 4 };
  for (const tied of [true, false]) {
    const built = llama({ ...sizes, tied, seed: 2, context: 8 });
    const text = Array.from({ length: 40 }, (_, i) => (i * i) % 11);
    const starts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    const data = memoryData({
      ids: int(
        [11, 8],
        starts.flatMap((at) => text.slice(at, at + 8)),
      ),
      labels: int(
        [11, 8],
        starts.flatMap((at) => text.slice(at + 1, at + 9)),
      ),
    });
    const { losses } = await train(built, data, 60);
    expect(losses[0]).toBeGreaterThan(2);
    // The first token of a row does not say what comes next where two rows begin with the same.
    expect(losses.at(-1)).toBeLessThan(0.25);
  }
});
