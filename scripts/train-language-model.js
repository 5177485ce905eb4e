/**
 * Trains a small language model of the llama family with fewbit: the project's own measure of perplexity. Needs
 * `npm run build`. A run that was stopped goes on where its last checkpoint was; the same seed gives the same weights.
 *   node scripts/train-language-model.js [--data FOLDER] [-o FOLDER] [--steps N] [--seed N] [--threads N]
 * reads FOLDER/valid.txt (training) and FOLDER/test.txt (perplexity), and writes tokenizer.json, model.onnx, result.json.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeHost, writeModel } from "../dist/node/index.js";
import { silent } from "../dist/pipeline/index.js";
import {
  adamw,
  decodeCheckpoint,
  encodeCheckpoint,
  encoder,
  llama,
  perplexity,
  train,
  trainingForm,
  trainingStep,
  trainTokenizer,
  windowsData,
  withLearned,
  withLoss,
} from "../dist/pipeline/train/index.js";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", default: "../shared/data/wikitext-2" },
    output: { type: "string", short: "o", default: "language-model" },
    steps: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "8" },
    dropout: { type: "string", default: "0.2" },
    /** Stops after so many steps; the run can go on later. */
    stop: { type: "string", default: "0" },
    "skip-test": { type: "boolean", default: false },
  },
});
const [steps, seed, threads, batch] = ["steps", "seed", "threads", "batch"].map((name) => Number(options[name]));

/** Every length is a multiple of 256, so that every block format of every container fits. */
const SIZES = { vocabulary: 2048, width: 256, hidden: 768, layers: 6, heads: 8, kvHeads: 4, headDim: 64, tied: true };
const CONTEXT = 256;
const SCHEDULE = { kind: "cosine", rate: 1.5e-3, warmup: 200, floor: 0.05 };
const [DECAY, CLIP] = [0.1, 1];
const CHECKPOINT_SECONDS = 60;
/** Share of the training text at its end that is not trained on: how it goes is seen there. */
const HELD_OUT = 0.03;

const file = (name) => join(options.output, name);
const write = (name, content) => {
  writeFileSync(file(`${name}.new`), content);
  renameSync(file(`${name}.new`), file(name));
};
const text = (name) => readFileSync(join(options.data, name), "utf8");
const since = (start) => (performance.now() - start) / 1000;
const note = (line) => process.stderr.write(`${line}\n`);

/** Trained once; what a tokenizer file of another program needs is in it. */
function tokenizerOf(training) {
  if (!existsSync(file("tokenizer.json")))
    write("tokenizer.json", JSON.stringify(trainTokenizer(training, SIZES.vocabulary)));
  return JSON.parse(readFileSync(file("tokenizer.json"), "utf8"));
}

/** Model, loss, gradients and optimizer as one step. */
async function makeStep() {
  const { model, parameters } = llama({ ...SIZES, dropout: Number(options.dropout), context: CONTEXT, seed });
  const { model: form, follow } = await trainingForm(model);
  const { model: lossy, loss } = withLoss(form, { kind: "cross-entropy" });
  const isMatrix = (name) => model.graph.tensors.get(name).shape.length > 1;
  const group = (name) => (isMatrix(name) ? { decay: DECAY } : {});
  const optimizer = adamw({ beta2: 0.98 });
  return trainingStep(lossy, { loss, parameters, optimizer, follow, group, clip: CLIP });
}

/** The trained model as it is used: sequences of any length. */
const modelOf = (state) => withLearned(llama({ ...SIZES, seed }).model, state);

async function surprise(host, model, tokens) {
  const staged = await host.stage(model, "measure.onnx", "scratch");
  const session = await host.engine.open(staged.place, { threads });
  try {
    return await perplexity(session, tokens, CONTEXT);
  } finally {
    await session.close();
    await staged[Symbol.asyncDispose]();
  }
}

mkdirSync(options.output, { recursive: true });
const started = performance.now();
const training = text("valid.txt");
const tokenizer = tokenizerOf(training);
const encode = encoder(tokenizer);
const tokens = encode(training);
const seen = tokens.subarray(0, Math.round(tokens.length * (1 - HELD_OUT)));
const heldOut = tokens.subarray(seen.length);
note(
  `${tokens.length} tokens of ${training.length} characters, ${seen.length} to train on; ${since(started).toFixed(0)} s`,
);

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
const host = await nodeHost({ threads }, stopping.signal);
const step = await makeStep();
const data = windowsData(seen, { context: CONTEXT, count: steps * batch, seed });
const run = { step, data, epochs: 1, batch, schedule: SCHEDULE, seed };
const resume = existsSync(file("checkpoint"))
  ? {
      checkpoint: await decodeCheckpoint(readFileSync(file("checkpoint")), file("checkpoint")),
      where: file("checkpoint"),
    }
  : undefined;
const first = resume?.checkpoint.step ?? 0;
const clock = performance.now();

/** Progress of the run: steps, loss, time left, and how the held-out text does. */
async function save(checkpoint) {
  write("checkpoint", await encodeCheckpoint(checkpoint));
  const seconds = since(clock);
  const each = seconds / Math.max(1, checkpoint.step - first);
  const last = checkpoint.losses.slice(-100);
  const loss = last.reduce((a, b) => a + b, 0) / last.length;
  const { perplexity: found } = await surprise(host, modelOf(checkpoint.state), heldOut);
  const left = ((steps - checkpoint.step) * each) / 60;
  const speed = `${(1000 * each).toFixed(0)} ms/step, ${Math.round((batch * CONTEXT) / each)} tokens/s`;
  const memory = `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`;
  note(
    `step ${checkpoint.step}/${steps}: loss ${loss.toFixed(3)}, held out ${found.toFixed(1)}, ${speed}, ${memory}, ${left.toFixed(0)} min left`,
  );
  if (Number(options.stop) > 0 && checkpoint.step >= Number(options.stop)) stopping.abort();
}

const { state, losses } = await train(
  host,
  run,
  { progress: silent, signal: stopping.signal },
  {
    save: { seconds: CHECKPOINT_SECONDS, write: save },
    ...(resume && { resume }),
  },
).catch((error) => {
  if (error.code !== "cancelled") throw error;
  note(`stopped; the same command goes on from ${file("checkpoint")}`);
  process.exit(130);
});
const model = modelOf(state);
await writeModel(model, file("model.onnx"));
const result = {
  steps,
  batch,
  context: CONTEXT,
  seed,
  sizes: SIZES,
  loss: losses.at(-1),
  trainingSeconds: since(clock),
};
if (!options["skip-test"]) {
  const test = text("test.txt");
  const found = await surprise(host, model, encode(test));
  const bytes = Buffer.byteLength(test);
  const words = test.split(/\s+/).filter((word) => word !== "").length + test.split("\n").length - 1;
  Object.assign(result, {
    test: { ...found, bitsPerByte: found.nats / Math.LN2 / bytes, wordPerplexity: Math.exp(found.nats / words) },
  });
}
write("result.json", `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result));
