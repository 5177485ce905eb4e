import { expect, test } from "vitest";
import { tfliteToOnnx } from "../../conversion/index.ts";
import { withTaps } from "../../engines/taps.ts";
import type { Feeds, Model, NDArray } from "../../ir/model.ts";
import { nodeHost } from "../../node/host.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { insertFakeQuantize } from "../../train/qat/insert.ts";
import type { Host } from "../host.ts";
import { planModel } from "../plan.ts";
import { mirrored } from "./mirror.ts";
import { images, network } from "./tflite.case.ts";

const never = new AbortController().signal;
const model = network();
const converted = await tfliteToOnnx(model);
const planOf = (scheme: string) => planModel(model, plainRecipe(schemeNamed(scheme, "tflite")));

async function valuesOf(host: Host, of: Model, names: readonly string[], feeds: Feeds) {
  await using staged = await host.stage(withTaps(of, names), "taps");
  const session = await host.engine.open(staged.place);
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

const sorted = ({ data }: NDArray): readonly number[] => [...(data as Float32Array)].sort((a, b) => a - b);

test("a value has just the elements of its equal in the converted model", async () => {
  const inner = [...model.graph.values.keys()];
  expect([...converted.values.keys()].toSorted()).toEqual(["image", "scores", ...inner].toSorted());
  const feeds = { image: images(1, 1) };
  const before = await valuesOf(await nodeHost({ threads: 1 }, never, undefined, "tflite"), model, inner, feeds);
  const equals = inner.map((name) => converted.values.get(name)!);
  const after = await valuesOf(await nodeHost({ threads: 1 }, never), converted.model, equals, feeds);
  for (const name of inner) {
    const found = sorted(after[converted.values.get(name)!]!);
    // sums of up to 72 float32 products in another order
    for (const [i, value] of sorted(before[name]!).entries()) expect(found[i]).toBeCloseTo(value, 4);
  }
});

test("every grid of the TFLite plan has its place in the converted model, weights along the same channels", async () => {
  const plan = planOf("w4a8");
  const { plan: mirror, fixed } = await mirrored(model, plan, converted);
  const own = new Set(converted.values.values());
  expect(mirror.values.filter(({ value }) => own.has(value))).toHaveLength(plan.values.length);
  // the image with its channels first, the pooled one with its channels last
  const moved = mirror.values.filter(({ value }) => !own.has(value));
  expect(moved).toMatchObject([{ sameAs: "image" }, { sameAs: converted.values.get("d") }]);
  expect(
    mirror.nodes.some(
      ({ weight, index }) => weight && converted.model.graph.nodes[index]!.inputs[0] === moved[0]!.value,
    ),
  ).toBe(true);
  expect([...fixed].toSorted()).toEqual(["g", "scores"].map((name) => converted.values.get(name)!).toSorted());
  const axes = mirror.nodes.flatMap(({ weight }) =>
    weight === undefined ? [] : [[weight.tensor, weight.shape[weight.axis], weight.qparams!.scale.length] as const],
  );
  expect(axes).toEqual([
    ["conv/w", 8, 8],
    ["depth/w", 8, 8],
    ["skip/w", 8, 8],
    ["first/w", 12, 12],
    ["second/w", 4, 4],
  ]);
});

test("what averages codes makes new ones on the same grid, what moves them does not; fixed grids are no parameters", async () => {
  const { plan, fixed, grids } = await mirrored(model, planOf("w4a8"), converted);
  const roots = plan.values.filter(({ sameAs }) => sameAs === undefined);
  const weights = new Map(
    plan.nodes.flatMap((entry) => (entry.weight ? [[entry, entry.weight.qparams!] as const] : [])),
  );
  const start = { values: new Map(roots.map(({ value }) => [value, { scale: 0.1, zeroPoint: 0 }])), weights, fixed };
  const fake = insertFakeQuantize(converted.model, plan, start);
  const onGrid = new Set(
    fake.model.graph.nodes.filter(({ op }) => op === "FakeQuantize").flatMap(({ outputs }) => outputs),
  );
  const equal = (name: string): string => converted.values.get(name)!;
  expect(onGrid.has(equal("d"))).toBe(true);
  expect(onGrid.has(equal("e"))).toBe(false);
  expect(fake.values.has(equal("g"))).toBe(false);
  expect(fake.values.has(equal("c"))).toBe(true);
  const back = grids(start);
  expect(back.values.get("c")).toEqual({ scale: 0.1, zeroPoint: 0 });
  expect([...back.weights.keys()].map(({ weight }) => weight!.tensor)).toEqual([
    "conv/w",
    "depth/w",
    "skip/w",
    "first/w",
    "second/w",
  ]);
});

test("schemes of weights alone put grids on weights alone", async () => {
  const { plan } = await mirrored(model, planOf("w4"), converted);
  expect(plan.values).toEqual([]);
  expect(plan.nodes.map(({ weight }) => weight?.tensor)).toEqual([
    "conv/w",
    "depth/w",
    "skip/w",
    "first/w",
    "second/w",
  ]);
});
