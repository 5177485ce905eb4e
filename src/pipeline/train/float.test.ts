import { expect, test } from "vitest";
import { readOnnx } from "../../containers/onnx/index.ts";
import { memoryData } from "../../containers/training-data.ts";
import { floatTensor, intTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { FunctionDef, Model } from "../../ir/model.ts";
import { bytesSource } from "../../ir/source.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel } from "../../passes/same-outputs.case.ts";
import { stageInMemory } from "../../web/host.ts";
import type { Host } from "../host.ts";
import { memoryDataset } from "../samples.ts";
import { floatRun, preparedForTraining, trainFloat } from "./float.ts";
import type { TrainHost } from "./run.ts";
import { runOf, smallHost, smallModel, spiral, spiralData } from "./small.case.ts";
import { train } from "./train.ts";

const { normal } = rng(2);
const weight = (name: string, ...shape: readonly number[]) => {
  const count = shape.reduce((product, length) => product * length, 1);
  return floatTensor(
    name,
    shape,
    Array.from({ length: count }, () => 0.4 * normal()),
  );
};

const head: FunctionDef = {
  ...{
    name: "Head",
    domain: "local",
    inputs: ["h", "w", "b"],
    outputs: ["out"],
    opsets: { "": 17, "com.microsoft": 1 },
  },
  nodes: [
    node("FastGelu", ["h"], ["g"], { domain: "com.microsoft" }),
    node("Gemm", ["g", "w", "b"], ["z"]),
    node("Softmax", ["z"], ["out"]),
  ],
};

/** A recurrent layer over four steps, then a function with an op of com.microsoft: nothing of that has a gradient rule. */
const recurrent: Model = onnxModel(
  {
    inputs: [valueInfo("x", "float32", ["batch", 4, 1])],
    outputs: [valueInfo("y", "float32", ["batch", 2])],
    nodes: [
      node("Transpose", ["x"], ["t"], { attributes: { perm: [1, 0, 2] } }),
      node("LSTM", ["t", "w", "r", "b"], ["", "last"], { attributes: { hidden_size: 6 } }),
      node("Squeeze", ["last", "first"], ["h"]),
      node("Head", ["h", "v", "c"], ["y"], { domain: "local" }),
    ],
    tensors: [
      weight("w", 1, 24, 1),
      weight("r", 1, 24, 6),
      weight("b", 1, 48),
      weight("v", 6, 2),
      weight("c", 2),
      intTensor("first", [0]),
    ],
  },
  { opsets: { "": 17, local: 1, "com.microsoft": 1 }, functions: [head] },
);

/** Whether the last of four numbers is larger than the first. */
function sequences(count: number) {
  const data = Float32Array.from({ length: 4 * count }, normal);
  const labels = BigInt64Array.from({ length: count }, (_, row) => (data[4 * row + 3]! > data[4 * row]! ? 1n : 0n));
  return memoryData({
    x: { dtype: "float32", shape: [count, 4, 1], data },
    labels: { dtype: "int64", shape: [count], data: labels },
  });
}

test("a recurrent layer behind functions and contrib ops learns, and its weights keep their names", async () => {
  const host = await smallHost();
  const prepared = await preparedForTraining({ engine: host.engine, stage: stageInMemory }, recurrent);
  const run = await floatRun(prepared, {
    ...{ data: sequences(256), loss: { kind: "cross-entropy" }, epochs: 12, batch: 32, seed: 1 },
    schedule: { kind: "constant", rate: 0.03 },
  });
  const { state, losses } = await train(host, run);
  expect(Object.keys(state)).toEqual(expect.arrayContaining(["w", "r", "b", "v", "c"]));
  expect(prepared.graph.nodes.map(({ op }) => op)).toContain("LSTM");
  expect(losses[0]).toBeGreaterThan(0.6);
  expect(losses.at(-1)).toBeLessThan(0.3);
});

test("a model of single samples learns in batches, and is written as it was", async () => {
  const host: Host & TrainHost = await smallHost();
  const model = smallModel(1);
  const x = { dtype: "float32", shape: [30, 2], data: spiral(30).x } as const;
  const made = await trainFloat(host, {
    ...{ model, name: "spiral.onnx", random: false },
    reference: { name: "spiral", place: { bytes: await bytesOfModel(model) }, size: 0 },
    evaluation: { data: memoryDataset(model, { x }), metrics: [] },
    training: {
      ...{ data: spiralData(90), loss: { kind: "cross-entropy" }, epochs: 2, batch: 16, seed: 5 },
      schedule: { kind: "cosine", rate: 0.02 },
    },
  });
  await made.staged[Symbol.asyncDispose]();
  expect(made.losses).toEqual((await train(host, runOf())).losses);
  const { place } = made.staged;
  const { inputs } = (await readOnnx(bytesSource("bytes" in place ? place.bytes : new Uint8Array()))).graph;
  expect(inputs.map(({ shape }) => shape)).toEqual([[1, 2]]);
});
