import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import { normalsOf } from "../../ir/networks.case.ts";
import type { Plan } from "../../ir/plan.ts";
import { readAll } from "../../ir/source.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import type { QatStart } from "../../train/qat/insert.ts";
import { planWith } from "../../train/qat/learned.ts";
import { sideOfTies } from "../../train/qat/ties.ts";
import { planModel } from "../plan.ts";
import { quantize } from "../quantize.ts";
import { fakeModel, type Point } from "../starting-grids.ts";
import { keptOffTies } from "./off-ties.ts";

const WIDTH = 24;
const normal = normalsOf(3);
const layer = { weights: normal([WIDTH, WIDTH], 0.3), bias: normal([WIDTH], 0.2) };

/** Two layers; the first one's clamp goes into its grid. `shared`: both have the same weight. */
const layers = (shared = false) =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
      outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
      nodes: [
        node("Gemm", ["x", "w", "b"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", shared ? "w" : "v", "c"], ["y"]),
      ],
      tensors: [
        floatTensor("w", [WIDTH, WIDTH], layer.weights),
        ...(shared ? [] : [floatTensor("v", [WIDTH, WIDTH], normal([WIDTH, WIDTH], 0.3))]),
        floatTensor("b", [WIDTH], layer.bias),
        floatTensor("c", [WIDTH], layer.bias),
      ],
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );

const recipe = plainRecipe(schemeNamed("w4a8"));
const [DATA, HIDDEN] = [1 / 32, 1 / 40];
/** What the first layer's sums are multiplied by is an eighth, `times` that, in its first channel, and near no fraction in the others. */
function started(model: Model, times = 1) {
  const plan = planModel(model, recipe);
  const scales = (first: number) =>
    Float32Array.from({ length: WIDTH }, (_, c) => (c === 0 ? first : 0.1 + 0.0017 * Math.sqrt(c + 2)));
  const zeroPoint = new Int32Array(WIDTH);
  const [one, two] = plan.nodes.filter(({ weight }) => weight !== undefined);
  const first = (times * HIDDEN) / 8 / DATA;
  const grids: QatStart = {
    values: new Map([
      ["x", { scale: DATA, zeroPoint: 128 }],
      ["r", { scale: HIDDEN, zeroPoint: 0 }],
    ]),
    weights: new Map([
      [one!, { scale: scales(first), zeroPoint }],
      [two!, { scale: scales(0.1), zeroPoint }],
    ]),
  };
  return { plan, point: { model, grids }, one: one!, two: two! };
}

test.each([
  ["down from below", 1 - 1e-6, -2e-5],
  ["up from above", 1 + 1e-6, 2e-5],
])("of the scales of a layer, only that which makes ties is moved, %s", async (_, times, expected) => {
  const { plan, point, one, two } = started(layers(), times);
  const { grids } = await keptOffTies(point, plan);
  expect(grids.values).toBe(point.grids.values);
  const moved = (entry: typeof one) =>
    [...grids.weights.get(entry)!.scale].map((scale, c) => scale / point.grids.weights.get(entry)!.scale[c]! - 1);
  const [first, ...others] = moved(one);
  expect(first).toBeCloseTo(expected, 6);
  expect(sideOfTies((grids.weights.get(one)!.scale[0]! * DATA) / HIDDEN)).toBe(0);
  expect(others).toEqual(others.map(() => 0));
  expect(moved(two)).toEqual(moved(two).map(() => 0));
});

test("a weight that two nodes read stays as it is", async () => {
  const { plan, point } = started(layers(true));
  expect(await keptOffTies(point, plan)).toEqual(point);
});

const deployed = async ({ model, grids }: Point, plan: Plan) =>
  (await quantize(model, planWith(plan, grids), undefined)).model;

test("no code changes, not even of weights that lie next to the middle between two", async () => {
  const {
    plan,
    one,
    two,
    point: { model, grids },
  } = started(layers());
  const step = grids.weights.get(one)!.scale[0]!;
  const values = layer.weights.map((value, i) =>
    i % WIDTH === 0 ? (Math.round(value / step) + 0.500005) * step : value,
  );
  const point = {
    grids,
    model: withGraph(model, withTensors(model.graph, [floatTensor("w", [WIDTH, WIDTH], values)])),
  };
  const codesOf = async (at: Point) => {
    const { tensors } = (await deployed(at, plan)).graph;
    return Promise.all(["w/q", "b/q"].map(async (name) => [...(await readAll(tensors.get(name)!.data))]));
  };
  const kept = await keptOffTies(point, plan);
  expect(kept.grids.weights.get(one)!.scale[0]).toBeGreaterThan(step);
  expect(await codesOf(kept)).toEqual(await codesOf(point));
  expect(await codesOf({ ...kept, model: point.model })).not.toEqual(await codesOf(point));
  expect(kept.grids.weights.get(two)).toEqual(grids.weights.get(two));
});

test("off ties, the codes of the engine's integer kernels are those of the fake-quantized model", async () => {
  const { plan, point } = started(layers());
  const x: NDArray = { dtype: "float32", shape: [500, WIDTH], data: Float32Array.from(normal([500, WIDTH])) };
  const different = async (tried: Point) => {
    const answers = [await run(fakeModel(tried, plan), { x }), await run(await deployed(tried, plan), { x }, "all")];
    const [fake, integers] = answers.map(({ y }) => y!.data as Float32Array) as [Float32Array, Float32Array];
    // one code more or less in front of the last layer is a step of 1/40 times one of 0.1; sums of floats end within 1e-6
    return fake.filter((value, i) => Math.abs(value - integers[i]!) > 1e-4).length;
  };
  expect(await different(point)).toBeGreaterThan(100);
  expect(await different(await keptOffTies(point, plan))).toBe(0);
});
