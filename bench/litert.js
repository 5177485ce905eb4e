/**
 * What LiteRT costs as an engine: starting it, opening ResNet-8 (MLPerf Tiny), one image, memory, and the accuracy of the
 * reference files on 846 images.
 *
 *   npm run build && node bench/litert.js [--data ../shared/data] [--rounds 300]
 *
 * The runs take turns between the models; ONNX Runtime's WebAssembly runs the float model beside them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { interleave } from "../dist/engines/timing.js";
import { availableEngines } from "../dist/node/engines.js";
import { probe } from "../dist/node/probe.js";
import { bytesSource, readNpy } from "../dist/pipeline/index.js";
import { printTable } from "./tools.js";

const { values } = parseArgs({
  options: { data: { type: "string", default: "../shared/data" }, rounds: { type: "string", default: "300" } },
});

const FILES = [
  { file: "resnet8_float.tflite", container: "tflite" },
  { file: "resnet8_int8.tflite", container: "tflite" },
  { file: "resnet8.onnx", container: "onnx", prefer: "ort-web" },
];

const array = (name) => readNpy(bytesSource(readFileSync(join(values.data, "cifar10", name))), name);
const images = await array("test_images.npy");
const labels = (await array("test_labels.npy")).data;
const count = images.shape[0];
const size = images.data.length / count;

/** Pixels as the input takes them: floats of 0 to 255, or those minus 128 in int8. */
const CAST = {
  float32: (pixels) => Float32Array.from(pixels),
  int8: (pixels) => Int8Array.from(pixels, (pixel) => pixel - 128),
};
const feeds = ({ inputs: [{ name, dtype }] }, from, to) => ({
  [name]: { dtype, shape: [to - from, 32, 32, 3], data: CAST[dtype](images.data.subarray(from * size, to * size)) },
});

function top1({ data }) {
  const classes = data.length / count;
  let right = 0;
  for (let row = 0; row < count; row++) {
    const scores = data.subarray(row * classes, (row + 1) * classes);
    if (scores.indexOf(scores.reduce((a, b) => Math.max(a, b))) === Number(labels[row])) right++;
  }
  return (100 * right) / count;
}

async function opened({ file, ...wish }) {
  const start = performance.now();
  const { engine } = await availableEngines(wish);
  const started = performance.now();
  const path = join(values.data, "mlperf-tiny", file);
  const session = await engine.open({ path });
  const times = { start: started - start, open: performance.now() - started };
  const one = feeds(session, 0, 1);
  const { residentBytes, firstRunMs } = await probe(path, { engine: engine.name, feeds: one });
  const [scores] = Object.values(await session.run(feeds(session, 0, count)));
  return { file, engine, session, one, ...times, residentBytes, firstRunMs, top1: top1(scores) };
}

const models = [];
for (const row of FILES) models.push(await opened(row));
const runners = models.map(({ file, session, one }) => ({ name: file, run: () => session.run(one) }));
const timings = await interleave(runners, { warmup: 100, rounds: Number(values.rounds), budgetMs: 120_000 });
printTable(
  models.map((model, index) => ({
    model: model.file,
    engine: model.engine.name,
    "start ms": model.start.toFixed(0),
    "open ms": model.open.toFixed(0),
    "ms/image": timings[index].median.toFixed(3),
    p10: timings[index].p10.toFixed(3),
    p90: timings[index].p90.toFixed(3),
    ratio: timings[index].ratio.toFixed(2),
    "MB resident": (model.residentBytes / 1e6).toFixed(2),
    "top-1 %": model.top1.toFixed(2),
  })),
);
for (const { session } of models) await session.close();
