/** What the benchmarks share: timed processes, models opened in a process of their own, .npy and .npz, tables. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { probe } from "../dist/node/probe.js";

process.env.ORT_DISABLE_TELEMETRY = "1";

export const CLI = fileURLToPath(new URL("../bin/fewbit.js", import.meta.url));
export const PEERS = fileURLToPath(new URL("../scripts/peers/", import.meta.url));
const GNU_TIME = "/usr/bin/time";

/** Middle value. */
export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** Runs a whole process: seconds on the wall, peak resident bytes (its children count one by one), what it printed. */
export function timedProcess(command, args) {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-"));
  const log = join(folder, "time");
  const wrapped = existsSync(GNU_TIME) ? [GNU_TIME, "-f", "%M", "-o", log, command] : [command];
  const start = performance.now();
  const done = spawnSync(wrapped[0], [...wrapped.slice(1), ...args], { encoding: "utf8", maxBuffer: 2 ** 28 });
  const seconds = (performance.now() - start) / 1000;
  const peak = existsSync(log) ? Number(readFileSync(log, "utf8").trim().split("\n").at(-1)) * 1024 : Number.NaN;
  rmSync(folder, { recursive: true });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${done.status}\n${done.stderr}`);
  return { seconds, peak, stdout: done.stdout };
}

/** Bytes of a model with the external data beside it, by the convention that its name starts with the model's. */
export function modelBytes(path) {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
  return names.reduce((sum, name) => sum + statSync(join(dirname(path), name)).size, 0);
}

const ORT_OPTIONS = { intraOpNumThreads: 1, interOpNumThreads: 1, graphOptimizationLevel: "all", logSeverityLevel: 3 };

/** Opens a model in onnxruntime-node with one thread. */
export async function openModel(path) {
  const { InferenceSession } = await import("onnxruntime-node");
  return InferenceSession.create(path, ORT_OPTIONS);
}

/** An int64 tensor for onnxruntime-node. */
export async function int64(values, dims) {
  const { Tensor } = await import("onnxruntime-node");
  return new Tensor("int64", BigInt64Array.from(values, BigInt), dims);
}

/** Load time in ms and resident bytes of a model in a fresh process that runs it on int64 [1, length] inputs. */
export async function footprint(path, inputs, length) {
  const ones = { dtype: "int64", shape: [1, length], data: new BigInt64Array(length).fill(1n) };
  const feeds = Object.fromEntries(inputs.map((name) => [name, ones]));
  const { loadMs, residentBytes } = await probe(path, { engine: "ort-node", feeds });
  return { load: loadMs, resident: residentBytes };
}

const NPY_TYPES = { "<f4": Float32Array, "<i8": BigInt64Array, "<i4": Int32Array };

/** A .npy file, version 1, C order: shape and data. */
export function readNpy(bytes) {
  const length = bytes[8] + 256 * bytes[9];
  const header = Buffer.from(bytes.subarray(10, 10 + length)).toString("latin1");
  const shape = [.../\(([^)]*)\)/.exec(header)[1].matchAll(/\d+/g)].map(Number);
  const Type = NPY_TYPES[/'descr': '([^']+)'/.exec(header)[1]];
  return { shape, data: new Type(bytes.slice(10 + length).buffer) };
}

/** Arrays of an .npz file by name. */
export const readNpz = (path) =>
  Object.fromEntries(
    Object.entries(unzipSync(readFileSync(path))).map(([name, bytes]) => [name.replace(/\.npy$/, ""), readNpy(bytes)]),
  );

/** Prints rows of equal keys as a table with aligned columns. */
export function printTable(rows) {
  const names = Object.keys(rows[0]);
  const lines = [names, ...rows.map((row) => names.map((name) => String(row[name])))];
  const widths = names.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  for (const line of lines)
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    );
}

export const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
