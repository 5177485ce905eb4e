/**
 * Perplexity of the project's own language model on a text it has not seen, for every way to store its weights: as trained,
 * after rounding, and after quantization-aware training towards the float model's own answers.
 *
 *   npm run build && node scripts/train-language-model.js --data ../shared/data/wikitext-2 -o language-model
 *   node bench/language-model.js [--model language-model] [--data ../shared/data/wikitext-2] [--steps 400] [--only REGEX]
 *        [--threads 2] [--characters N]
 *
 * `nats lost` is what a token costs more than with float weights (natural logarithm of the perplexity's ratio); `kept` the
 * share of plain rounding's loss that is gone. Training sees the text the model learned from, without its next tokens.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeHost } from "../dist/node/host.js";
import { openModelFile } from "../dist/node/open-model.js";
import { make, memoryDataset, noHooks, plainRecipe, schemeNamed, tune } from "../dist/pipeline/index.js";
import { encoder, perplexity, qat, windowsData } from "../dist/pipeline/train/index.js";
import { printTable } from "./tools.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "language-model" },
    data: { type: "string", default: "../shared/data/wikitext-2" },
    steps: { type: "string", default: "400" },
    rate: { type: "string", default: "0.002" },
    only: { type: "string", default: "." },
    threads: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    /** Judges on the beginning of the text only. */
    characters: { type: "string" },
  },
});
const [CONTEXT, BATCH, SAMPLES] = [256, 8, 16];
const threads = Number(values.threads);

const ROWS = [
  { name: "w8", scheme: "w8" },
  { name: "w4 group 128, plain rounding", scheme: "w4", size: 128, algorithm: "rtn" },
  { name: "w4 group 128", scheme: "w4", size: 128 },
  { name: "w4 group 128, QAT", scheme: "w4", size: 128, beside: "w4 group 128, plain rounding", train: true },
  { name: "w4 per channel, plain rounding", scheme: "w4", size: "channel", algorithm: "rtn" },
  { name: "w4 per channel", scheme: "w4", size: "channel" },
  { name: "w4 per channel, QAT", scheme: "w4", size: "channel", beside: "w4 per channel, plain rounding", train: true },
  { name: "w2 group 64, plain rounding", scheme: "w2", size: 64, algorithm: "rtn" },
  { name: "w2 group 64", scheme: "w2", size: 64 },
  { name: "w2 group 64, QAT", scheme: "w2", size: 64, beside: "w2 group 64, plain rounding", train: true },
];

const path = join(values.model, "model.onnx");
const { model, close } = await openModelFile(path);
const encode = encoder(JSON.parse(readFileSync(join(values.model, "tokenizer.json"), "utf8")));
const text = (name) => readFileSync(join(values.data, name), "utf8");
const asked = encode(text("test.txt").slice(0, values.characters ? Number(values.characters) : undefined));
const shown = encode(text("valid.txt"));
const host = await nodeHost({ threads }, new AbortController().signal);

/** Rows of tokens without what comes next: a teacher knows better. */
function windows(count) {
  const data = windowsData(shown, { context: CONTEXT, count, seed: Number(values.seed) });
  const rows = async (indices) => ({ ids: (await data.rows(indices)).ids });
  return { length: count, rows };
}

/** The scheme with groups of a size on all matrices; the table of tokens keeps its own. */
function recipeOf({ scheme, size, algorithm }) {
  const channel = size === "channel" ? { groupSize: "channel" } : {};
  const named = tune(schemeNamed(scheme), { ...channel, ...(algorithm && { algorithm }) });
  const steps = named.steps.map((step) =>
    step.form === "nbits" && size !== undefined
      ? { ...step, scheme: { ...step.scheme, granularity: { per: "group", size } } }
      : step,
  );
  return plainRecipe({ ...named, steps });
}

const { ids } = await windows(SAMPLES).rows(Array.from({ length: SAMPLES }, (_, index) => index));
const samples = memoryDataset(model, { ids });
const common = {
  ...{ model, digest: "", name: "model.onnx", random: false, calibration: samples },
  reference: { name: "model.onnx", place: { path }, size: statSync(path).size },
  evaluation: { data: samples, metrics: [] },
};

async function surprise(place) {
  const session = await host.engine.open(place, { threads });
  try {
    return await perplexity(session, asked, CONTEXT);
  } finally {
    await session.close();
  }
}

const training = () => ({
  data: windows(Number(values.steps) * BATCH),
  ...{ epochs: 1, batch: BATCH, seed: Number(values.seed), clip: 1 },
  schedule: { kind: "cosine", rate: Number(values.rate), warmup: 20 },
});

async function measured(row) {
  const input = { ...common, recipe: recipeOf(row) };
  const start = performance.now();
  const made = row.train ? await qat(host, { ...input, training: training() }) : await make(host, input, noHooks);
  const seconds = (performance.now() - start) / 1000;
  try {
    return { ...row, ...(await surprise(made.staged.place)), size: made.staged.size, seconds };
  } finally {
    await made.staged[Symbol.asyncDispose]();
  }
}

const float = { name: "float32", ...(await surprise({ path })), size: common.reference.size, seconds: 0 };
process.stderr.write(`float32: perplexity ${float.perplexity.toFixed(2)} over ${float.tokens} tokens\n`);
const found = [float];
for (const row of ROWS.filter(({ name }) => new RegExp(values.only).test(name))) {
  found.push(await measured(row));
  process.stderr.write(`${row.name}: ${found.at(-1).perplexity.toFixed(2)}\n`);
}
const lost = ({ perplexity: value }) => Math.log(value / float.perplexity);
printTable(
  found.map((row) => {
    const plain = found.find(({ name }) => name === row.beside);
    return {
      weights: row.name,
      perplexity: row.perplexity.toFixed(2),
      "nats lost": lost(row).toFixed(4),
      kept: plain === undefined ? "" : `${(100 * (1 - lost(row) / lost(plain))).toFixed(0)} %`,
      MB: (row.size / 1e6).toFixed(2),
      smaller: `${(float.size / row.size).toFixed(2)}x`,
      seconds: row.seconds.toFixed(0),
    };
  }),
);
await close();
