/**
 * Quantizing 100 million parameters (402 MB, external data), whole processes, taking turns: onnxruntime's Python tools, the same
 * work by fewbit (bench/convert.js; for w4 also with plain rounding, which is what the other tool does), and `fewbit quantize`, which
 * also runs and measures what it made. Then what the result is worth: cost cut = 1 - 1/(speed-up x memory ratio), one thread,
 * M rows of activations.
 *
 *   python scripts/peers/make-large.py FOLDER
 *   npm run build && node bench/quantize-large.js FOLDER [--python PYTHON] [--rounds 3]
 *
 * Prints two tables. Without --python only fewbit is measured. Peak memory needs GNU time.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interleave } from "../dist/engines/timing.js";
import {
  CLI,
  footprint,
  int64,
  median,
  megabytes,
  modelBytes,
  openModel,
  PEERS,
  printTable,
  timedProcess,
} from "./tools.js";

const SCHEMES = ["w8a8-dynamic", "w4"];
/** Larger groups: faster and smaller, less accurate. Only what the result is worth is measured. */
const FAST = "w4:mse:128";
const CONVERT = fileURLToPath(new URL("convert.js", import.meta.url));
const ROWS = [1, 16, 128];
const INPUT = "input_ids";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { python: { type: "string" }, rounds: { type: "string", default: "3" } },
});
const folder = positionals[0];
if (folder === undefined) throw new Error("usage: node bench/quantize-large.js FOLDER [--python PYTHON] [--rounds N]");
const model = join(folder, "model.onnx");

const outputOf = (tool, scheme) => join(folder, tool, scheme, "model.onnx");
const node = process.execPath;
const convert = (wish) => (_, output) => [node, [CONVERT, wish, model, output]];
const command = (scheme, output) => [
  node,
  [CLI, "quantize", model, "-s", scheme, "-o", output, "--no-report", "--force", "--json"],
];
const peer = (scheme, output) => [values.python, [join(PEERS, "ort-quantize.py"), scheme, model, output, "--external"]];

/** What takes part in a scheme, by name: from scheme and output to a command line. */
const toolsFor = (scheme) => ({
  ...(values.python && { onnxruntime: peer }),
  converting: convert(scheme),
  ...(scheme === "w4" && { "converting-rtn": convert("w4:rtn") }),
  fewbit: command,
});

/** One round of one scheme: each tool writes into an empty folder. */
function quantizeOnce(scheme) {
  return Object.entries(toolsFor(scheme)).map(([tool, commandLine]) => {
    const output = outputOf(tool, scheme);
    rmSync(join(output, ".."), { recursive: true, force: true });
    mkdirSync(join(output, ".."), { recursive: true });
    return { tool, ...timedProcess(...commandLine(scheme, output)) };
  });
}

function quantizing() {
  const rows = [];
  for (const scheme of SCHEMES) {
    const runs = Array.from({ length: Number(values.rounds) }, () => quantizeOnce(scheme)).flat();
    for (const tool of Object.keys(toolsFor(scheme))) {
      const own = runs.filter((run) => run.tool === tool);
      rows.push({
        scheme,
        tool,
        "seconds (median)": median(own.map(({ seconds }) => seconds)).toFixed(2),
        "peak MB": megabytes(median(own.map(({ peak }) => peak))),
        "output MB": megabytes(modelBytes(outputOf(tool, scheme))),
      });
    }
  }
  printTable(rows);
}

/** Median ms at each number of rows, models taking turns. */
async function latencies(paths) {
  const sessions = await Promise.all(paths.map(openModel));
  const times = [];
  for (const length of ROWS) {
    const feeds = { [INPUT]: await int64(new Array(length).fill(7), [1, length]) };
    const runners = sessions.map((session, i) => ({ name: paths[i], run: () => session.run(feeds) }));
    times.push(await interleave(runners, { rounds: 30, budgetMs: 60_000 }));
  }
  return times;
}

async function worth() {
  const fast = outputOf("converting", FAST.replaceAll(":", "-"));
  mkdirSync(join(fast, ".."), { recursive: true });
  timedProcess(...convert(FAST)(FAST, fast));
  const paths = [model, ...SCHEMES.map((scheme) => outputOf("fewbit", scheme)), fast];
  const memory = [];
  for (const path of paths) memory.push(await footprint(path, [INPUT], 1));
  const times = await latencies(paths);
  const rows = paths.map((_, i) => {
    const ratio = memory[0].resident / memory[i].resident;
    const speed = times.map((timings) => timings[0].median / timings[i].median);
    return {
      model: ["fp32", ...SCHEMES, FAST][i],
      "resident MB": megabytes(memory[i].resident),
      "load ms": memory[i].load.toFixed(0),
      ...Object.fromEntries(ROWS.map((rows, k) => [`ms, M=${rows}`, times[k][i].median.toFixed(2)])),
      ...Object.fromEntries(ROWS.map((rows, k) => [`speed-up ${rows}`, `${speed[k].toFixed(2)}x`])),
      ...Object.fromEntries(
        ROWS.map((rows, k) => [`cost cut ${rows}`, `${(100 - 100 / (speed[k] * ratio)).toFixed(1)} %`]),
      ),
    };
  });
  printTable(rows);
}

quantizing();
console.log();
await worth();
