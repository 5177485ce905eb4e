/**
 * TFLite files of fewbit, of Google's tools and of the models' own authors, in the same engine: accuracy, size, time to
 * make, latency. ResNet-8 and the autoencoder of MLPerf Tiny.
 *
 *   npm run build && node bench/tflite.js [--data ../shared/data] [--models resnet8,ad01] [--schemes w8a8,w4:rtn]
 *                                         [--peers FOLDER [--python PYTHON]] [--out FOLDER] [--rounds 200] [--json]
 *
 * `--peers` holds MODEL/TOOL.SCHEME.tflite, with the line of scripts/peers/tflite-quantize.py beside it as .json; all of them
 * are judged, and `--python` makes those that are missing. `--out` keeps fewbit's files. All static schemes are calibrated
 * with the same samples: 1000 images; the autoencoder, of which there is one recording, with the windows it is judged on,
 * which its authors' file was not.
 *
 * resnet8: top-1 and agreement with the float model on 846 images. ad01: the reconstruction score of the recording (mean over
 * its windows of the mean squared error), and how far it is from the float model's. Both: mean squared difference to the
 * float model's outputs. Seconds are those of reading, calibrating, quantizing and writing. Latency is a ratio to the
 * authors' int8 file, median over rounds in which the two take turns. Ends with 1 where w8a8 misses its goals.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sessionInNumbers } from "../dist/engines/numbers.js";
import { interleave } from "../dist/engines/timing.js";
import { availableEngines } from "../dist/node/engines.js";
import { nodeHost } from "../dist/node/host.js";
import { openModelFile } from "../dist/node/open-model.js";
import { writeModel } from "../dist/node/write-model.js";
import {
  bytesSource,
  calibratePlan,
  memoryDataset,
  observedValues,
  plainRecipe,
  planFor,
  quantize,
  readNpy,
  schemeNamed,
  tune,
} from "../dist/pipeline/index.js";
import { PEERS, printTable } from "./tools.js";

const FEWBIT = "w8a8,w8a8-int8,w8a16,w4a8,w8a8-dynamic,w8,w4,w4:rtn,fp16";
const PEER_SCHEMES = {
  "ai-edge-quantizer": "w8a8,w8a8-int8,w8a16,w4a8,w8a8-dynamic,w4a8-dynamic,w8,w4,w4:OCTAV,w4:GPTQ,fp16",
  "tflite-converter": "w8a8,w8a8-int8,w8a16,w8a8-dynamic,fp16",
};
const BATCH = 64;

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "../shared/data" },
    models: { type: "string", default: "resnet8,ad01" },
    schemes: { type: "string", default: FEWBIT },
    peers: { type: "string" },
    python: { type: "string" },
    out: { type: "string" },
    rounds: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  },
});

async function array(...path) {
  const { shape, data } = await readNpy(bytesSource(readFileSync(join(values.data, ...path))), path.at(-1));
  return { dtype: "float32", shape, data: Float32Array.from(data, Number) };
}

/** A recording as overlapping windows of `frames` frames: [frames of the recording, width] to [windows, frames * width]. */
function windows({ shape: [length, width], data }, frames) {
  const count = length - frames + 1;
  const out = new Float32Array(count * frames * width);
  for (let i = 0; i < count; i++) out.set(data.subarray(i * width, (i + frames) * width), i * frames * width);
  return { dtype: "float32", shape: [count, frames * width], data: out };
}

/** Windows of 640 values one frame apart, four fewer than frames, as the published score takes them. */
const recording = async () => windows(await array("mlperf-tiny", "ad01_spectrogram.npy"), 5);

function largest(data, row, width) {
  let best = row * width;
  for (let i = best; i < (row + 1) * width; i++) if (data[i] > data[best]) best = i;
  return best - row * width;
}

const classes = ({ shape: [rows, width], data }) => Array.from({ length: rows }, (_, row) => largest(data, row, width));
const share = (a, b) => (100 * a.filter((value, i) => value === b[i]).length) / a.length;

function squared(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}

const MODELS = {
  resnet8: {
    async load() {
      const labels = [...(await array("cifar10", "test_labels.npy")).data];
      const calibration = await array("cifar10", "calib_images.npy");
      return { calibration, samples: await array("cifar10", "test_images.npy"), labels };
    },
    judge: ({ labels }, outputs, float) => ({
      top1: share(classes(outputs), labels),
      agreement: share(classes(outputs), classes(float)),
    }),
    shown: ({ top1, agreement }) => ({ "top-1 %": top1.toFixed(2), "agreement %": agreement.toFixed(2) }),
    goals: {
      "top-1 is at most 0.2 points below": (own, theirs) => own.top1 >= theirs.top1 - 0.2,
      "agreement with float is no lower": (own, theirs) => own.agreement >= theirs.agreement,
      "the file is at most 1 % larger": (own, theirs) => own.bytes <= 1.01 * theirs.bytes,
      "latency is at most 1.05 of it": (own) => own.latency <= 1.05,
    },
  },
  ad01: {
    async load() {
      const samples = await recording();
      return { calibration: samples, samples };
    },
    judge({ samples }, outputs, float) {
      const score = squared(outputs.data, samples.data);
      return { score, distance: score - squared(float.data, samples.data) };
    },
    shown: ({ score, distance }) => ({ score: score.toFixed(4), "to float's": distance.toFixed(4) }),
    goals: {
      "the score is closer to the float model's": (own, theirs) => Math.abs(own.distance) < Math.abs(theirs.distance),
    },
  },
};

const fileOf = (model, kind) => join(values.data, "mlperf-tiny", `${model}_${kind}.tflite`);
const slug = (wish) => wish.replace(":", "-");

/** "w8a8-int8" is w8a8 with int8 inputs and outputs, "w4:rtn" is w4 by the algorithm rtn. */
function recipeOf(wish) {
  const [name, algorithm] = wish.split(":");
  const io = name.endsWith("-int8") ? "int8" : undefined;
  const scheme = schemeNamed(name.replace(/-int8$/, ""), "tflite");
  return plainRecipe(tune(scheme, { embeddings: false, ...(io && { io }), ...(algorithm && { algorithm }) }));
}

/** What `fewbit quantize` does without the measuring. */
async function byFewbit(host, model, wish, path, calibration) {
  const start = performance.now();
  const opened = await openModelFile(fileOf(model, "float"));
  const { prepared, plan } = await planFor(opened.model, recipeOf(wish), host);
  const [{ name }] = prepared.graph.inputs;
  const samples = () => memoryDataset(prepared, { [name]: calibration });
  const watched = observedValues(plan).length > 0;
  const stats = watched ? await calibratePlan(host, prepared, plan, samples()) : undefined;
  await writeModel((await quantize(prepared, plan, stats)).model, path);
  await opened.close();
  return { tool: "fewbit", scheme: wish, path, seconds: (performance.now() - start) / 1000 };
}

async function ownFiles(model, { calibration }, folder) {
  const host = await nodeHost({ threads: 1 }, undefined, undefined, "tflite");
  mkdirSync(join(folder, model), { recursive: true });
  const files = [];
  for (const wish of values.schemes.split(",")) {
    const path = join(folder, model, `fewbit.${slug(wish)}.tflite`);
    files.push(await byFewbit(host, model, wish, path, calibration));
  }
  return files;
}

/** A .npy file of float32, C order. */
function writeNpy(path, { shape, data }) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  writeFileSync(path, Buffer.concat([start, Buffer.from(header), Buffer.from(data.buffer)]));
}

/** Has a peer make its file; one that fails is told on stderr and left out. */
function makePeer(tool, wish, model, path, samples) {
  const script = join(PEERS, "tflite-quantize.py");
  const args = [script, tool, wish, fileOf(model, "float"), path, samples];
  const { status, stdout, stderr } = spawnSync(values.python, args, { encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status === 0) writeFileSync(`${path}.json`, stdout.trim().split("\n").at(-1));
  else console.error(`${tool} ${wish} of ${model}: ${stderr.trim().split("\n").at(-1)}`);
}

function makePeers(model, calibration, folder) {
  const samples = join(folder, "calibration.npy");
  if (!existsSync(samples)) writeNpy(samples, calibration);
  for (const [tool, wishes] of Object.entries(PEER_SCHEMES))
    for (const wish of wishes.split(",")) {
      const path = join(folder, `${tool}.${slug(wish)}.tflite`);
      if (!existsSync(path)) makePeer(tool, wish, model, path, samples);
    }
}

/** The peers' files of a model, with what the script that made them printed. */
function peerFiles(model, { calibration }) {
  if (values.peers === undefined) return [];
  const folder = join(values.peers, model);
  mkdirSync(folder, { recursive: true });
  if (values.python) makePeers(model, calibration, folder);
  const names = readdirSync(folder).filter((name) => name.endsWith(".tflite"));
  return names.map((name) => {
    const path = join(folder, name);
    const [tool, scheme] = name.split(".");
    const line = existsSync(`${path}.json`) ? JSON.parse(readFileSync(`${path}.json`, "utf8")) : {};
    return { tool, scheme, ...line, path };
  });
}

const rows = ({ shape: [, ...row], data }, from, to) => {
  const size = row.reduce((a, b) => a * b, 1);
  return { dtype: "float32", shape: [to - from, ...row], data: data.subarray(from * size, to * size) };
};

/** Outputs of all samples, as numbers. */
async function outputsOf(session, samples) {
  const { inputs, outputs, run } = sessionInNumbers(session);
  const [count] = samples.shape;
  const parts = [];
  for (let from = 0; from < count; from += BATCH) {
    const feeds = { [inputs[0].name]: rows(samples, from, Math.min(from + BATCH, count)) };
    parts.push(...(await run(feeds))[outputs[0].name].data);
  }
  return { shape: [count, parts.length / count], data: Float32Array.from(parts) };
}

/** Codes of any input: what they say changes no time. */
const CODES = { float32: Float32Array, int8: Int8Array, int16: Int16Array };

function oneSample({ inputs: [{ name, dtype }] }, samples) {
  const { shape, data } = rows(samples, 0, 1);
  return { [name]: { dtype, shape, data: CODES[dtype].from(data) } };
}

/** Opens a file; one that the engine refuses has no session, and the reason is told. */
async function opened(engine, file) {
  try {
    return { ...file, session: await engine.open({ path: file.path }) };
  } catch (error) {
    console.error(`${file.tool} ${file.scheme}: ${error.message}`);
    return { ...file, session: undefined };
  }
}

/**
 * How long one sample takes, as a ratio to the first file. Each file takes turns with that one alone: a file of slow kernels
 * leaves cold caches to whatever runs behind it.
 */
async function latencies(files, samples) {
  const runners = files.map(({ session, path }) => {
    const feeds = oneSample(session, samples);
    return { name: path, run: () => session.run(feeds) };
  });
  const found = [];
  for (const runner of runners) {
    const options = { rounds: Number(values.rounds), budgetMs: 5_000 };
    found.push((await interleave([runners[0], runner], options))[1]);
  }
  return found;
}

async function measured(model, engine, list) {
  const { judge } = MODELS[model];
  const data = list.data;
  const files = (await Promise.all(list.files.map((file) => opened(engine, file)))).filter(({ session }) => session);
  const float = await outputsOf(files.find(({ scheme }) => scheme === "float").session, data.samples);
  const speed = await latencies(files, data.samples);
  const found = [];
  for (const [i, { session, ...file }] of files.entries()) {
    process.stderr.write(`${model}: ${file.tool} ${file.scheme}\n`);
    const outputs = await outputsOf(session, data.samples);
    const difference = squared(outputs.data, float.data);
    const times = { latency: speed[i].ratio, ms: speed[i].median };
    found.push({ ...file, bytes: statSync(file.path).size, ...judge(data, outputs, float), difference, ...times });
    await session.close();
  }
  return found;
}

/** The authors' int8 file comes first: what the others are measured against. */
const authors = (model) =>
  ["int8", "float"].map((kind) => ({ tool: "authors", scheme: kind, path: fileOf(model, kind) }));

async function bench(model, engine, folder) {
  const data = await MODELS[model].load();
  const files = [...authors(model), ...(await ownFiles(model, data, folder)), ...peerFiles(model, data)];
  return measured(model, engine, { data, files });
}

const shown = (model, row) => ({
  scheme: row.scheme,
  tool: row.tool,
  ...MODELS[model].shown(row),
  "difference²": row.difference.toExponential(2),
  bytes: row.bytes,
  seconds: row.seconds?.toFixed(2) ?? "-",
  latency: row.latency.toFixed(2),
  ms: row.ms.toFixed(3),
});

/** Sentences about goals that w8a8 misses against the authors' int8 file. */
function missed(model, found) {
  const theirs = found.find(({ scheme }) => scheme === "int8");
  const own = found.filter(({ tool, scheme }) => tool === "fewbit" && scheme.startsWith("w8a8") && !/dyn/.test(scheme));
  return own.flatMap((row) =>
    Object.entries(MODELS[model].goals)
      .filter(([, met]) => !met(row, theirs))
      .map(([goal]) => `${model}, ${row.scheme}: not met: ${goal}`),
  );
}

const { engine } = await availableEngines({ container: "tflite" });
const folder = values.out ?? mkdtempSync(join(tmpdir(), "fewbit-bench-"));
const all = {};
for (const model of values.models.split(",")) {
  all[model] = await bench(model, engine, folder);
  if (values.json) continue;
  console.log(`${model}, ${engine.name} ${engine.version}`);
  printTable(all[model].map((row) => shown(model, row)));
  console.log();
}
if (values.json) console.log(JSON.stringify(all, null, 2));
if (values.out === undefined) rmSync(folder, { recursive: true });
for (const text of Object.entries(all).flatMap(([model, found]) => missed(model, found))) {
  console.error(text);
  process.exitCode = 1;
}
