/**
 * Seconds and memory of whole processes that quantize a made-up folder of safetensors with experts (1.1 GB of bfloat16), in
 * turns with one and more threads and, where another build is named, with that; and whether all write the same bytes.
 *   node bench/safetensors.js [--schemes w8,w4,w8a8-dynamic,fp8] [--threads 1,2] [--rounds 3] [--layers 5] [--base OTHER/bin/fewbit.js] [--folder DIR]
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bytesSource } from "../dist/ir/source.js";
import { writeWeights } from "../dist/node/write-weights.js";
import { encodeFloats } from "../dist/numeric/convert.js";
import { rng } from "../dist/numeric/rng.js";
import { median, ours, timed } from "./gguf/programs.js";

const option = { type: "string" };
const names = ["schemes", "threads", "rounds", "layers", "base", "folder"];
const { values: flags } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, option])) });
const list = (value, usual) => (value ?? usual).split(",");
const folder = mkdtempSync(join(flags.folder ?? tmpdir(), "fewbit-safetensors-"));

const [HIDDEN, INNER, EXPERTS] = [2048, 2048, 8];
const random = rng(1);
/** Every tensor is a part of the same values. */
const VALUES = encodeFloats(
  Float32Array.from({ length: HIDDEN * INNER + 100_000 }, () => random.normal() * 0.05),
  "bfloat16",
);

function tensor(name, shape) {
  const size = shape.reduce((product, length) => product * length, 2);
  const from = 2 * ((7919 * name.length) % 100_000);
  return [name, { name, type: "bfloat16", shape, data: bytesSource(VALUES.subarray(from, from + size)) }];
}

function* layer(index) {
  const own = (name, shape) => tensor(`model.layers.${index}.${name}.weight`, shape);
  for (const name of ["q", "k", "v", "o"]) yield own(`self_attn.${name}_proj`, [HIDDEN, HIDDEN]);
  yield own("mlp.gate", [EXPERTS, HIDDEN]);
  for (let expert = 0; expert < EXPERTS; expert++) {
    for (const name of ["gate", "up"]) yield own(`mlp.experts.${expert}.${name}_proj`, [INNER, HIDDEN]);
    yield own(`mlp.experts.${expert}.down_proj`, [HIDDEN, INNER]);
  }
}

async function makeModel() {
  const path = join(folder, "model");
  mkdirSync(path);
  const all = Array.from({ length: Number(flags.layers ?? 5) }, (_, index) => [...layer(index)]).flat();
  const model = { container: "safetensors", formatVersion: 1, metadata: new Map(), tensors: new Map(all) };
  const [{ size }] = await writeWeights(model, join(path, "model.safetensors"));
  writeFileSync(join(path, "config.json"), `{"model_type": "qwen3_moe", "num_experts": ${EXPERTS}}`);
  return { path, size };
}

function sumOf(path) {
  const hash = createHash("sha256");
  for (const name of readdirSync(path).sort()) hash.update(name).update(readFileSync(join(path, name)));
  return hash.digest("hex");
}

/** The command line of another build, which may have one thread alone. */
const other = (program) => (model, output, scheme) => [
  process.execPath,
  program,
  "quantize",
  model,
  "-s",
  scheme,
  "-o",
  output,
  "--quiet",
];

const programs = [
  ...(flags.base === undefined ? [] : [["base", other(resolve(flags.base))]]),
  ...list(flags.threads, `1,${availableParallelism()}`).map((threads) => [
    `${threads} threads`,
    (model, output, scheme) => ours(model, output, scheme, threads),
  ]),
];

function summary(name, runs, size) {
  const [seconds, cpu] = ["seconds", "cpu"].map((key) => median(runs.map((run) => run[key])));
  const megabytes = Math.max(...runs.map((run) => run.megabytes));
  return `${name}: ${seconds.toFixed(2)} s (${cpu.toFixed(2)} s of CPU), ${(size / 1e6 / seconds).toFixed(0)} MB/s, ${megabytes.toFixed(0)} MB of memory`;
}

try {
  const { path, size } = await makeModel();
  for (const scheme of list(flags.schemes, "w8,w4,w8a8-dynamic,fp8")) {
    const found = new Map(programs.map(([name]) => [name, []]));
    const sums = new Set();
    for (let round = 0; round < Number(flags.rounds ?? 3); round++)
      for (const [name, command] of programs) {
        const output = join(folder, "out");
        found.get(name).push(timed(command(path, output, scheme)));
        sums.add(sumOf(output));
        rmSync(output, { recursive: true });
      }
    const rows = [...found].map(([name, runs]) => summary(name, runs, size));
    console.log(`${scheme.padEnd(13)} ${rows.join("; ")}; bytes ${sums.size === 1 ? "equal" : "DIFFERENT"}`);
    if (sums.size > 1) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
