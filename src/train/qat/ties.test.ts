import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { NDArray } from "../../ir/model.ts";
import { normalsOf } from "../../ir/networks.case.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { planModel } from "../../pipeline/plan.ts";
import { quantize } from "../../pipeline/quantize.ts";
import { fakeModel } from "../../pipeline/starting-grids.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import type { QatStart } from "./insert.ts";
import { planWith } from "./learned.ts";
import { keptOffTies, sideOfTies } from "./ties.ts";

test.each([
  ["a half", 0.5, 1],
  ["an eighth", 1 / 8, 1],
  ["just below an eighth", (1 / 8) * (1 - 4e-7), -1],
  ["just above an eighth", (1 / 8) * (1 + 4e-7), 1],
  ["an odd number of halves", 3.5, 1],
  ["a fraction that can be reduced to an even denominator", 3 / 18, 1],
  ["the smallest that is looked for", 1 / 256, 1],
  ["an eighth, two parts in a hundred thousand off", (1 / 8) * (1 + 2e-5), 0],
  ["a third: its multiples are no halves", 1 / 3, 0],
  ["a whole number", 2, 0],
  ["one sum of 258 on a tie", 1 / 258, 0],
  ["nothing near a fraction", Math.SQRT1_2, 0],
])("%s: %f lies on side %d of ties", (_, factor, expected) => {
  expect(sideOfTies(factor)).toBe(expected);
});

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
        node("Gemm", ["r", shared ? "w" : "v", "b"], ["y"]),
      ],
      tensors: [
        floatTensor("w", [WIDTH, WIDTH], layer.weights),
        ...(shared ? [] : [floatTensor("v", [WIDTH, WIDTH], normal([WIDTH, WIDTH], 0.3))]),
        floatTensor("b", [WIDTH], layer.bias),
      ],
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );

const recipe = plainRecipe(schemeNamed("w4a8"));
const [DATA, HIDDEN] = [1 / 32, 1 / 40];
/** What the first layer's sums are multiplied by is an eighth, `times` that, in its first channel, and near no fraction in the others. */
function started(model: ReturnType<typeof layers>, times = 1) {
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
  return { plan, grids, one: one!, two: two! };
}

test.each([
  ["down from below", 1 - 1e-6, -2e-5],
  ["up from above", 1 + 1e-6, 2e-5],
])("of the scales of a layer, only that which makes ties is moved, %s", (_, times, expected) => {
  const model = layers();
  const { plan, grids, one, two } = started(model, times);
  const kept = keptOffTies(model, plan, grids);
  expect(kept.values).toBe(grids.values);
  const moved = (entry: typeof one) =>
    [...kept.weights.get(entry)!.scale].map((scale, c) => scale / grids.weights.get(entry)!.scale[c]! - 1);
  const [first, ...others] = moved(one);
  expect(first).toBeCloseTo(expected, 6);
  expect(sideOfTies((kept.weights.get(one)!.scale[0]! * DATA) / HIDDEN)).toBe(0);
  expect(others).toEqual(others.map(() => 0));
  expect(moved(two)).toEqual(moved(two).map(() => 0));
});

test("a weight that two nodes read stays as it is", () => {
  const model = layers(true);
  const { plan, grids } = started(model);
  expect(keptOffTies(model, plan, grids).weights).toEqual(grids.weights);
});

test("off ties, the codes of the engine's integer kernels are those of the fake-quantized model", async () => {
  const model = layers();
  const { plan, grids } = started(model);
  const x: NDArray = { dtype: "float32", shape: [500, WIDTH], data: Float32Array.from(normal([500, WIDTH])) };
  const different = async (tried: QatStart) => {
    const { model: deployed } = await quantize(model, planWith(plan, tried), undefined);
    const answers = [await run(fakeModel({ model, grids: tried }, plan), { x }), await run(deployed, { x }, "all")];
    const [fake, integers] = answers.map(({ y }) => y!.data as Float32Array) as [Float32Array, Float32Array];
    // one code more or less in front of the last layer is a step of 1/40 times one of 0.1; sums of floats end within 1e-6
    return fake.filter((value, i) => Math.abs(value - integers[i]!) > 1e-4).length;
  };
  expect(await different(grids)).toBeGreaterThan(100);
  expect(await different(keptOffTies(model, plan, grids))).toBe(0);
});
