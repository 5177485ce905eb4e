/**
 * Perplexity of the project's own language model as GGUF, for every scheme, with and without an importance matrix that is
 * measured on the text it learned from; beside it, whether llama-quantize writes the same file.
 *
 *   npm run build && node scripts/train-language-model.js --data ../shared/data/wikitext-2 -o language-model
 *   node bench/language-model-gguf.js [--model language-model] [--data ../shared/data/wikitext-2] [--windows 100]
 *        [--schemes q8_0,q4_k_m] [--driver FOLDER/llama-quantize] [--threads 2] [-o FOLDER]
 *
 * The driver is built by scripts/peers/llama-quantize.sh. The first two rows are the float model by ONNX Runtime and by
 * llama.cpp on the same windows; `KL` is the divergence from the float model in nats, `same top` the share of equal answers.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { imatrixFile, readImatrix } from "../dist/containers/imatrix/index.js";
import { withTaps } from "../dist/engines/taps.js";
import { ggufName } from "../dist/lowering/gguf/architectures.js";
import { fileSource, nodeHost, openLlama, openModelFile, openWeights, writeWeights } from "../dist/node/index.js";
import { expOf, meanOf, surprise } from "../dist/numeric/token-metrics.js";
import { noHooks, toGguf } from "../dist/pipeline/index.js";
import { compareModels, windowsOf } from "../dist/pipeline/language/index.js";
import { encoder, llamaFolder, llamaFolderNames, windowsData } from "../dist/pipeline/train/index.js";
import { planWeights, quantizeWeights } from "../dist/pipeline/weights/index.js";
import { FILE_TYPES } from "../dist/recipes/ggml/index.js";
import { printTable } from "./tools.js";

const SCHEMES =
  "q8_0,q6_k,q5_k_m,q5_1,q4_k_m,q4_1,q4_0,iq4_nl,iq4_xs,q3_k_m,iq3_s,iq3_xxs,q2_k,iq2_s,iq2_xs,iq2_xxs,iq1_m";
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "language-model" },
    data: { type: "string", default: "../shared/data/wikitext-2" },
    windows: { type: "string", default: "100" },
    schemes: { type: "string", default: SCHEMES },
    driver: { type: "string" },
    /** One that was measured before, of the same model. */
    imatrix: { type: "string" },
    threads: { type: "string", default: "2" },
    output: { type: "string", short: "o" },
  },
});
const threads = Number(values.threads);
const [MEASURED, BATCH] = [256, 8];
const folder = values.output ?? mkdtempSync(join(tmpdir(), "fewbit-language-model-"));
mkdirSync(folder, { recursive: true });
const text = (name) => readFileSync(join(values.data, name), "utf8");
const note = (line) => process.stderr.write(`${line}\n`);

const { sizes, context } = JSON.parse(readFileSync(join(values.model, "result.json"), "utf8"));
const tokenizer = JSON.parse(readFileSync(join(values.model, "tokenizer.json"), "utf8"));
const { model, close } = await openModelFile(join(values.model, "model.onnx"));
const host = await nodeHost({ threads }, new AbortController().signal);

/** The float model as GGUF, by way of a folder as Hugging Face has it. */
async function writeFloat() {
  const { weights, files } = llamaFolder(model, sizes, { tokenizer, context });
  const { file } = toGguf(weights, { name: "fewbit-language-model", files }, { type: "f32" });
  const path = join(folder, "model.gguf");
  await writeWeights(file, path);
  return path;
}

async function withSession(changed, use) {
  const staged = await host.stage(changed, "model.onnx", "scratch");
  const session = await host.engine.open(staged.place, { threads });
  try {
    return await use(session);
  } finally {
    await session.close();
    await staged[Symbol.asyncDispose]();
  }
}

function addSquares(sums, { data }) {
  for (let i = 0; i < data.length; i++) sums[i % sums.length] += data[i] ** 2;
}

/** Mean squares of the inputs of every matrix, on windows of the text the model learned from. */
async function measureImportance() {
  const names = llamaFolderNames(sizes);
  const products = model.graph.nodes.filter(({ op, inputs }) => op === "MatMul" && names.has(inputs[1]));
  const taps = [...new Set(products.map(({ inputs }) => inputs[0]))];
  const data = windowsData(encoder(tokenizer)(text("valid.txt")), { context, count: MEASURED, seed: 1 });
  const sums = new Map();
  await withSession(withTaps(model, taps), async (session) => {
    for (let first = 0; first < MEASURED; first += BATCH) {
      const { ids } = await data.rows(Array.from({ length: BATCH }, (_, at) => first + at));
      const found = await session.run({ ids }, taps);
      for (const tap of taps) {
        if (!sums.has(tap)) sums.set(tap, new Float64Array(found[tap].shape.at(-1)));
        addSquares(sums.get(tap), found[tap]);
      }
    }
  });
  const means = (tap) => Float32Array.from(sums.get(tap), (sum) => sum / (MEASURED * context));
  const entries = products.map(({ inputs: [tap, weight] }) => [
    ggufName(names.get(weight)),
    { length: sums.get(tap).length, matrices: 1, read: async () => means(tap) },
  ]);
  const path = join(folder, "imatrix.gguf");
  await writeWeights(imatrixFile({ datasets: ["valid.txt"], chunks: MEASURED, entries: new Map(entries) }), path);
  return path;
}

/** The same places as llama.cpp's, by ONNX Runtime. */
async function perplexityByOnnx({ windows, first }) {
  const nats = [];
  await withSession(model, async (session) => {
    for (const window of windows) {
      const ids = { dtype: "int64", shape: [1, window.length], data: BigInt64Array.from(window, BigInt) };
      const { logits } = await session.run({ ids }, ["logits"]);
      for (let at = first; at < window.length - 1; at++)
        nats.push(surprise(logits.data, at * sizes.vocabulary, sizes.vocabulary, window[at + 1]));
    }
  });
  return expOf(meanOf(nats));
}

const sha256 = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Importance as the lines and floats that the driver reads. */
async function driverImportance({ entries }) {
  const parts = [];
  for (const [name, { length, read }] of entries)
    parts.push(Buffer.from(`${name} ${length}\n`), Buffer.from((await read()).buffer), Buffer.from("\n"));
  const path = join(folder, "imatrix.txt");
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

/** Whether llama-quantize writes the same bytes; undefined without the driver. */
function isSame(source, path, scheme, importance) {
  if (values.driver === undefined) return undefined;
  const other = `${path}.other`;
  const keys = importance && [
    ...[`im=${importance.driver}`, `kvs=quantize.imatrix.file=${importance.path}`],
    ...[
      "kvs=quantize.imatrix.dataset=valid.txt",
      `kvi=quantize.imatrix.entries_count=${importance.matrix.entries.size}`,
    ],
    `kvi=quantize.imatrix.chunks_count=${MEASURED}`,
  ];
  const args = [source, other, String(FILE_TYPES[scheme].id), "1", ...(keys ?? [])];
  const { status, stderr } = spawnSync(values.driver, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return sha256(other) === sha256(path);
}

async function quantized(source, scheme, importance) {
  const path = join(folder, `${scheme}${importance ? ".imatrix" : ""}.gguf`);
  const { weights, close: closeWeights } = await openWeights(source);
  try {
    const options = importance ? { importance: { path: importance.path, matrix: importance.matrix } } : {};
    const plan = planWeights(weights, scheme, options);
    if (plan.tensors.some(({ missing }) => missing !== undefined)) return undefined;
    const { file } = await quantizeWeights(weights, plan, options);
    await writeWeights(file, path);
  } finally {
    await closeWeights();
  }
  return path;
}

const source = await writeFloat();
const { engine, reason } = openLlama();
if (engine === undefined) throw new Error(reason);
const before = await engine.open({ path: source }, { context, threads });
const asked = await windowsOf(before, { origin: "test.txt", text: text("test.txt") }, { most: Number(values.windows) });
note(`${asked.summary.windows} windows of ${context} tokens, ${asked.summary.predicted} predicted`);
const own = encoder(tokenizer)(text("test.txt"));
const theirs = await before.tokenize(text("test.txt"));
const differing = own.findIndex((token, at) => token !== theirs[at]);
note(
  differing < 0 && own.length === theirs.length ? "both tokenize alike" : `tokens differ from place ${differing} on`,
);
const onnx = await perplexityByOnnx(asked);
note(`ONNX Runtime: ${onnx.value.toFixed(4)}`);
const imatrix = values.imatrix ?? (await measureImportance());
const opened = await fileSource(imatrix);
const matrix = await readImatrix(opened);
const importance = { path: imatrix, matrix, driver: await driverImportance(matrix) };

const size = (path) => statSync(path).size;
const COLUMNS = ["scheme", "perplexity", "change %", "KL", "same top %", "MB", "bits/weight"];
const rows = [];
const add = (row) => {
  const columns = values.driver === undefined ? COLUMNS : [...COLUMNS, "llama-quantize"];
  rows.push(Object.fromEntries(columns.map((name) => [name, row[name] ?? ""])));
  note(Object.values(rows.at(-1)).join("  "));
};
const shown = ({ value, error }, digits) => `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;
const bits = (path) => ((8 * size(path)) / (size(source) / 4)).toFixed(2);
for (const scheme of values.schemes.split(","))
  for (const weighed of [undefined, importance]) {
    const path = await quantized(source, scheme, weighed);
    if (path === undefined) continue;
    const after = await engine.open({ path }, { context, threads });
    const { perplexity, divergence, agreement } = await compareModels(before, after, asked, noHooks);
    await after.close();
    if (rows.length === 0) {
      add({ scheme: "float32, ONNX Runtime", perplexity: shown(onnx, 3) });
      add({
        scheme: "float32, llama.cpp",
        perplexity: shown(perplexity.before, 3),
        MB: (size(source) / 1e6).toFixed(2),
      });
    }
    const same = isSame(source, path, scheme, weighed);
    add({
      scheme: weighed ? `${scheme}, importance` : scheme,
      perplexity: shown(perplexity.after, 3),
      "change %": shown({ value: 100 * (perplexity.ratio.value - 1), error: 100 * perplexity.ratio.error }, 2),
      KL: divergence.mean.value.toFixed(5),
      "same top %": (100 * agreement.value).toFixed(1),
      MB: (size(path) / 1e6).toFixed(2),
      "bits/weight": bits(path),
      ...(same !== undefined && { "llama-quantize": same ? "same bytes" : "DIFFERENT" }),
    });
  }
printTable(rows);
await before.close();
await opened.close();
await close();
