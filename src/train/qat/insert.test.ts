import { expect, test } from "vitest";
import { assertLegal } from "../../ir/check.ts";
import { withGraph } from "../../ir/edit.ts";
import type { Feeds, Model } from "../../ir/model.ts";
import { normalsOf, smallCnn, smallMlp } from "../../ir/networks.case.ts";
import type { Plan } from "../../ir/plan.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { context, run } from "../../passes/same-outputs.case.ts";
import { calibrate } from "../../pipeline/calibrate.ts";
import { observedValues } from "../../pipeline/make.ts";
import { planModel } from "../../pipeline/plan.ts";
import { prepare } from "../../pipeline/prepare.ts";
import { quantize } from "../../pipeline/quantize.ts";
import { memoryDataset } from "../../pipeline/samples.ts";
import { startingGrids } from "../../pipeline/starting-grids.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { expand } from "../expand.ts";
import { withLoss } from "../losses.ts";
import { TRAINING_OPS } from "../ops/index.ts";
import { sgd } from "../optimizers.ts";
import { FALLEN, nextOf, RATE, trainingStep } from "../step.ts";
import { insertFakeQuantize } from "./insert.ts";
import { gridParameters, learnedGrids, parameterGroups, planWith, withLearned } from "./learned.ts";
import { parametersOf } from "./parameters.ts";

const normal = normalsOf(3);
const cnn = smallCnn({ side: 8, channels: 16, classes: 5 }, normal);
const mlp = smallMlp(normal);

const samplesOf = ({ graph }: Model, count: number): Feeds => {
  const shape = [count, ...(graph.inputs[0]!.shape!.slice(1) as number[])];
  return { x: { dtype: "float32", shape, data: normal(shape) } };
};

/** A model after the float passes, with the plan and the first grids of a scheme. */
async function planned(model: Model, name: string) {
  const scheme = schemeNamed(name);
  const opset = Math.max(scheme.opset ?? 17, 17);
  const { model: prepared } = await prepare(model, context, { static: scheme.static !== undefined, opset });
  const planned = planModel(prepared, plainRecipe(scheme));
  // 0: sums in floats; the default rounds activations to 8 bits inside of the kernel, which no training sees
  const nodes = planned.nodes.map((entry) =>
    entry.form === "nbits" ? { ...entry, options: { accuracy_level: 0 } } : entry,
  );
  const plan = { ...planned, nodes };
  const runner = {
    run: (feeds: Feeds, fetches?: readonly string[]) => run(tapped(prepared, plan), feeds, "none", fetches),
  };
  const data = memoryDataset(prepared, samplesOf(prepared, 32));
  const stats = await calibrate(runner, observedValues(plan), data, { batch: 32 });
  return { prepared, plan, stats, start: await startingGrids(prepared, plan, stats) };
}

const tapped = (model: Model, plan: Plan): Model => {
  const names = observedValues(plan).filter((name) => name !== "x" && name !== "y");
  return { ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, ...names.map((name) => ({ name }))] } };
};

const outputOf = async (model: Model, feeds: Feeds, optimize: "all" | "none") =>
  (await run(assertLegal(model), feeds, optimize)).y!.data as Float32Array;

const withOutputs = (model: Model, names: readonly string[]): Model =>
  withGraph(model, { ...model.graph, outputs: names.map((name) => ({ name })) });

/** Places where two outputs differ by more than float32 sums in another order do, as a share. */
function differing(a: Float32Array, b: Float32Array): number {
  const size = Math.max(...a.map(Math.abs));
  return a.filter((value, index) => Math.abs(value - b[index]!) > 1e-5 * size).length / a.length;
}

const CASES = [
  ...["w8a8", "w4a8", "w4a4", "w3a3", "w2a8", "w2a2", "w1.58a8"].map((scheme) => ({
    label: "cnn",
    model: cnn,
    scheme,
  })),
  ...["w8a8", "w4a4", "w8", "w4", "w2"].map((scheme) => ({ label: "mlp", model: mlp, scheme })),
];

test.for(CASES)(
  "fake quantization of a $label computes what the deployed model does: $scheme",
  async ({ model, scheme }) => {
    const { prepared, plan, stats, start } = await planned(model, scheme);
    const fake = insertFakeQuantize(prepared, plan, start, { learn: false });
    const deployed = (await quantize(prepared, planWith(plan, start), stats)).model;
    const feeds = samplesOf(prepared, 64);
    const [a, b, float] = [
      await outputOf(expand(fake.model, TRAINING_OPS), feeds, "none"),
      await outputOf(deployed, feeds, "none"),
      await outputOf(prepared, feeds, "none"),
    ];
    expect(differing(a, float)).toBeGreaterThan(0.9);
    // a sum that lies within a rounding of a tie may fall to the other side of it, and takes its sample with it
    expect(differing(a, b)).toBeLessThan(0.05);
  },
);

/** One step of plain descent on the fake-quantized model. */
async function oneStep(
  model: Model,
  plan: Plan,
  start: Parameters<typeof learnedGrids>[2],
  rate: number,
  dampening = 0,
) {
  const fake = insertFakeQuantize(model, plan, start);
  const lossy = withLoss(fake.model, { kind: "mse" });
  const names = [...parametersOf(model.graph), ...gridParameters(fake)];
  const group = parameterGroups(fake, { dampening });
  const step = trainingStep(lossy.model, { loss: lossy.loss, parameters: names, optimizer: sgd(), group });
  const before = await Promise.all(
    step.state.map(async ({ name, dtype, shape, data }) => {
      return [name, { dtype, shape, data: decodeFloats(await readAll(data), dtype) }] as const;
    }),
  );
  const feeds = samplesOf(model, 64);
  const { shape } = (await run(model, feeds)).y!;
  const target = { dtype: "float32", shape, data: normal(shape) } as const;
  const scalar = { dtype: "float32", shape: [], data: Float32Array.of(rate) } as const;
  const all = { ...scalar, data: Float32Array.of(1) };
  const outputs = await run(
    assertLegal(step.model),
    { ...feeds, ...Object.fromEntries(before), target, [RATE]: scalar, ...(dampening > 0 && { [FALLEN]: all }) },
    "all",
  );
  const state = Object.fromEntries(names.map((name) => [name, outputs[nextOf(name)]!]));
  return { fake, names, before: Object.fromEntries(before), state };
}

test.for([
  { label: "cnn", model: cnn, scheme: "w4a4" },
  { label: "mlp", model: mlp, scheme: "w4" },
])("every weight, bias, scale and zero point of a $label learns", async ({ model, scheme }) => {
  const { prepared, plan, start } = await planned(model, scheme);
  // far enough that no step is lost in the roundings of a float32 logarithm
  const { names, before, state } = await oneStep(prepared, plan, start, 10);
  const still = names.filter((name) => before[name]!.data.every((value, index) => value === state[name]!.data[index]));
  expect(still).toEqual([]);
  expect(names.some((name) => name.endsWith("zero-point"))).toBe(scheme === "w4a4");
});

test("a step of no length leaves the grids and weights where they were, and the plan says so", async () => {
  for (const [model, scheme] of [
    [cnn, "w4a4"],
    [mlp, "w2"],
  ] as const) {
    const { prepared, plan, start } = await planned(model, scheme);
    const { fake, state } = await oneStep(prepared, plan, start, 0);
    const learned = learnedGrids(fake, state, start);
    for (const [name, { scale, zeroPoint }] of start.values) {
      // logarithm and exponential in float32
      expect(learned.values.get(name)!.scale / scale).toBeCloseTo(1, 5);
      expect(learned.values.get(name)!.zeroPoint).toBe(zeroPoint);
    }
    for (const [entry, { scale, zeroPoint }] of start.weights) {
      const found = learned.weights.get(entry)!;
      for (const [index, own] of scale.entries()) expect(found.scale[index]! / own).toBeCloseTo(1, 5);
      expect(found.zeroPoint).toEqual(zeroPoint);
    }
    expect(withLearned(prepared, state).graph.tensors.size).toBe(prepared.graph.tensors.size);
    const given = planWith(plan, learned);
    expect(observedValues(given)).toEqual([]);
    expect(given.nodes.every(({ weight }) => weight === undefined || weight.qparams !== undefined)).toBe(true);
  }
});

test.for([
  { label: "channels", model: cnn, scheme: "w2a8" },
  { label: "groups", model: mlp, scheme: "w4" },
])(
  "dampening moves weights towards the middle of their bins, of $label, and none outside of the grid",
  async (given) => {
    const { prepared, plan, start } = await planned(given.model, given.scheme);
    const { before, state } = await oneStep(prepared, plan, start, 0, 0.25);
    const { model } = insertFakeQuantize(prepared, plan, start);
    let [moved, still] = [0, 0];
    for (const { weight } of plan.nodes) {
      if (weight === undefined) continue;
      const name = weight.tensor;
      const middles = (await run(expand(withOutputs(model, [`${name}/fake`]), TRAINING_OPS), samplesOf(prepared, 1)))[
        `${name}/fake`
      ]!.data as Float32Array;
      const [old, found] = [before, state].map((values) => values[name]!.data as Float32Array);
      for (const [at, middle] of middles.entries()) {
        if (found![at] === old![at]) still++;
        else {
          moved++;
          // float32 roundings of a difference of numbers below 1
          expect(found![at]).toBeCloseTo(old![at]! + 0.25 * (middle - old![at]!), 6);
        }
      }
    }
    expect(moved).toBeGreaterThan(4 * still);
    expect(still).toBeGreaterThan(0);
  },
);

test("weights that become codes little by little are floats at first, then between, and on their grid at the end", async () => {
  const { prepared, plan, start } = await planned(cnn, "w2a8");
  const names = plan.nodes.flatMap(({ weight }) => (weight ? [`${weight.tensor}/fake`] : []));
  const weightsAt = async (options: { gradual: boolean; fallen?: number }) => {
    const { model } = insertFakeQuantize(prepared, plan, start, options);
    const { fallen } = options;
    const fed = fallen !== undefined && {
      [FALLEN]: { dtype: "float32", shape: [], data: Float32Array.of(fallen) } as const,
    };
    const made = await run(expand(withOutputs(model, names), TRAINING_OPS), { ...samplesOf(prepared, 1), ...fed });
    return names.flatMap((name) => [...(made[name]!.data as Float32Array)]);
  };
  const codes = await weightsAt({ gradual: false });
  const tensors = plan.nodes.flatMap(({ weight }) => (weight ? [prepared.graph.tensors.get(weight.tensor)!] : []));
  const floats = (
    await Promise.all(tensors.map(async ({ data, dtype }) => [...decodeFloats(await readAll(data), dtype)]))
  ).flat();
  const [begin, between, end] = await Promise.all([0, 0.25, 1].map((fallen) => weightsAt({ gradual: true, fallen })));
  // what lies outside of the grid lies on its bound, as its code does
  expect(begin).toEqual(floats.map((value, at) => (Math.abs(value) > Math.abs(begin![at]!) ? codes[at] : value)));
  expect(begin!.filter((value, at) => value === floats[at]).length).toBeGreaterThan(floats.length / 2);
  for (const [at, code] of codes.entries()) {
    // float32 roundings of sums of numbers below 2
    expect(end![at]).toBeCloseTo(code, 6);
    expect(between![at]).toBeCloseTo((begin![at]! + code) / 2, 6);
  }
  expect(codes).not.toEqual(floats);
});

test("with weights alone clamps stay and no value has a grid", async () => {
  const { prepared, plan, start } = await planned(cnn, "w4a4");
  const ops = (activations: boolean) =>
    insertFakeQuantize(prepared, plan, start, { activations }).model.graph.nodes.map(({ op }) => op);
  const count = (list: readonly string[], op: string) => list.filter((other) => other === op).length;
  expect([count(ops(false), "Relu"), count(ops(false), "FakeQuantize")]).toEqual([2, 3]);
  expect(count(ops(true), "Relu")).toBe(0);
  expect(insertFakeQuantize(prepared, plan, start, { activations: false }).values.size).toBe(0);
});
