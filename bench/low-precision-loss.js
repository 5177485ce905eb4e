/**
 * What training in integers reaches beside float32: the same network, data, order and steps, from the same random weights, over
 * three seeds, on drawn characters.
 *
 *   npm run build && node bench/low-precision-loss.js [--model cnn|mlp] [--images N] [--epochs N] [--seeds 1,2,3] [--classes 10] [--only REGEX]
 *
 * cnn: 3x3 convolutions of 16, 32 and 64 channels, each with batch normalization, Relu and 2x2 max pooling, then average pooling and a
 * dense layer, 4,000 images and 8 epochs unless told. mlp: 1024-256-256-classes, 6,000 images and 15 epochs: in a third of that it has
 * learned little, and seeds differ more than ways to train. Prints the mean loss of the last epoch, the share of 2,000 other images that the model
 * gets right as it was trained and as the deployed file, and how often the two agree: means over the seeds and, behind ±, half
 * the range.
 */
import { parseArgs } from "node:util";
import { encodeOnnx } from "../dist/containers/onnx/index.js";
import { memoryData } from "../dist/containers/training-data.js";
import { valueInfo } from "../dist/ir/build.js";
import { nodeHost } from "../dist/node/host.js";
import { drawCharacters, memoryDataset } from "../dist/pipeline/index.js";
import { fakeAgreement } from "../dist/pipeline/train/fake-agreement.js";
import { lowPrecision, train, withLearned } from "../dist/pipeline/train/index.js";
import { plainRecipe } from "../dist/recipes/recipe.js";
import { schemeNamed } from "../dist/recipes/schemes.js";
import {
  batchNorm,
  buildModel,
  conv,
  dense,
  flatten,
  globalAveragePool,
  he,
  maxPool,
  relu,
  sequential,
  trainingForm,
} from "../dist/train/layers/index.js";
import { withLoss } from "../dist/train/losses.js";
import { adam } from "../dist/train/optimizers.js";
import { trainingStep } from "../dist/train/step.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "cnn" },
    images: { type: "string" },
    epochs: { type: "string" },
    seeds: { type: "string", default: "1,2,3" },
    classes: { type: "string", default: "10" },
    only: { type: "string", default: "" },
  },
});
const BATCH = 64;
const TESTED = 2000;
const SIZE = 32 * 32;
const SETTINGS = {
  cnn: { images: 4000, epochs: 8, rate: 5e-3 },
  mlp: { images: 6000, epochs: 15, rate: 1e-3 },
}[values.model];
const EPOCHS = Number(values.epochs ?? SETTINGS.epochs);

/** Characters of the first classes, which are the digits. */
function drawn(seed, count) {
  const classes = Number(values.classes);
  const all = drawCharacters({
    seed,
    count: Math.ceil((count * 1.2 * drawCharacters({ seed, count: 0 }).classes.length) / classes),
  });
  const picked = [...all.labels.keys()].filter((at) => all.labels[at] < classes).slice(0, count);
  const pixels = new Float32Array(count * SIZE);
  for (const [at, from] of picked.entries())
    pixels.set(all.images.data.subarray(from * SIZE, (from + 1) * SIZE), at * SIZE);
  const image = { dtype: "float32", shape: [count, 1, 32, 32], data: pixels };
  return { image, labels: Int32Array.from(picked, (at) => all.labels[at]), classes };
}
const shown = drawn(1, Number(values.images ?? SETTINGS.images));
const asked = drawn(2, TESTED);
const data = memoryData({
  image: shown.image,
  labels: { dtype: "int64", shape: [shown.labels.length], data: BigInt64Array.from(shown.labels, BigInt) },
});

const block = (channels) => sequential(conv(channels, { bias: false, init: he }), batchNorm(), relu, maxPool());
const NETS = {
  cnn: sequential(block(16), block(32), block(64), globalAveragePool, dense(shown.classes)),
  mlp: sequential(flatten, dense(256, { init: he }), relu, dense(256, { init: he }), relu, dense(shown.classes)),
};
const modelOf = (seed) =>
  buildModel(
    { inputs: [valueInfo("image", "float32", ["batch", 1, 32, 32])], outputs: ["logits"], seed },
    NETS[values.model],
  );

const VARIANTS = {
  float32: undefined,
  "int8 forward": { scheme: "w8a8", backward: false },
  int8: { scheme: "w8a8" },
  "int8, rounded to nearest": { scheme: "w8a8", stochastic: false },
  "int8, dynamic file": { scheme: "w8a8-dynamic" },
  int4: { scheme: "w4a8" },
  "2 bits": { scheme: "w2a8" },
  ternary: { scheme: "w1.58a8" },
};

const host = await nodeHost({ threads: 1 }, new AbortController().signal);
const bytesOf = async (model) => {
  const parts = [];
  for await (const chunk of encodeOnnx(model).main.chunks()) parts.push(chunk);
  return Buffer.concat(parts);
};

async function inFloats({ model, parameters }, training) {
  const form = await trainingForm(model);
  const lossy = withLoss(form.model, { kind: "cross-entropy" });
  const step = trainingStep(lossy.model, { loss: lossy.loss, parameters, optimizer: adam(), follow: form.follow });
  const { state, losses } = await train(host, { ...training, step });
  const trained = withLearned(model, state);
  const staged = await host.stage(trained, "float.onnx", "scratch");
  const evaluation = { data: memoryDataset(model, { image: asked.image }), labels: asked.labels, metrics: [] };
  const { top1 } = await fakeAgreement(host, trained, staged, evaluation);
  await staged[Symbol.asyncDispose]();
  return { losses, trained: top1, deployed: top1, agreement: 1 };
}

async function inIntegers({ model }, { scheme, ...settings }, training) {
  const bytes = await bytesOf(model);
  const made = await lowPrecision(host, {
    ...{ model, digest: "", name: "characters.onnx", random: false, recipe: plainRecipe(schemeNamed(scheme)) },
    reference: { name: "characters", place: { bytes }, size: bytes.length },
    calibration: memoryDataset(model, {
      image: { ...shown.image, shape: [500, 1, 32, 32], data: shown.image.data.subarray(0, 500 * SIZE) },
    }),
    evaluation: { data: memoryDataset(model, { image: asked.image }), labels: asked.labels, metrics: [] },
    training: { ...training, ...settings },
  });
  await made.staged[Symbol.asyncDispose]();
  const { top1: trained, agreement } = made.trained;
  return { losses: made.losses, trained, deployed: made.verified.metrics.top1.after, agreement };
}

const spread = (list, digits, factor = 1) => {
  const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
  const half = (Math.max(...list) - Math.min(...list)) / 2;
  return `${(factor * mean).toFixed(digits)} ± ${(factor * half).toFixed(digits)}`;
};

console.log(
  "| training | last epoch's loss | right as trained, % | right as deployed, % | agreement, % | s |\n|---|---|---|---|---|---|",
);
for (const [name, settings] of Object.entries(VARIANTS)) {
  if (!new RegExp(values.only).test(name)) continue;
  const found = [];
  for (const seed of values.seeds.split(",").map(Number)) {
    const training = {
      data,
      epochs: EPOCHS,
      batch: BATCH,
      schedule: { kind: "cosine", rate: SETTINGS.rate },
      seed,
    };
    const start = performance.now();
    const made = settings
      ? await inIntegers(modelOf(seed), settings, training)
      : await inFloats(modelOf(seed), training);
    const last = made.losses.slice(-Math.floor(shown.labels.length / BATCH));
    found.push({
      ...made,
      loss: last.reduce((sum, loss) => sum + loss, 0) / last.length,
      seconds: (performance.now() - start) / 1000,
    });
  }
  const column = (key, digits, factor) =>
    spread(
      found.map((entry) => entry[key]),
      digits,
      factor,
    );
  console.log(
    `| ${name} | ${column("loss", 3)} | ${column("trained", 1, 100)} | ${column("deployed", 1, 100)} | ${column("agreement", 1, 100)} | ${column("seconds", 0)} |`,
  );
}
process.exit(0);
