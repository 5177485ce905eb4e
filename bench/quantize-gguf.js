/**
 * Whole files: fewbit quantize against llama-quantize's driver (scripts/peers/llama-quantize.sh), one thread each, in turns.
 * node bench/quantize-gguf.js DRIVER [scheme ...]; seconds of whole processes, their peak memory, and whether the files are equal.
 */
import { spawnSync } from "node:child_process";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { encodeGguf } from "../dist/containers/gguf/index.js";
import { bytesSource } from "../dist/ir/source.js";
import { FILE_TYPES } from "../dist/recipes/ggml/index.js";

const [driver, ...wanted] = process.argv.slice(2);
const schemes = wanted.length > 0 ? wanted : ["q8_0", "q4_0", "q4_k_m", "q5_k_m", "q6_k", "q3_k_m", "q2_k", "iq4_xs"];
const ROUNDS = 3;
const [WIDTH, INNER, VOCABULARY, LAYERS] = [1024, 2816, 8192, 2];
const FEWBIT = resolve(import.meta.dirname, "../bin/fewbit.js");
const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-"));
const model = join(folder, "model.gguf");

/** Sums of uniform numbers, a few of them large. */
function weights(count) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next()) * (next() > 0.98 ? 0.3 : 0.02));
}

const shapes = [
  ["token_embd.weight", [VOCABULARY, WIDTH]],
  ...Array.from({ length: LAYERS }, (_, layer) =>
    [
      ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => [name, [WIDTH, WIDTH]]),
      ...["ffn_up", "ffn_gate"].map((name) => [name, [INNER, WIDTH]]),
      ["ffn_down", [WIDTH, INNER]],
      ["attn_norm", [WIDTH]],
    ].map(([name, shape]) => [`blk.${layer}.${name}.weight`, shape]),
  ).flat(),
  ["output.weight", [VOCABULARY, WIDTH]],
];

async function writeModel() {
  const keys = { context_length: 64, embedding_length: WIDTH, block_count: LAYERS, feed_forward_length: INNER };
  const heads = { "attention.head_count": 16, "attention.head_count_kv": 16 };
  const metadata = new Map([
    ["general.architecture", { type: "string", value: "llama" }],
    ...Object.entries({ ...keys, ...heads }).map(([key, value]) => [`llama.${key}`, { type: "uint32", value }]),
    ["llama.attention.layer_norm_rms_epsilon", { type: "float32", value: Math.fround(1e-5) }],
  ]);
  const tensors = shapes.map(([name, shape]) => {
    const data = bytesSource(new Uint8Array(weights(shape.reduce((a, b) => a * b, 1)).buffer));
    return [name, { name, type: "float32", shape, data }];
  });
  const [file] = encodeGguf({ container: "gguf", formatVersion: 3, metadata, tensors: new Map(tensors) });
  const out = createWriteStream(model);
  for await (const chunk of file.chunks()) if (!out.write(chunk)) await new Promise((done) => out.once("drain", done));
  await new Promise((done) => out.end(done));
  return file.size;
}

/** Seconds and peak megabytes of a process, as GNU time tells them. */
function timed(command) {
  const { status, stderr } = spawnSync("/usr/bin/time", ["-f", "%e %M %U", ...command], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const [seconds, kilobytes, user] = stderr.trim().split("\n").at(-1).split(" ").map(Number);
  return { seconds, megabytes: kilobytes / 1000, user };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

function measure(scheme) {
  const [own, foreign] = [join(folder, "own.gguf"), join(folder, "foreign.gguf")];
  const commands = {
    own: [process.execPath, FEWBIT, "quantize", model, "-s", scheme, "-o", own, "--json", "--quiet"],
    foreign: [driver, model, foreign, String(FILE_TYPES[scheme].id), "1"],
  };
  const runs = Array.from({ length: ROUNDS }, () => ({ own: timed(commands.own), foreign: timed(commands.foreign) }));
  const of = (side, key) => median(runs.map((run) => run[side][key]));
  const equal = readFileSync(own).equals(readFileSync(foreign));
  const row = (side) =>
    `${of(side, "seconds").toFixed(2)} s (${of(side, "user").toFixed(2)} s CPU, ${of(side, "megabytes").toFixed(0)} MB)`;
  const ratio = of("foreign", "seconds") / of("own", "seconds");
  const cpu = of("foreign", "user") / of("own", "user");
  console.log(
    `${scheme}: fewbit ${row("own")}, llama-quantize ${row("foreign")}, ${ratio.toFixed(2)}x, CPU ${cpu.toFixed(2)}x, ${equal ? "equal" : "DIFFERENT"}`,
  );
}

console.log(`model of ${((await writeModel()) / 1e6).toFixed(0)} MB of float32, ${ROUNDS} rounds`);
try {
  for (const scheme of schemes) measure(scheme);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
