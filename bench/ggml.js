/**
 * Encodes weights (normal, outliers) in every format, by the program in WebAssembly and by ggml in turns, in CPU time of one thread.
 *   node bench/ggml.js [TYPE...] [--ggml PROGRAM] [--rounds 7] [--typescript] [--decode]
 * PROGRAM is scripts/peers/ggml-encode.c (scripts/peers/llama-quantize.sh builds it); its bytes are compared with ours. Values lie
 * in the program's memory, as those of a file are read. --typescript adds the speed of the TypeScript, --decode that of decoding.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GGML_FORMAT_NAMES, GGML_FORMATS, ggmlBuffers, ggmlBytes, WASM_FORMATS } from "../dist/kernels/ggml/index.js";
import { rng } from "../dist/numeric/rng.js";

const ROWS = 32;
const COLUMNS = 4096;
/** CPU time that one measurement should take at least. */
const SECONDS = 0.05;

const options = {
  ggml: { type: "string" },
  rounds: { type: "string", default: "7" },
  typescript: { type: "boolean" },
  decode: { type: "boolean" },
};
const { values: flags, positionals } = parseArgs({ options, allowPositionals: true });
const types = GGML_FORMAT_NAMES.filter(
  (type) => type !== "f32" && (positionals.length === 0 || positionals.includes(type)),
);

const draw = rng(1);
const plain = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => draw.normal() * (i % 128 === 0 ? 0.4 : 0.05));
const weights = Float32Array.from({ length: COLUMNS }, () => draw.uniform());
const buffers = ggmlBuffers(plain.length);
const values = buffers.values.subarray(0, plain.length);
values.set(plain);
const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-ggml-"));
const fileOf = (name) => join(folder, name);
writeFileSync(fileOf("values.f32"), new Uint8Array(plain.buffer));
writeFileSync(fileOf("weights.f32"), new Uint8Array(weights.buffer));

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const mean = (ratios) => Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** MB/s of float32 of so many runs. */
function speed(run, repeats) {
  const began = seconds();
  for (let i = 0; i < repeats; i++) run();
  return (repeats * plain.byteLength) / 1e6 / Math.max(seconds() - began, 1e-6);
}

/** Runs that fill `SECONDS`; the first ones let the runtime compile. */
function repeatsOf(run) {
  speed(run, 3);
  return Math.max(1, Math.ceil((SECONDS * speed(run, 3) * 1e6) / plain.byteLength));
}

/** MB/s of the program, and whether its bytes are those of `out`. */
function foreign(type, importance, repeats, out) {
  const files = [fileOf("values.f32"), importance ? fileOf("weights.f32") : "-", fileOf("out.bin")];
  const all = [GGML_FORMATS[type].id, COLUMNS, ...files, repeats].map(String);
  const { stdout } = spawnSync(flags.ggml, all, { encoding: "utf8" });
  return { speed: Number.parseFloat(stdout), equal: Buffer.compare(out, readFileSync(fileOf("out.bin"))) === 0 };
}

function measureTypeScript(type, importance) {
  if (!flags.typescript) return Number.NaN;
  const out = new Uint8Array(ggmlBytes(type, plain.length));
  const run = () => GGML_FORMATS[type].encode(plain, out, ROWS, COLUMNS, importance);
  return speed(run, repeatsOf(run));
}

function measureDecoding(type) {
  if (!flags.decode) return [];
  const blocks = buffers.output.subarray(0, ggmlBytes(type, plain.length));
  const back = new Float32Array(plain.length);
  const run = () => WASM_FORMATS[type].decode(blocks, buffers.values);
  const slow = () => GGML_FORMATS[type].decode(blocks, back);
  const speeds = [run, slow].map((one) => speed(one, repeatsOf(one)));
  values.set(plain);
  return speeds;
}

const columns = ["wasm", "ggml", "wasm/ggml"]
  .concat(flags.typescript ? ["TypeScript"] : [])
  .concat(flags.decode ? ["decode", "in TS"] : []);
const cell = (x) => (Number.isNaN(x) ? "-" : x.toFixed(Math.abs(x) < 100 ? 2 : 0)).padStart(11);

/** One line; answers the ratio to ggml. */
function measure(type, importance) {
  const out = buffers.output.subarray(0, ggmlBytes(type, plain.length));
  const run = () => WASM_FORMATS[type].encode(values, out, ROWS, COLUMNS, importance);
  const repeats = repeatsOf(run);
  const found = { wasm: [], ggml: [] };
  let equal = true;
  for (let round = 0; round < Number(flags.rounds); round++) {
    found.wasm.push(speed(run, repeats));
    if (flags.ggml === undefined) continue;
    const theirs = foreign(type, importance, Math.max(1, repeats >> 1), out);
    found.ggml.push(theirs.speed);
    equal &&= theirs.equal;
  }
  const [wasm, ggml] = [median(found.wasm), median(found.ggml) ?? Number.NaN];
  const more = flags.typescript ? [measureTypeScript(type, importance)] : [];
  const shown = [wasm, ggml, wasm / ggml, ...more, ...measureDecoding(type)].map(cell).join("");
  console.log(`${type.padEnd(8)} ${importance ? "im" : "  "}${shown}${equal ? "" : "  BYTES DIFFER"}`);
  return wasm / ggml;
}

console.log(`type       ${columns.map((name) => name.padStart(11)).join("")}   MB/s`);
const ratios = types.map((type) => {
  const { importance } = GGML_FORMATS[type];
  const cases = importance === "required" ? [weights] : importance === "ignored" ? [undefined] : [undefined, weights];
  return cases.map((each) => measure(type, each));
});
if (flags.ggml !== undefined) {
  const worst = ratios.flat().indexOf(Math.min(...ratios.flat()));
  const named = types.flatMap((type, i) => ratios[i].map((ratio) => `${type} ${ratio.toFixed(2)}`));
  console.log(
    `${types.length} types, geometric mean ${mean(ratios.map(mean)).toFixed(2)}x ggml, worst ${named[worst]}`,
  );
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
rmSync(folder, { recursive: true });
