/**
 * The autoencoder of MLPerf Tiny under the schemes of TFLite that need no convolutions: size, latency beside the float
 * model in turns, and the anomaly score, whose distance from the float model's is the error that matters.
 *   node bench/tflite-autoencoder.js      after npm run build
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readNpy, writeNpy } from "../dist/containers/npy.js";
import { bytesSource } from "../dist/ir/source.js";
import { CLI, timedProcess } from "./tools.js";

const DATA = resolve(import.meta.dirname, "../../shared/data/mlperf-tiny");
const MODEL = join(DATA, "ad01_float.tflite");
const FRAMES = 5;

/** Scheme and settings, one model each. */
const ROWS = [
  ["w8a8"],
  ["w8a8-dynamic"],
  ["w4a8-dynamic", "--algorithm", "rtn"],
  ["w4a8-dynamic"],
  ...[32, 64, 128].map((size) => ["w4a8-dynamic", "--group-size", `${size}`]),
  ["w4"],
];

/** Five neighbouring frames each. */
async function windows() {
  const path = join(DATA, "ad01_spectrogram.npy");
  const { shape, data } = await readNpy(bytesSource(readFileSync(path)), path);
  const [frames, bands] = shape;
  const [count, length] = [frames - FRAMES + 1, FRAMES * bands];
  const out = new Float32Array(count * length);
  for (let i = 0; i < count; i++) out.set(data.subarray(i * bands, i * bands + length), i * length);
  return { dtype: "float32", shape: [count, length], data: out };
}

/** A metric for --eval: the reconstruction's mean squared error. */
const METRIC = `
import { readFileSync } from "node:fs";
import { readNpy } from ${JSON.stringify(new URL("../dist/containers/npy.js", import.meta.url).href)};
import { bytesSource } from ${JSON.stringify(new URL("../dist/ir/source.js", import.meta.url).href)};
const x = await readNpy(bytesSource(readFileSync(process.env.WINDOWS)), "windows");
export default async ({ run }) => {
  const { data } = (await run({ input_1: x })).Identity;
  return data.reduce((sum, value, i) => sum + (value - x.data[i]) ** 2, 0) / data.length;
};`;

const folder = mkdtempSync(join(tmpdir(), "fewbit-autoencoder-"));
try {
  const [data, metric] = [join(folder, "windows.npy"), join(folder, "metric.mjs")];
  writeFileSync(data, writeNpy(await windows()));
  writeFileSync(metric, METRIC);
  process.env.WINDOWS = data;
  console.log("scheme                            bytes    time  score (float beside it)  SQNR");
  for (const [scheme, ...settings] of ROWS) {
    const wish = ["quantize", MODEL, "-s", scheme, ...settings, "-c", data, "--eval", metric];
    const { stdout } = timedProcess(process.execPath, [
      CLI,
      ...wish,
      "-o",
      join(folder, "m.tflite"),
      "--no-report",
      "--json",
    ]);
    const { size, latency, metrics } = JSON.parse(stdout);
    const time = (1 / latency.ratio).toFixed(2);
    const [score, float] = [metrics.eval.after, metrics.eval.before].map((value) => value.toFixed(2));
    const name = [scheme, ...settings].join(" ").padEnd(32);
    console.log(
      `${name}  ${String(size.after).padStart(7)}  ${time.padStart(6)}  ${score} (${float})  ${metrics.sqnr.toFixed(1)} dB`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
