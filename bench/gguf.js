/**
 * fewbit quantize against llama-quantize: whole processes, in turns, --pure, one and two threads, megabytes of float32 per
 * second of time on the clock.
 *   node bench/gguf.js DRIVER [--rounds N] [--threads 1,2] [--scale X] [file type ...]
 * DRIVER is built by scripts/peers/llama-quantize.sh. Types that are slow in C get smaller models (SIZES); --scale
 * multiplies the sizes. Types that want importance get made-up importance, both programs the same.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FILE_TYPES } from "../dist/recipes/ggml/index.js";
import { writeImportance, writeModel } from "./gguf/model.js";
import { median, ours, theirs, timed } from "./gguf/programs.js";

/** Bytes of the models, and the file types whose one type is encoded from each. */
const SIZES = [
  [1e9, ["f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "q2_0", "q1_0", "tq2_0", "tq1_0", "mxfp4_moe"]],
  [600e6, ["q6_k", "q5_k_s", "q4_k_s", "q3_k_s", "q2_k"]],
  [200e6, ["iq4_nl", "iq4_xs", "iq3_s", "iq3_xxs", "iq2_m", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"]],
];
/** Types that are not made without importance; the others are measured without. */
const WEIGHTED = new Set(["iq3_xxs", "iq2_m", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"]);
/** What the ratio of no type should fall below. */
const LEAST = 0.85;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" }, threads: { type: "string" }, scale: { type: "string" } },
});
const [driver, ...wanted] = positionals;
if (driver === undefined)
  throw new Error("name the driver of llama-quantize; scripts/peers/llama-quantize.sh builds it");
const rounds = Number(flags.rounds ?? 3);
const threadCounts = (flags.threads ?? "1,2").split(",").map(Number);
const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-"));
const at = (name) => join(folder, name);

function measure(scheme, threads, size) {
  const weighted = WEIGHTED.has(scheme);
  const commands = {
    own: ours(at("model.gguf"), at("own.gguf"), scheme, threads, [
      "--pure",
      ...(weighted ? ["--imatrix", at("importance.dat")] : []),
    ]),
    foreign: theirs(driver, at("model.gguf"), at("foreign.gguf"), scheme, threads, [
      "pure",
      ...(weighted ? importance : []),
    ]),
  };
  // writing over a file takes longer than a new one, for both
  const run = (side) => {
    rmSync(at(`${side}.gguf`), { force: true });
    return timed(commands[side]);
  };
  const runs = Array.from({ length: rounds }, () => ({ own: run("own"), foreign: run("foreign") }));
  const of = (side, key) => median(runs.map((run) => run[side][key]));
  const speed = (side) => size / 1e6 / of(side, "seconds");
  const ratio = speed("own") / speed("foreign");
  const equal = readFileSync(at("own.gguf")).equals(readFileSync(at("foreign.gguf")));
  const cells = [
    ...[scheme.padEnd(10), FILE_TYPES[scheme].type.padEnd(8), String(threads).padEnd(7)],
    ...[
      speed("own").toFixed(0).padStart(7),
      speed("foreign").toFixed(0).padStart(9),
      `${ratio.toFixed(2)}x`.padStart(8),
    ],
    `${(of("foreign", "cpu") / of("own", "cpu")).toFixed(2)}x`.padStart(8),
    ...[of("own", "megabytes").toFixed(0).padStart(8), of("foreign", "megabytes").toFixed(0).padStart(8)],
    equal ? "  equal" : "  DIFFERENT",
  ];
  console.log(cells.join(" "));
  return { scheme, threads, ratio };
}

let importance = [];
const found = [];
try {
  console.log(`${rounds} rounds, medians; MB of float32 per second, MB of resident memory at the peak`);
  console.log("file type  type     threads  fewbit     llama    ratio CPU ratio   MB own    llama");
  for (const [bytes, schemes] of SIZES) {
    const chosen = schemes.filter((scheme) => wanted.length === 0 || wanted.includes(scheme));
    if (chosen.length === 0) continue;
    const { size, shapes } = writeModel(at("model.gguf"), { bytes: bytes * Number(flags.scale ?? 1) });
    importance = writeImportance(shapes, at("importance.dat"), at("importance.bin"));
    console.log(`model of ${(size / 1e6).toFixed(0)} MB`);
    for (const scheme of chosen) for (const threads of threadCounts) found.push(measure(scheme, threads, size));
  }
  for (const threads of threadCounts) {
    const own = found.filter((row) => row.threads === threads);
    const mean = Math.exp(own.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / own.length);
    const lost = own.filter(({ ratio }) => ratio < LEAST).map(({ scheme, ratio }) => `${scheme} ${ratio.toFixed(2)}x`);
    console.log(
      `${threads} threads: geometric mean ${mean.toFixed(2)}x over ${own.length} types; below ${LEAST}x: ${lost.join(", ") || "none"}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
