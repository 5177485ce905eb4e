/**
 * Trains the demo's model with fewbit and writes it. The same seed gives the same bytes on the same kind of machine.
 *   node scripts/train-demo.js [OUTPUT] [SEED]    demo/characters.onnx and 1 unless told; needs `npm run build`
 */

import { nodeHost, writeModel } from "../dist/node/index.js";
import { drawnData } from "../dist/pipeline/demo/data.js";
import { drawCharacters } from "../dist/pipeline/demo/draw.js";
import { charactersNet } from "../dist/pipeline/demo/net.js";
import { adamw, train, trainingForm, trainingStep, withLearned, withLoss } from "../dist/pipeline/train/index.js";

const [output = "demo/characters.onnx", seed = "1"] = process.argv.slice(2);
const IMAGES = 200_000;
const BATCH = 32;
const STEPS = Math.ceil(IMAGES / BATCH);
const SCHEDULE = { kind: "cosine", rate: 0.012, warmup: Math.round(STEPS / 10), floor: 0.01 };
const DECAY = 0.05;
/** Every image has a seed of its own, above those of all tests. */
const FIRST_SEED = 1_000_000 * Number(seed);
/** Seeds and images of the figures in demo/README.md. */
const TESTS = [2, 3, 4, 5].map((test) => ({ seed: test, count: 5000 }));

const best = (row) => row.indexOf(Math.max(...row));

/** Share of drawn images that a model gets right. */
async function accuracy(session, request) {
  const { images, labels, classes } = drawCharacters(request);
  const { logits } = await session.run({ image: images });
  const width = classes.length;
  const right = labels.filter((label, i) => best(logits.data.subarray(i * width, (i + 1) * width)) === label);
  return right.length / labels.length;
}

const percent = (share) => `${(100 * share).toFixed(2)} %`;
const started = performance.now();
const host = await nodeHost({ threads: 1 }, new AbortController().signal);
const { model, parameters } = charactersNet(Number(seed));
const { model: form, follow } = await trainingForm(model);
const { model: lossy, loss } = withLoss(form, { kind: "cross-entropy" });
const isMatrix = (name) => model.graph.tensors.get(name).shape.length > 1;
const group = (name) => (isMatrix(name) ? { decay: DECAY } : {});
const step = trainingStep(lossy, { loss, parameters, optimizer: adamw(), follow, group });
const data = drawnData(FIRST_SEED, IMAGES);
const run = { step, data, epochs: 1, batch: BATCH, schedule: SCHEDULE, seed: Number(seed) };
const { state, losses } = await train(host, run);
const tail = losses.slice(-200);
console.log(`${losses.length} steps, last losses ${(tail.reduce((a, b) => a + b) / tail.length).toFixed(4)}`);
const trained = withLearned(model, state);
await writeModel(trained, output);
const session = await host.engine.open({ path: output });
for (const test of TESTS) console.log(`seed ${test.seed}: top-1 ${percent(await accuracy(session, test))}`);
await session.close();
console.log(`${output}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
