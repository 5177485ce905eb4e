import { expect, test } from "vitest";
import { encodeOnnx, readOnnx } from "../../containers/onnx/index.ts";
import { memoryData } from "../../containers/training-data.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { withGraph } from "../../ir/edit.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import { normalsOf } from "../../ir/networks.case.ts";
import { bytesSource } from "../../ir/source.ts";
import { bytesOfModel } from "../../passes/same-outputs.case.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { withLearned } from "../../train/qat/learned.ts";
import { type Made, make } from "../make.ts";
import { noHooks } from "../progress.ts";
import { memoryDataset } from "../samples.ts";
import { type QatTraining, qat } from "./qat.ts";
import { runOf, smallHost, smallModel, spiral, stepOf, WEIGHTS } from "./small.case.ts";
import { train } from "./train.ts";

const host = await smallHost();

const COUNT = 360;
const points = (seed: number) => {
  const { x, labels } = spiral(COUNT, seed);
  const inputs: NDArray = { dtype: "float32", shape: [COUNT, 2], data: x };
  return { x: inputs, labels };
};
const shown = points(1);
const asked = points(2);

/** The small model, trained in floats to tell three arms of a spiral apart. */
const trained = await (async () => {
  const { state } = await train(
    host,
    runOf({ epochs: 60, step: stepOf().step, schedule: { kind: "cosine", rate: 0.03 } }),
  );
  return withLearned(smallModel(), Object.fromEntries(WEIGHTS.map((name) => [name, state[name]!])));
})();

const bytes = await bytesOfModel(trained);
const inputOf = (scheme: string, model = trained) => ({
  model,
  digest: "",
  reference: { name: "spiral", place: { bytes }, size: encodeOnnx(trained).main.size },
  recipe: plainRecipe(schemeNamed(scheme)),
  name: "spiral.onnx",
  calibration: memoryDataset(model, { x: shown.x }),
  evaluation: { data: memoryDataset(model, { x: asked.x }), labels: asked.labels, metrics: [] },
  random: false,
});

/** The same as somebody exports it who thinks of one sample. */
const single: Model = withGraph(trained, {
  ...trained.graph,
  inputs: smallModel(1).graph.inputs,
  outputs: smallModel(1).graph.outputs,
});

const training = (changes: Partial<QatTraining> = {}): QatTraining => ({
  data: memoryData({ x: shown.x }),
  ...{ epochs: 40, batch: 32, seed: 1, schedule: { kind: "cosine", rate: 0.02 } },
  ...changes,
});

const fileOf = ({ staged: { place } }: Made): Promise<Model> =>
  readOnnx(bytesSource("bytes" in place ? place.bytes : new Uint8Array()));

const right = async ({ verified, staged }: Made) => {
  await staged[Symbol.asyncDispose]();
  return verified.metrics.top1!;
};

test("training brings back what rounding to 2 bits loses, from the float model alone, and the file does what was trained", async () => {
  const plain = await right(await make(host, inputOf("w2a8"), noHooks));
  const made = await qat(host, { ...inputOf("w2a8"), training: training() });
  const better = await right(made);
  expect(plain.before - plain.after).toBeGreaterThan(0.02);
  expect(better.after - plain.after).toBeGreaterThan((plain.before - plain.after) / 3);
  expect(made.fake.agreement).toBeGreaterThanOrEqual(0.995);
  expect(Math.abs(made.fake.top1! - better.after)).toBeLessThan(0.01);
  expect(made.losses.at(-1)).toBeLessThan(made.losses[0]!);
  expect(made.plan.nodes.every(({ weight }) => weight === undefined || weight.qparams !== undefined)).toBe(true);
});

test("weights alone at first, labels beside the teacher, and the same result from the same seed", async () => {
  const labels = { dtype: "int64", shape: [COUNT], data: BigInt64Array.from(shown.labels, BigInt) } as const;
  const settings = training({
    data: memoryData({ x: shown.x, labels }),
    weightsFirst: 0.4,
    epochs: 5,
    loss: {
      kind: "mix",
      parts: [
        { weight: 0.5, loss: { kind: "cross-entropy" } },
        { weight: 0.5, loss: { kind: "distillation", temperature: 2 } },
      ],
    },
  });
  const [one, other] = [
    await qat(host, { ...inputOf("w4a4"), training: settings }),
    await qat(host, { ...inputOf("w4a4"), training: settings }),
  ];
  expect(one.losses).toHaveLength(5 * Math.ceil(COUNT / 32));
  expect(one.losses).toEqual(other.losses);
  expect((await right(one)).after).toBe((await right(other)).after);
});

test("features are the float model's own values at the same places: next to nothing at 8 bits, more with 2", async () => {
  const lossesOf = async (scheme: string, changes: Partial<QatTraining>) => {
    const { losses, staged } = await qat(host, { ...inputOf(scheme), training: training(changes) });
    await staged[Symbol.asyncDispose]();
    return losses;
  };
  const [fine] = await lossesOf("w8a8", { epochs: 1, features: 1 });
  // one step of 255 over a spread of some 100 of them, squared
  expect(fine).toBeLessThan(1e-3);
  const [alone] = await lossesOf("w2a8", { epochs: 1 });
  const [coarse] = await lossesOf("w2a8", { epochs: 1, features: 1 });
  expect(coarse! - alone!).toBeGreaterThan(0.01);
});

test("dampening sets in as the rate falls: the first steps are the same", async () => {
  const [free, held] = await Promise.all(
    [0, 0.1].map((dampening) => qat(host, { ...inputOf("w2a8"), training: training({ epochs: 1, dampening }) })),
  );
  expect(held!.losses.subarray(0, 2)).toEqual(free!.losses.subarray(0, 2));
  expect(held!.losses.at(-1)).not.toBe(free!.losses.at(-1));
  for (const { staged } of [free!, held!]) await staged[Symbol.asyncDispose]();
});

test("weights that become codes little by little lose less in the first steps, and the file has their codes at the end", async () => {
  const [sudden, gradual] = await Promise.all(
    [false, true].map((gradual) => qat(host, { ...inputOf("w2a8"), training: training({ epochs: 2, gradual }) })),
  );
  expect(gradual!.losses[0]).toBeLessThan(sudden!.losses[0]! / 2);
  expect(gradual!.fake.agreement).toBeGreaterThan(0.99);
  for (const { staged } of [sudden!, gradual!]) await staged[Symbol.asyncDispose]();
});

test("schemes of weights alone train too", async () => {
  const made = await qat(host, { ...inputOf("w8a8-dynamic"), training: training({ epochs: 1 }) });
  expect(made.fake.agreement).toBeGreaterThan(0.9);
  await made.staged[Symbol.asyncDispose]();
});

test("a model of single samples learns in batches, as one of any batch does, and is written as it was", async () => {
  const few = training({ epochs: 2 });
  const [open, fixed] = [
    await qat(host, { ...inputOf("w2a8"), training: few }),
    await qat(host, { ...inputOf("w2a8", single), training: few }),
  ];
  expect(fixed.losses).toEqual(open.losses);
  expect((await right(fixed)).after).toBe((await right(open)).after);
  const { inputs, outputs } = (await fileOf(fixed)).graph;
  expect([...inputs, ...outputs].map(({ shape }) => shape)).toEqual([
    [1, 2],
    [1, 3],
  ]);
});

test.each([
  ["weightsFirst", 0.3],
  ["blockwise", 0.1],
])("a share of the epochs that comes to none is an error: %s %d", async (name, share) => {
  const few = training({ epochs: 1, [name]: share });
  await expect(qat(host, { ...inputOf("w4a4"), training: few })).rejects.toThrow(
    `training: ${name} ${share} comes to no whole epoch of 1; train for ${name === "blockwise" ? 5 : 2} epochs or more, or leave it out`,
  );
});

test("tables of tokens are trained beside products that are matched", async () => {
  const normal = normalsOf(6);
  const model = onnxModel({
    inputs: [valueInfo("ids", "int64", ["batch", 6])],
    outputs: [valueInfo("y", "float32", ["batch", 3])],
    nodes: [
      node("Gather", ["table", "ids"], ["rows"], { name: "table" }),
      node("Transpose", ["rows"], ["columns"], { attributes: { perm: [0, 2, 1] } }),
      node("Flatten", ["columns"], ["flat"]),
      node("Gemm", ["flat", "w", "b"], ["y"], { name: "head" }),
    ],
    tensors: [
      floatTensor("table", [50, 32], normal([50, 32])),
      floatTensor("w", [192, 3], normal([192, 3], 0.1)),
      floatTensor("b", [3], [0, 0, 0]),
    ],
  });
  const numbers = BigInt64Array.from(normal([64, 6]), (value) => BigInt(Math.floor(Math.abs(value) * 1000) % 50));
  const ids: NDArray = { dtype: "int64", shape: [64, 6], data: numbers };
  const made = await qat(host, {
    ...{ model, digest: "", name: "tokens.onnx", random: false, recipe: plainRecipe(schemeNamed("w4a8")) },
    reference: { name: "tokens", place: { bytes: await bytesOfModel(model) }, size: encodeOnnx(model).main.size },
    calibration: memoryDataset(model, { ids }),
    evaluation: { data: memoryDataset(model, { ids }), metrics: [] },
    training: training({ data: memoryData({ ids }), epochs: 2 }),
  });
  await made.staged[Symbol.asyncDispose]();
  expect(made.plan.nodes.map(({ op, weight }) => [op, weight?.qparams !== undefined])).toContainEqual(["Gather", true]);
  expect(made.fake.agreement).toBe(1);
});
