/**
 * Encodes weights (normal, outliers) in every format, TypeScript and WebAssembly in turns, in CPU time of this process.
 *   node bench/ggml.js [TYPE...] [--ggml PROGRAM]
 * PROGRAM is run as `PROGRAM TYPE_ID COLUMNS VALUES.f32 IMPORTANCE.f32|- OUTPUT.bin - REPEATS`, encodes with ggml_quantize_chunk
 * on one thread, prints "N MB/s" of CPU time and writes the bytes, which are compared.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GGML_FORMAT_NAMES, GGML_FORMATS, ggmlBytes, WASM_FORMATS } from "../dist/kernels/ggml/index.js";
import { rng } from "../dist/numeric/rng.js";

const ROUNDS = 7;
const ROWS = 32;
const COLUMNS = 4096;
/** How often one measurement encodes all values, in TypeScript; WebAssembly does it five times at least. */
const SLOW_REPEATS = 1;
const FAST_REPEATS = 20;

const at = process.argv.indexOf("--ggml");
const program = at < 0 ? undefined : process.argv[at + 1];
const wanted = process.argv.slice(2, at < 0 ? undefined : at);
const types = GGML_FORMAT_NAMES.filter((type) => type !== "f32" && (wanted.length === 0 || wanted.includes(type)));

const draw = rng(1);
const values = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => draw.normal() * (i % 128 === 0 ? 0.4 : 0.05));
const weights = Float32Array.from({ length: COLUMNS }, () => draw.uniform());
const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-ggml-"));
const fileOf = (name) => join(folder, name);
writeFileSync(fileOf("values.f32"), new Uint8Array(values.buffer));
writeFileSync(fileOf("weights.f32"), new Uint8Array(weights.buffer));

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** MB/s of float32 that one table encodes. */
function speed(formats, type, importance, repeats, out) {
  const began = seconds();
  for (let i = 0; i < repeats; i++) formats[type].encode(values, out, ROWS, COLUMNS, importance);
  return (repeats * values.byteLength) / 1e6 / Math.max(seconds() - began, 1e-3);
}

/** MB/s of the program, and whether its bytes are those of `out`. */
function foreign(type, importance, repeats, out) {
  const { id } = GGML_FORMATS[type];
  const files = [fileOf("values.f32"), importance ? fileOf("weights.f32") : "-", fileOf("out.bin"), "-"];
  const { stdout } = spawnSync(program, [id, COLUMNS, ...files, repeats].map(String), { encoding: "utf8" });
  return { speed: Number.parseFloat(stdout), equal: Buffer.compare(out, readFileSync(fileOf("out.bin"))) === 0 };
}

function measure(type, importance) {
  const out = new Uint8Array(ggmlBytes(type, values.length));
  const repeats = speed(GGML_FORMATS, type, importance, 1, out) < 50 ? SLOW_REPEATS : FAST_REPEATS;
  const found = { typescript: [], wasm: [], ggml: [] };
  let equal = true;
  for (let round = 0; round < ROUNDS; round++) {
    found.typescript.push(speed(GGML_FORMATS, type, importance, repeats, out));
    if (WASM_FORMATS[type] !== GGML_FORMATS[type])
      found.wasm.push(speed(WASM_FORMATS, type, importance, Math.max(repeats, 5), out));
    if (program === undefined) continue;
    const theirs = foreign(type, importance, Math.max(repeats, 3), out);
    found.ggml.push(theirs.speed);
    equal &&= theirs.equal;
  }
  const [typescript, wasm, ggml] = Object.values(found).map((speeds) => median(speeds) ?? Number.NaN);
  const shown = [typescript, wasm, ggml].map((x) => (Number.isNaN(x) ? "-" : x.toFixed(1)).padStart(10));
  const ratio = (Number.isNaN(wasm) ? "-" : (wasm / typescript).toFixed(1)).padStart(8);
  console.log(
    `${type.padEnd(8)} ${importance ? "im" : "  "} ${shown.join("")}${ratio} ${equal ? "" : " BYTES DIFFER"}`,
  );
}

console.log(
  `type        ${["TypeScript", "wasm", "ggml", "wasm/TS"].map((name) => name.padStart(10)).join("")}   MB/s`,
);
for (const type of types) {
  const { importance } = GGML_FORMATS[type];
  if (importance !== "required") measure(type);
  if (importance !== "ignored") measure(type, weights);
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
rmSync(folder, { recursive: true });
