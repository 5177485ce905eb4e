/**
 * A real transformer in every scheme: cosine of mean-pooled sentence embeddings against float32 (mean and worst of 200 sentences,
 * one at a time, without padding), size, speed and memory, for fewbit and for onnxruntime's Python tools at the same setting.
 *
 *   python scripts/peers/export-minilm.py ../shared/data/wikitext-2/test.txt FOLDER
 *   npm run build && node bench/minilm.js FOLDER [--schemes w8,w4] [--python PYTHON] [--reuse] [--json]
 *   node bench/minilm.js FOLDER MODEL.onnx...     measures these files instead of quantizing
 *
 * Ratios are float32 over the quantized model, one thread: latency of a sentence of 16 and of 128 tokens, models taking turns;
 * resident memory of a fresh process. `--reuse` keeps files of an earlier run. Ends with 1 when a cosine is below the peer's.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interleave } from "../dist/engines/timing.js";
import {
  CLI,
  footprint,
  int64,
  megabytes,
  modelBytes,
  openModel,
  PEERS,
  printTable,
  readNpz,
  timedProcess,
} from "./tools.js";

const SCHEMES = ["w8a8-dynamic", "w8", "w4", "fp16", "q8", "q4", "q4f16"];
const LENGTHS = [16, 128];
const INPUTS = ["input_ids", "attention_mask", "token_type_ids"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    schemes: { type: "string", default: SCHEMES.join(",") },
    python: { type: "string" },
    reuse: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const [folder, ...given] = positionals;
if (folder === undefined)
  throw new Error("usage: node bench/minilm.js FOLDER [MODEL.onnx...] [--schemes LIST] [--python PYTHON]");
const original = join(folder, "model.onnx");

/** Makes FOLDER/TOOL/SCHEME.onnx unless it is there and may be reused. */
function made(tool, scheme, command) {
  const path = join(folder, tool, `${scheme}.onnx`);
  mkdirSync(join(folder, tool), { recursive: true });
  if (!values.reuse || !existsSync(path)) timedProcess(...command(path));
  return { tool, scheme, path };
}

const byFewbit = (scheme) =>
  made("fewbit", scheme, (path) => [
    process.execPath,
    [CLI, "quantize", original, "-s", scheme, "-o", path, "--no-report", "--force", "--json"],
  ]);
const byPeer = (scheme) =>
  made("onnxruntime", scheme, (path) => [values.python, [join(PEERS, "ort-quantize.py"), scheme, original, path]]);

function candidates() {
  if (given.length > 0) return given.map((path) => ({ tool: "given", scheme: path, path }));
  const schemes = values.schemes.split(",");
  return schemes.flatMap((scheme) => [byFewbit(scheme), ...(values.python ? [byPeer(scheme)] : [])]);
}

/** Feeds of each sentence, cut to its own length. */
async function sentences() {
  const arrays = readNpz(join(folder, "sentences.npz"));
  const [rows, width] = arrays.input_ids.shape;
  const feeds = [];
  for (let row = 0; row < rows; row++) {
    const part = (name, length) => arrays[name].data.subarray(row * width, row * width + length);
    const length = part("attention_mask", width).reduce((sum, bit) => sum + Number(bit), 0);
    const entries = INPUTS.map(async (name) => [name, await int64(part(name, length), [1, length])]);
    feeds.push(Object.fromEntries(await Promise.all(entries)));
  }
  return feeds;
}

/** Mean over tokens of the last hidden state: [1, tokens, width] to [width]. */
async function embed(session, feeds) {
  const { dims, data } = (await session.run(feeds)).last_hidden_state;
  const [, tokens, width] = dims;
  const mean = new Float64Array(width);
  for (let i = 0; i < data.length; i++) mean[i % width] += data[i] / tokens;
  return mean;
}

function cosine(a, b) {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return dot / Math.sqrt(aa * bb);
}

async function embedAll(session, feeds) {
  const all = [];
  for (const each of feeds) all.push(await embed(session, each));
  return all;
}

/** float32 latency over that of each session, by sentence length. */
async function speedUps(sessions) {
  const columns = [];
  for (const length of LENGTHS) {
    const ones = await int64(new Array(length).fill(1), [1, length]);
    const feeds = Object.fromEntries(INPUTS.map((name) => [name, ones]));
    const runners = sessions.map((session, i) => ({ name: String(i), run: () => session.run(feeds) }));
    columns.push((await interleave(runners, { rounds: 40, budgetMs: 30_000 })).map(({ ratio }) => 1 / ratio));
  }
  return columns;
}

async function measured(list) {
  const paths = [original, ...list.map(({ path }) => path)];
  const sessions = await Promise.all(paths.map(openModel));
  const feeds = await sentences();
  const reference = await embedAll(sessions[0], feeds);
  const speed = await speedUps(sessions);
  const resident = [];
  for (const path of paths) resident.push((await footprint(path, INPUTS, 16)).resident);
  const rows = [];
  for (const [i, { tool, scheme, path }] of list.entries()) {
    const cosines = (await embedAll(sessions[i + 1], feeds)).map((embedding, row) => cosine(embedding, reference[row]));
    rows.push({
      scheme,
      tool,
      mean: cosines.reduce((a, b) => a + b, 0) / cosines.length,
      worst: Math.min(...cosines),
      bytes: modelBytes(path),
      size: modelBytes(original) / modelBytes(path),
      speed: speed.map((column) => column[i + 1]),
      memory: resident[0] / resident[i + 1],
    });
  }
  return rows;
}

const shown = ({ scheme, tool, mean, worst, bytes, size, speed, memory }) => ({
  scheme,
  tool,
  "cosine mean": mean.toFixed(6),
  worst: worst.toFixed(6),
  MB: megabytes(bytes),
  size: `${size.toFixed(2)}x`,
  ...Object.fromEntries(LENGTHS.map((length, i) => [`speed, ${length} tokens`, `${speed[i].toFixed(2)}x`])),
  memory: `${memory.toFixed(2)}x`,
});

/** Sentences about schemes whose cosine is below that of the peer's file. */
const losses = (rows) =>
  rows.flatMap((row) => {
    const peer = rows.find(({ tool, scheme }) => tool === "onnxruntime" && scheme === row.scheme);
    if (row.tool !== "fewbit" || peer === undefined) return [];
    const below = ["mean", "worst"].filter((key) => row[key] < peer[key] - 1e-6);
    return below.map((key) => `${row.scheme}: ${key} cosine ${row[key]} is below onnxruntime's ${peer[key]}`);
  });

const rows = await measured(candidates());
if (values.json) console.log(JSON.stringify(rows, null, 2));
else printTable(rows.map(shown));
for (const text of losses(rows)) {
  console.error(text);
  process.exitCode = 1;
}
