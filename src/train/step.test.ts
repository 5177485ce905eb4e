import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { rng } from "../numeric/rng.ts";
import { bytesOfModel, testEngine } from "../passes/same-outputs.case.ts";
import { withLoss } from "./losses.ts";
import { adam, adamw, type Optimizer, sgd } from "./optimizers.ts";
import { FALLEN, nextOf, numberInput, RATE, type TrainingStep, trainingStep } from "./step.ts";
import type { Writer } from "./writer.ts";

const array = (shape: readonly number[], values: ArrayLike<number>): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

/** y = x * w, of one weight: an optimizer can be followed by hand. */
const line: Model = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", 1])],
  outputs: [valueInfo("y", "float32", ["batch", 1])],
  nodes: [node("MatMul", ["x", "w"], ["y"])],
  tensors: [floatTensor("w", [1, 1], [2])],
});

/** Runs steps and gives the outputs of each. */
async function follow(step: TrainingStep, batches: readonly Feeds[], rate: number): Promise<readonly Feeds[]> {
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(assertLegal(step.model)) });
  const entries = step.state.map(async ({ name, dtype, shape, data }) => {
    return [name, { dtype, shape, data: decodeFloats(await readAll(data), dtype) }] as const;
  });
  let state: Feeds = Object.fromEntries(await Promise.all(entries));
  const found: Feeds[] = [];
  for (const [index, batch] of batches.entries()) {
    const numbers = Object.entries({ ...step.optimizer.numbers(index + 1) }).map(([name, value]) => [
      numberInput(name),
      array([], [value]),
    ]);
    const outputs = await session.run({
      ...batch,
      ...state,
      ...Object.fromEntries(numbers),
      [RATE]: array([], [rate]),
    });
    state = Object.fromEntries(step.state.map(({ name }) => [name, outputs[nextOf(name)]!]));
    found.push(outputs);
  }
  await session.close();
  return found;
}

const stepOf = (optimizer: Optimizer, extra = {}): TrainingStep => {
  const { model, loss } = withLoss(line, { kind: "mse" });
  return trainingStep(model, { loss, parameters: ["w"], optimizer, ...extra });
};

/** The loss is (w - 1)^2 with the gradient 2 (w - 1). */
const batch: Feeds = { x: array([1, 1], [1]), target: array([1, 1], [1]) };
const three = [batch, batch, batch];
const weights = (outputs: readonly Feeds[]) => outputs.map((found) => found[nextOf("w")]!.data[0] as number);

/** Float32 results against double precision: a few roundings of 6e-8. */
const CLOSE = 6;

test("plain descent, momentum and Nesterov's momentum follow their formulas", async () => {
  const by = (momentum: number, nesterov: boolean): number[] => {
    let [w, v] = [2, 0];
    return three.map(() => {
      const g = 2 * (w - 1);
      v = momentum * v + g;
      w -= 0.1 * (nesterov ? g + momentum * v : v);
      return w;
    });
  };
  for (const [momentum, nesterov] of [
    [0, false],
    [0.9, false],
    [0.9, true],
  ] as const) {
    const found = weights(await follow(stepOf(sgd({ momentum, nesterov })), three, 0.1));
    for (const [at, expected] of by(momentum, nesterov).entries()) expect(found[at]).toBeCloseTo(expected, CLOSE);
  }
});

test.each([
  ["momentum", sgd({ momentum: 0.9 })],
  ["Adam", adam()],
])(
  "what %s remembers of a weight without gradients does not become denormal, and moves it no more",
  async (_, optimizer) => {
    const none: Feeds = { x: array([1, 1], [0]), target: array([1, 1], [0]) };
    const step = stepOf(optimizer);
    const found = await follow(step, [batch, ...new Array<Feeds>(1200).fill(none)], 0.1);
    const [slot] = step.state.filter(({ name }) => name !== "w");
    const smallest = Math.min(...found.map((outputs) => Math.abs(outputs[nextOf(slot!.name)]!.data[0] as number)));
    expect(smallest).toBeGreaterThan(2 ** -126);
    expect(smallest).toBeLessThan(1e-25);
    expect(weights(found).at(-1)).toBe(weights(found)[600]);
  },
);

test("Adam and AdamW follow their formulas, with decay in and beside the gradient", async () => {
  const by = (decay: number, apart: boolean): number[] => {
    let [w, m, v] = [2, 0, 0];
    return three.map((_, index) => {
      const g = 2 * (w - 1) + (apart ? 0 : decay * w);
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const direction = m / (1 - 0.9 ** (index + 1)) / (Math.sqrt(v / (1 - 0.999 ** (index + 1))) + 1e-8);
      w -= 0.1 * (direction + (apart ? decay * w : 0));
      return w;
    });
  };
  for (const [optimizer, decay, apart] of [
    [adam(), 0, false],
    [adam(), 0.3, false],
    [adamw(), 0.3, true],
  ] as const) {
    const found = weights(await follow(stepOf(optimizer, { group: () => ({ decay }) }), three, 0.1));
    for (const [at, expected] of by(decay, apart).entries()) expect(found[at]).toBeCloseTo(expected, CLOSE);
  }
});

test("a pull is added behind the step, times how far the rate has fallen", async () => {
  const pull = (writer: Writer) => writer.emit("Sub", [writer.scalar(5, "float32"), "w"]);
  const [first] = await follow(
    stepOf(sgd(), { group: () => ({ pull }) }),
    [{ ...batch, [FALLEN]: array([], [0.5]) }],
    0.1,
  );
  expect(weights([first!])[0]).toBeCloseTo(2 - 0.1 * 2 + 0.5 * (5 - 2), CLOSE);
});

test("a gradient longer than the clip is shortened to it, and its norm is reported as it was", async () => {
  const [first] = await follow(stepOf(sgd(), { clip: 0.5 }), [batch], 1);
  expect(first!.norm!.data[0]).toBeCloseTo(2, CLOSE);
  expect(first![nextOf("w")]!.data[0]).toBeCloseTo(1.5, CLOSE);
});

test("a parameter can have a rate of its own and a floor", async () => {
  const slow = await follow(stepOf(sgd(), { group: () => ({ rate: 0.5 }) }), [batch], 0.1);
  expect(weights(slow)[0]).toBeCloseTo(1.9, CLOSE);
  const floored = await follow(stepOf(sgd(), { group: () => ({ min: 1.75 }) }), [batch], 0.5);
  expect(weights(floored)[0]).toBe(1.75);
});

test("state that follows another value takes it over, with no gradient", async () => {
  const counting: Model = onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", 1])],
    outputs: [valueInfo("y", "float32", ["batch", 1])],
    nodes: [node("MatMul", ["x", "w"], ["y"]), node("ReduceMean", ["x"], ["seen"], { attributes: { keepdims: 0 } })],
    tensors: [floatTensor("w", [1, 1], [2]), floatTensor("mean", [], [0])],
  });
  const { model, loss } = withLoss(counting, { kind: "mse" });
  const step = trainingStep(model, { loss, parameters: ["w"], optimizer: sgd(), follow: new Map([["mean", "seen"]]) });
  const [first] = await follow(step, [batch], 0.1);
  expect([...first![nextOf("mean")]!.data]).toEqual([1]);
});

test("three classes on a spiral are learned with cross-entropy behind a Softmax", async () => {
  const { normal } = rng(3);
  const random = (count: number, size: number) => Array.from({ length: count }, () => normal() * size);
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", 2])],
    outputs: [valueInfo("y", "float32", ["batch", 3])],
    nodes: [
      node("Gemm", ["x", "w1", "b1"], ["h"]),
      node("Tanh", ["h"], ["a"]),
      node("Gemm", ["a", "w2", "b2"], ["z"]),
      node("Softmax", ["z"], ["y"]),
    ],
    tensors: [
      floatTensor("w1", [2, 32], random(64, 1)),
      floatTensor("b1", [32], random(32, 0.1)),
      floatTensor("w2", [32, 3], random(96, 0.2)),
      floatTensor("b2", [3], [0, 0, 0]),
    ],
  });
  const count = 90;
  const points = Array.from({ length: count }, (_, i) => {
    const turn = (i / count) * 4 + (2 * Math.PI * (i % 3)) / 3;
    return [(i / count) * 2 * Math.cos(turn), (i / count) * 2 * Math.sin(turn)];
  }).flat();
  const labels: NDArray = {
    dtype: "int64",
    shape: [count],
    data: BigInt64Array.from({ length: count }, (_, i) => BigInt(i % 3)),
  };
  const { model: lossy, loss } = withLoss(model, { kind: "cross-entropy" });
  const step = trainingStep(lossy, { loss, parameters: ["w1", "b1", "w2", "b2"], optimizer: adam() });
  const batches = Array.from({ length: 300 }, () => ({ x: array([count, 2], points), labels }));
  const losses = (await follow(step, batches, 0.03)).map((found) => found.loss!.data[0] as number);
  expect(losses[0]).toBeGreaterThan(0.8);
  expect(losses.at(-1)).toBeLessThan(0.15);
});

test("a request that makes no sense is refused", () => {
  const { model, loss } = withLoss(line, { kind: "mse" });
  expect(() => trainingStep(model, { loss, parameters: [], optimizer: sgd() })).toThrow(/no parameter is left/);
  expect(() => trainingStep(model, { loss, parameters: ["x"], optimizer: sgd() })).toThrow(/"x" is not an initializer/);
  expect(() => withLoss(line, { kind: "mse" }, "z")).toThrow(/no output "z"; name one of y/);
});
