/** A model that learns in milliseconds, and data for it. */
import { memoryData, type TrainingData } from "../../containers/training-data.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { Feeds, Model } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";
import { testEngine } from "../../passes/same-outputs.case.ts";
import { type LossSpec, type Lossy, withLoss } from "../../train/losses.ts";
import { adam, type Optimizer } from "../../train/optimizers.ts";
import { type TrainingStep, trainingStep } from "../../train/step.ts";
import { stageInMemory } from "../../web/host.ts";
import type { TrainHost, TrainRun } from "./run.ts";

export const WEIGHTS = ["w1", "b1", "w2", "b2"];

/** 2 -> 16 -> 3, with a Softmax at the end. */
export function smallModel(batch: number | string = "batch"): Model {
  const { normal } = rng(3);
  const random = (count: number, size: number) => Array.from({ length: count }, () => normal() * size);
  return onnxModel({
    inputs: [valueInfo("x", "float32", [batch, 2])],
    outputs: [valueInfo("y", "float32", [batch, 3])],
    nodes: [
      node("Gemm", ["x", "w1", "b1"], ["h"], { name: "first" }),
      node("Tanh", ["h"], ["a"], { name: "bend" }),
      node("Gemm", ["a", "w2", "b2"], ["z"], { name: "second" }),
      node("Softmax", ["z"], ["y"], { name: "shares" }),
    ],
    tensors: [
      floatTensor("w1", [2, 16], random(32, 1)),
      floatTensor("b1", [16], random(16, 0.1)),
      floatTensor("w2", [16, 3], random(48, 0.2)),
      floatTensor("b2", [3], [0, 0, 0]),
    ],
  });
}

/** Points on three arms of a spiral, and which arm. */
export function spiral(count: number, seed = 1): { readonly x: Float32Array; readonly labels: Int32Array } {
  const { normal } = rng(seed);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
  const points = Array.from({ length: count }, (_, i) => {
    const turn = (i / count) * 4 + (2 * Math.PI * labels[i]!) / 3;
    const out = (i / count) * 2;
    return [out * Math.cos(turn) + 0.05 * normal(), out * Math.sin(turn) + 0.05 * normal()];
  });
  return { x: Float32Array.from(points.flat()), labels };
}

export function spiralData(count: number, seed = 1): TrainingData {
  const { x, labels } = spiral(count, seed);
  return memoryData({
    x: { dtype: "float32", shape: [count, 2], data: x },
    labels: { dtype: "int64", shape: [count], data: BigInt64Array.from(labels, BigInt) },
  });
}

export interface Stepped extends Lossy {
  readonly step: TrainingStep;
}

export function stepOf(
  model: Model = smallModel(),
  loss: LossSpec = { kind: "cross-entropy" },
  optimizer: Optimizer = adam(),
): Stepped {
  const lossy = withLoss(model, loss);
  return { ...lossy, step: trainingStep(lossy.model, { loss: lossy.loss, parameters: WEIGHTS, optimizer }) };
}

export const runOf = (changes: Partial<TrainRun> = {}): TrainRun => ({
  step: stepOf().step,
  data: spiralData(90),
  epochs: 2,
  batch: 16,
  schedule: { kind: "cosine", rate: 0.02 },
  seed: 5,
  unroll: 1,
  ...changes,
});

/** A host in memory. */
export const smallHost = async (): Promise<TrainHost> => ({
  engine: await testEngine(),
  threads: 1,
  stage: stageInMemory,
});

/** The bits of a state, for comparisons that no rounding passes. */
export const bits = (state: Feeds): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(state).map(([name, { data }]) => [
      name,
      new Uint32Array((data as Float32Array).slice().buffer).join(),
    ]),
  );
