/**
 * Post-training quantization against quantization-aware training on ResNet-8 (MLPerf Tiny): accuracy of the deployed files on
 * 846 images, after training on 3,660 others. First the float model learns their labels and its own mean answer for six views
 * of each; what came of that is quantized, and teaches itself without labels.
 *
 *   npm run build && node bench/qat-resnet8.js [--data ../shared/data] [--schemes w8a8,w4a8,w4a4,w2a8,w2a8+w8a8] [--judge test|calib]
 *       [--epochs N] [--batch N] [--rate R] [--scale-rate F] [--temperature T] [--features WEIGHT] [--dampening K]
 *       [--gradual] [--augment flip,shift:4] [--views N] [--seed 1] [--tune EPOCHS] [--distill SHARE]
 *
 * `--tune 0` leaves the first part out, `--distill 1` its labels. Prints one line for each scheme: float, after rounding alone, float
 * after the first part, after training (the fake-quantized model, and the file in its
 * deployed form), how often these two agree, how often the file and the float model do, the divergence of the file's answers
 * from the float model's in nats, and the time. A standard error of 846 images at 87 % is 1.2 points; differences
 * between models on the same images are known better than that. Settings are chosen with `--judge calib`: on 1,000 other images,
 * which nothing learns from. `w2a8+w8a8` is `w2a8` with `w8a8` for the first and the last layer.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeHost } from "../dist/node/host.js";
import { openModelFile } from "../dist/node/open-model.js";
import {
  bytesSource,
  make,
  memoryDataset,
  noHooks,
  plainRecipe,
  readNpy,
  schemeNamed,
} from "../dist/pipeline/index.js";
import { augmentNamed, inOrder, memoryData, qat, stepCount, trainFloat } from "../dist/pipeline/train/index.js";
import { printTable } from "./tools.js";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "../shared/data" },
    schemes: { type: "string", default: "w8a8,w4a8,w4a4,w2a8,w2a8+w8a8" },
    epochs: { type: "string" },
    rate: { type: "string" },
    temperature: { type: "string" },
    batch: { type: "string" },
    "scale-rate": { type: "string" },
    features: { type: "string" },
    dampening: { type: "string" },
    gradual: { type: "boolean" },
    augment: { type: "string" },
    views: { type: "string" },
    judge: { type: "string", default: "test" },
    seed: { type: "string", default: "1" },
    threads: { type: "string", default: "1" },
    tune: { type: "string", default: "12" },
    distill: { type: "string", default: "0.7" },
  },
});

const COMMON = { batch: 16, temperature: 2, features: 0, gradual: false, augment: "flip,shift:4", views: 1 };
const IMITATING = { features: 30, augment: "flip,shift:4,warp:0.2,color:0.3" };
const TWO_BITS = { rate: 0.01, dampening: 0.0003, gradual: true, ...IMITATING };
/** Coarser grids are farther from where they start. */
const SETTINGS = {
  w8a8: { epochs: 2, rate: 0.001, batch: 32 },
  w4a8: { epochs: 7, rate: 0.003, batch: 32 },
  w4a4: { epochs: 16, rate: 0.002, augment: "flip,shift:2", views: 6 },
  w2a8: { epochs: 130, ...TWO_BITS },
  "w2a8+w8a8": { epochs: 60, ...TWO_BITS },
};
/** The first part; its rate is Adam's own, not a share of each weight. */
const TUNED = { batch: 16, augment: "flip,shift:2", views: 6, rate: 3e-5 };
const CALIBRATION = 512;

const array = (name) => readNpy(bytesSource(readFileSync(join(values.data, "cifar10", name))), name);
const floats = ({ shape, data }, count = shape[0]) => {
  const size = data.length / shape[0];
  return {
    dtype: "float32",
    shape: [count, ...shape.slice(1)],
    data: Float32Array.from(data.subarray(0, count * size)),
  };
};
const percent = (share) => (100 * share).toFixed(2);

const path = join(values.data, "mlperf-tiny/resnet8.onnx");
const original = await openModelFile(path);
const input = original.model.graph.inputs[0].name;
const [shown, asked] = [await array("train_images.npy"), await array(`${values.judge}_images.npy`)];
const host = await nodeHost({ threads: Number(values.threads) }, new AbortController().signal);
const common = {
  ...{ digest: "", name: "resnet8.onnx", random: false },
  reference: { name: "resnet8.onnx", place: { path }, size: statSync(path).size },
  calibration: memoryDataset(original.model, { [input]: floats(shown, CALIBRATION) }),
  evaluation: {
    ...{ data: memoryDataset(original.model, { [input]: floats(asked) }), metrics: [] },
    labels: Array.from((await array(`${values.judge}_labels.npy`)).data, Number),
  },
};
const images = { [input]: floats(shown) };
const augmentOf = (text) => inOrder(text.split(",").map(augmentNamed));
const seed = Number(values.seed);

/** Shares of the classes that a model gives the judging images, row by row. */
async function answers(place) {
  const session = await host.engine.open(place, { threads: Number(values.threads) });
  const output = session.outputs[0].name;
  const found = await session.run({ [input]: floats(asked) }, [output]);
  await session.close();
  return Array.from({ length: asked.shape[0] }, (_, row) => [...found[output].data.subarray(row * 10, row * 10 + 10)]);
}

/** Below it a share of a class counts as this: files on grids answer 0. */
const LEAST = 1e-7;
const largest = (row) => row.indexOf(Math.max(...row));
const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

/** Share of the images that both put in one class, and the mean divergence of `found` from `original`. */
function apart(original, found) {
  const divergence = (row, other) =>
    row.reduce((sum, p, at) => (p > 0 ? sum + p * Math.log(p / Math.max(other[at], LEAST)) : sum), 0);
  return {
    "agrees with float": percent(mean(original.map((row, at) => Number(largest(row) === largest(found[at]))))),
    divergence: mean(original.map((row, at) => divergence(row, found[at]))).toFixed(3),
  };
}

/** The float model after the first part. */
async function tuned() {
  const { batch, views, rate } = TUNED;
  const distill = Number(values.distill);
  const labels = BigInt64Array.from((await array("train_labels.npy")).data, BigInt);
  const parts = [
    { weight: 1 - distill, loss: { kind: "cross-entropy" } },
    { weight: distill, loss: { kind: "distillation" } },
  ];
  const data = memoryData({
    ...images,
    ...(distill < 1 && { labels: { dtype: "int64", shape: [labels.length], data: labels } }),
  });
  const shownAs = { data, batch, epochs: Number(values.tune) };
  const training = {
    ...{ ...shownAs, views, seed, augment: augmentOf(TUNED.augment) },
    loss: { kind: "mix", parts: parts.filter(({ weight }) => weight > 0) },
    schedule: { kind: "cosine", rate, warmup: Math.round(0.05 * stepCount(shownAs)) },
  };
  const { staged, verified } = await trainFloat(host, { ...common, model: original.model, training }, noHooks);
  const { model, close } = await openModelFile(staged.place.path);
  const { after } = verified.metrics.top1;
  return { model, top1: after, close: () => close().then(() => staged[Symbol.asyncDispose]()) };
}

async function row(name, start) {
  const [scheme, ends] = name.split("+");
  const rules = ends ? [{ match: { ends: true }, scheme: ends }] : [];
  const recipe = { ...plainRecipe(schemeNamed(scheme)), rules };
  const plain = await make(host, { ...common, model: original.model, recipe }, noHooks);
  await plain.staged[Symbol.asyncDispose]();
  const settings = { ...COMMON, ...(SETTINGS[name] ?? SETTINGS[scheme] ?? SETTINGS.w4a4) };
  const setting = (name) => Number(values[name] ?? settings[name]);
  const augment = augmentOf(values.augment ?? settings.augment);
  const training = {
    ...{ data: memoryData(images), augment, batch: setting("batch"), seed, features: setting("features") },
    views: setting("views"),
    loss: { kind: "distillation", temperature: setting("temperature") },
    epochs: setting("epochs"),
    gradual: values.gradual ?? settings.gradual,
    ...((values.dampening ?? settings.dampening) !== undefined && { dampening: setting("dampening") }),
    ...(values["scale-rate"] && { scaleRate: Number(values["scale-rate"]) }),
    schedule: { kind: "cosine", rate: setting("rate") },
  };
  const began = performance.now();
  const trained = await qat(host, { ...common, model: start.model, recipe, training }, noHooks);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const found = await answers(trained.staged.place);
  await trained.staged[Symbol.asyncDispose]();
  const { before, after } = trained.verified.metrics.top1;
  return {
    scheme: name,
    float: percent(before),
    PTQ: percent(plain.verified.metrics.top1.after),
    tuned: percent(start.top1 ?? before),
    "QAT, fake": percent(trained.fake.top1),
    "QAT, deployed": percent(after),
    agreement: percent(trained.fake.agreement),
    ...apart(floatAnswers, found),
    epochs: String(training.epochs),
    seconds,
  };
}

const floatAnswers = await answers({ path });
const start = Number(values.tune) > 0 ? await tuned() : original;
const rows = [];
for (const name of values.schemes.split(",")) rows.push(await row(name, start));
printTable(rows);
for (const { close } of new Set([start, original])) await close();
