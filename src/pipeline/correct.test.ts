import { beforeAll, expect, test } from "vitest";
import type { Engine } from "../engines/contract.ts";
import type { Model } from "../ir/model.ts";
import { normalsOf, smallCnn } from "../ir/networks.case.ts";
import type { Plan } from "../ir/plan.ts";
import type { Stats } from "../ir/stats.ts";
import { run, testEngine } from "../passes/same-outputs.case.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { stageInMemory } from "../web/host.ts";
import { correct } from "./correct.ts";
import { calibratePlan, observedValues, planFor } from "./make.ts";
import { noHooks } from "./progress.ts";
import { quantize } from "./quantize.ts";
import { memoryDataset } from "./samples.ts";

const normal = normalsOf(5);
const cnn = smallCnn({ side: 12, channels: 16, classes: 10 }, normal);
const images = { dtype: "float32", shape: [48, 3, 12, 12], data: normal([48, 3, 12, 12]) } as const;
const samples = memoryDataset(cnn, { x: images });

/** A host that counts how often a model is opened. */
interface Counting {
  opened: number;
  readonly engine: Engine;
  readonly stage: typeof stageInMemory;
  readonly threads: number;
}

let host: Counting;
beforeAll(async () => {
  const engine = await testEngine();
  host = {
    ...{ opened: 0, threads: 1, stage: stageInMemory },
    engine: {
      ...engine,
      open(...args) {
        host.opened++;
        return engine.open(...args);
      },
    },
  };
});

async function planned(name: string, model: Model = cnn): Promise<{ model: Model; plan: Plan; stats?: Stats }> {
  const { prepared, plan } = await planFor(
    model,
    plainRecipe(schemeNamed(name)),
    host,
    memoryDataset(model, { x: images }),
  );
  if (observedValues(plan).length === 0) return { model: prepared, plan };
  return {
    model: prepared,
    plan,
    stats: await calibratePlan(host, prepared, plan, memoryDataset(model, { x: images })),
  };
}

const outputOf = async (model: Model) => (await run(model, { x: images })).y!.data as Float32Array;

const errorOf = (found: Float32Array, exact: Float32Array): number =>
  found.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0);

test("weights of 2 bits lose less with matched layers, which two sessions find", async () => {
  const { model, plan, stats } = await planned("w2a8");
  const before = host.opened;
  const corrected = await correct(host, { model, plan }, stats, samples, noHooks);
  expect(host.opened - before).toBe(2);
  expect(corrected.plan.notes.at(-1)).toBe("match: 3 layers have the means and spreads of the float model");
  const exact = await outputOf(cnn);
  const [plain, matched] = [
    await outputOf((await quantize(model, plan, stats)).model),
    await outputOf((await quantize(corrected.model, corrected.plan, stats)).model),
  ];
  // measured: less than a hundredth
  expect(errorOf(matched, exact)).toBeLessThan(0.1 * errorOf(plain, exact));
});

test.each(["w8a8", "w8", "w4", "w8a8-dynamic"])("%s is left as it is, model and plan", async (name) => {
  const { model, plan, stats } = await planned(name);
  const corrected = await correct(host, { model, plan }, stats, samples, noHooks);
  expect(corrected.model).toBe(model);
  expect(corrected.plan).toBe(plan);
});

test("without samples, or with too few at a time, a note says why layers stay as they are", async () => {
  const { model, plan, stats } = await planned("w4a4");
  const without = await correct(host, { model, plan }, stats, undefined, noHooks);
  expect(without.model).toBe(model);
  expect(without.plan.notes.at(-1)).toBe("match: layers stay as they are without samples");
  const few = memoryDataset(cnn, { x: { ...images, shape: [4, 3, 12, 12], data: images.data.subarray(0, 4 * 432) } });
  const corrected = await correct(host, { model, plan }, stats, few, noHooks);
  expect(corrected.model).toBe(model);
  expect(corrected.plan.notes.at(-1)).toBe("match: layers stay as they are, 4 samples at a time are fewer than 16");
});

test("grids that a model brought along are not touched", async () => {
  const { model, plan, stats } = await planned("w4a8");
  const [first, ...others] = plan.nodes;
  const qparams = { scale: new Float32Array(16).fill(0.1), zeroPoint: new Int32Array(16) };
  const given = { ...plan, nodes: [{ ...first!, weight: { ...first!.weight!, qparams } }, ...others] };
  expect((await correct(host, { model, plan: given }, stats, samples, noHooks)).plan).toBe(given);
});
