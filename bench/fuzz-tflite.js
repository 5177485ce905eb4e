/**
 * Reads damaged TFLite files: each must give a clear error, or a model that passes the check and can be written anew.
 * Fails on anything else, on a file that takes over 5 s, and on a process of over 1 GB.
 *   node bench/fuzz-tflite.js [COUNT] [FIRST]      after npm run build
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const ROOT = resolve(import.meta.dirname, "..");
const OUT = join(ROOT, "node_modules/.cache/fuzz-tflite");
const DATA = resolve(ROOT, "../shared/data/mlperf-tiny");
const MAX_MS = 5_000;
const MAX_BYTES = 1024 * 1024 * 1024;

/** The damage is described beside the tests, in TypeScript that is no part of the build. */
function compile() {
  mkdirSync(OUT, { recursive: true });
  const config = {
    extends: join(ROOT, "tsconfig.build.json"),
    compilerOptions: { outDir: OUT, rootDir: join(ROOT, "src"), declaration: false },
    include: [join(ROOT, "src/containers/tflite/fuzz.case.ts")],
    exclude: [],
  };
  writeFileSync(join(OUT, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(OUT, "package.json"), JSON.stringify({ type: "module" }));
  execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(OUT, "tsconfig.json")]);
}

const real = existsSync(DATA)
  ? readdirSync(DATA)
      .filter((name) => name.endsWith(".tflite"))
      .map((name) => readFileSync(join(DATA, name)))
  : [];

async function work({ first, count, now }) {
  const { damagedFile, outcomeOf, seedsOf } = await import(join(OUT, "containers/tflite/fuzz.case.js"));
  const seeds = await seedsOf(real);
  const state = new Float64Array(now);
  const counts = {};
  let [worst, worstAt] = [0, first];
  for (let number = first; number < first + count; number++) {
    const file = await damagedFile(number, seeds);
    const start = performance.now();
    state[0] = number;
    state[1] = performance.timeOrigin + start;
    const outcome = await outcomeOf(file, number % 4 === 0).catch((error) => {
      throw new Error(`file ${number}: ${error.stack}`);
    });
    const took = performance.now() - start;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (took > worst) [worst, worstAt] = [took, number];
  }
  state[1] = Number.POSITIVE_INFINITY;
  parentPort.postMessage({ counts, worst, worstAt, seeds: seeds.map(({ bytes }) => bytes.length) });
}

function end(text) {
  console.error(`fuzz-tflite: ${text}`);
  process.exit(1);
}

async function main() {
  const [count = 100_000, first = 0] = process.argv.slice(2).map(Number);
  compile();
  const now = new SharedArrayBuffer(16);
  const state = new Float64Array(now);
  state[1] = Number.POSITIVE_INFINITY;
  const began = performance.now();
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
    if (peak > MAX_BYTES) end(`file ${state[0]}: the process has ${(peak / 1e6).toFixed(0)} MB`);
    if (performance.timeOrigin + performance.now() - state[1] > MAX_MS) end(`file ${state[0]} hangs`);
  }, 20);
  const worker = new Worker(new URL(import.meta.url), { workerData: { first, count, now } });
  worker.on("error", (error) => end(error.message));
  worker.on("message", ({ counts, worst, worstAt, seeds }) => {
    clearInterval(watch);
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${count} files from ${seeds.length} seeds of ${Math.min(...seeds)} to ${Math.max(...seeds)} bytes, ${real.length} of them real files as they are`,
    );
    console.log(
      Object.entries(counts)
        .map(([outcome, number]) => `${outcome} ${number}`)
        .join(", "),
    );
    console.log(
      `worst ${worst.toFixed(0)} ms (file ${worstAt}), peak ${(peak / 1e6).toFixed(0)} MB, ${seconds.toFixed(0)} s in all`,
    );
    if (worst > MAX_MS) end(`file ${worstAt} took ${worst.toFixed(0)} ms`);
  });
}

if (isMainThread) await main();
else await work(workerData);
