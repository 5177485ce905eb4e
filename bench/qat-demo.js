/**
 * The demo's model at 4 and 2 bits: the best of post-training quantization (every observer, both ways to scales of weights)
 * against quantization-aware training with three seeds, on images of seeds that neither has seen.
 *
 *   npm run build && node bench/qat-demo.js [--schemes w4a4,w2a2] [--seeds 1,2,3] [--steps N] [--rate R]
 *
 * Prints top-1 of the deployed files, how much of what the best post-training result loses comes back, and the agreement of
 * the fake-quantized with the deployed model. 2 bits learn for 20 minutes a seed; `--steps 500 --rate 0.005` is a first look.
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { nodeHost } from "../dist/node/host.js";
import { openModelFile } from "../dist/node/open-model.js";
import { drawnData } from "../dist/pipeline/demo/data.js";
import {
  drawCharacters,
  make,
  memoryDataset,
  noHooks,
  OBSERVERS,
  plainRecipe,
  schemeNamed,
  tune,
} from "../dist/pipeline/index.js";
import { qat } from "../dist/pipeline/train/index.js";
import { printTable } from "./tools.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../demo/characters.onnx", import.meta.url)) },
    schemes: { type: "string", default: "w4a4,w2a2" },
    seeds: { type: "string", default: "1,2,3" },
    steps: { type: "string" },
    rate: { type: "string" },
    temperature: { type: "string", default: "2" },
    threads: { type: "string", default: "1" },
  },
});
const SETTINGS = { w4a4: { steps: 250, rate: 0.001 }, w2a2: { steps: 8000, rate: 0.02 } };
const BATCH = 64;
const CALIBRATION = { seed: 20_001, count: 512 };
const TEST = { seed: 30_001, count: 3000 };
/** Images of training begin here; each seed has its own. */
const TRAINING = 10_000_000;

const percent = (share) => (100 * share).toFixed(2);
const { model, close } = await openModelFile(values.model);
const host = await nodeHost({ threads: Number(values.threads) }, new AbortController().signal);
const [calibration, test] = [drawCharacters(CALIBRATION), drawCharacters(TEST)];
const common = {
  ...{ model, digest: "", name: "characters.onnx", random: false },
  reference: { name: "characters.onnx", place: { path: values.model }, size: statSync(values.model).size },
  calibration: memoryDataset(model, { image: calibration.images }),
  evaluation: { data: memoryDataset(model, { image: test.images }), labels: test.labels, metrics: [] },
};

/** Top-1 of the best of all observers and algorithms. */
async function bestPlain(name) {
  const found = [];
  for (const algorithm of ["mse", "rtn"])
    for (const observer of OBSERVERS.map((row) => row.name)) {
      const recipe = { ...plainRecipe(tune(schemeNamed(name), { algorithm })), observer };
      const { staged, verified } = await make(host, { ...common, recipe }, noHooks);
      await staged[Symbol.asyncDispose]();
      found.push({ how: `${observer}, ${algorithm}`, top1: verified.metrics.top1.after });
    }
  return found.reduce((best, other) => (other.top1 > best.top1 ? other : best));
}

async function trained(name, seed, best) {
  const settings = SETTINGS[name] ?? SETTINGS.w2a2;
  const steps = Number(values.steps ?? settings.steps);
  const training = {
    ...{ data: drawnData(TRAINING * seed, steps * BATCH), epochs: 1, batch: BATCH, seed },
    loss: { kind: "distillation", temperature: Number(values.temperature) },
    schedule: { kind: "cosine", rate: Number(values.rate ?? settings.rate), warmup: 20 },
  };
  const start = performance.now();
  const made = await qat(host, { ...common, recipe: plainRecipe(schemeNamed(name)), training }, noHooks);
  await made.staged[Symbol.asyncDispose]();
  const { before, after } = made.verified.metrics.top1;
  return {
    scheme: name,
    seed,
    float: percent(before),
    "best PTQ": `${percent(best.top1)} (${best.how})`,
    "QAT, fake": percent(made.fake.top1),
    "QAT, deployed": percent(after),
    recovered: `${percent((after - best.top1) / (before - best.top1))} %`,
    agreement: percent(made.fake.agreement),
    steps,
    seconds: ((performance.now() - start) / 1000).toFixed(0),
  };
}

const rows = [];
for (const name of values.schemes.split(",")) {
  const best = await bestPlain(name);
  for (const seed of values.seeds.split(",")) rows.push(await trained(name, Number(seed), best));
}
printTable(rows);
await close();
