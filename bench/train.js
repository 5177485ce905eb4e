/**
 * Training speed against other people's trainers: the same networks, starting weights and batches of 64 in float32 with Adam,
 * each contender in a process of its own, taking turns.
 *
 *   npm install --prefix bench/train
 *   npm run build && node bench/train.js [--python PYTHON] [--model mlp|cnn] [--only REGEX] [--rounds 5] [--seconds 2]
 *
 * mlp: 784-256-128-10, 235,146 parameters. cnn: on 28x28, two 3x3 convolutions of 16 and 32 channels, each with Relu and
 * 2x2 max pooling, then 1568-64-10, 105,866 parameters. PYTHON must have torch. Prints a table for each network: medians
 * over the rounds, the range of the rounds, how many times as fast the first row is, processor time of all threads (which
 * says more than the clock where others use the machine), peak memory of the whole process (needs GNU time), and the loss
 * at the third step, which is the same for all who do the same work.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median, megabytes, PEERS, printTable, timedProcess } from "./tools.js";

const { values } = parseArgs({
  options: {
    python: { type: "string" },
    model: { type: "string" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
  },
});
const FOLDER = fileURLToPath(new URL("train/", import.meta.url));
const TORCH = join(PEERS, "train-torch.py");

/** WebAssembly is compiled as far as it would be after a while, before it runs: a round is too short to wait for that. */
const program = (file, needs) => ({
  command: [process.execPath, "--no-liftoff", join(FOLDER, file)],
  missing: needs.some((name) => !existsSync(join(FOLDER, "node_modules", name))) && "npm install --prefix bench/train",
});
const torch = { command: [values.python, TORCH], missing: !values.python && "--python PYTHON, one that has torch" };
const fewbit = program("fewbit.js", []);
const tfjs = program("tfjs.js", ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"]);

/** The first one is compared with all others. */
const CONTENDERS = [
  { name: "fewbit, native engine", ...fewbit, variant: "ort-node" },
  { name: "fewbit, wasm engine", ...fewbit, variant: "ort-web" },
  { name: "TensorFlow.js wasm", ...tfjs, variant: "wasm" },
  { name: "TensorFlow.js cpu", ...tfjs, variant: "cpu" },
  { name: "jax-js wasm", ...program("jax-js.js", ["@jax-js/jax"]), variant: "wasm" },
  { name: "PyTorch", ...torch, variant: "plain" },
  { name: "PyTorch, channels last, fused Adam, no denormals", ...torch, variant: "tuned" },
  { name: "fewbit, native engine", ...fewbit, variant: "ort-node", threads: 2 },
  { name: "PyTorch", ...torch, variant: "plain", threads: 2 },
  { name: "PyTorch, channels last, fused Adam, no denormals", ...torch, variant: "tuned", threads: 2 },
].map(({ threads = 1, ...rest }) => ({
  ...rest,
  threads,
  title: `${rest.name}, ${threads} thread${"s".slice(threads < 2)}`,
}));

/** One round of one contender: what it printed, or why it can't. */
function once({ command: [program, ...start], variant, threads }, model) {
  const args = [
    ...start,
    "--model",
    model,
    "--seconds",
    values.seconds,
    "--threads",
    String(threads),
    "--variant",
    variant,
  ];
  try {
    const { stdout, peak } = timedProcess(program, args);
    return { ...JSON.parse(stdout.trim().split("\n").at(-1)), peak };
  } catch (error) {
    return { failure: /^\w*Error: (.*)$/m.exec(error.message.split("\n").slice(1).join("\n"))?.[1] ?? error.message };
  }
}

/** Rounds in turns. Who can't, and who needs longer for a step than a round lasts, takes part in the first one only. */
function rounds(contenders, model) {
  const runs = new Map(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [contender, own] of runs) {
      const [first] = own;
      if (first?.failure === undefined && !(first?.msPerStep > 1000 * Number(values.seconds)))
        own.push(once(contender, model));
    }
  return runs;
}

const whole = (value) => Math.round(value).toLocaleString("en");
const middle = (runs, key) => median(runs.map((run) => run[key]));

function row(title, runs, best) {
  const speeds = runs.map(({ samplesPerSecond }) => samplesPerSecond);
  return {
    contender: title,
    "samples/s": whole(median(speeds)),
    range: runs.length === 1 ? "one round" : `${whole(Math.min(...speeds))} to ${whole(Math.max(...speeds))}`,
    "first row is": `${(best / median(speeds)).toPrecision(3)}x`,
    "ms/step": middle(runs, "msPerStep").toFixed(2),
    "CPU ms/step": middle(runs, "cpuMsPerStep").toFixed(2),
    "samples/CPU s": whole(64_000 / middle(runs, "cpuMsPerStep")),
    "peak MB": megabytes(middle(runs, "peak")),
    loss: middle(runs, "loss").toFixed(4),
  };
}

function compare(model, contenders) {
  console.log(`\n${model}, batch 64`);
  const all = [...rounds(contenders, model)];
  const able = all.filter(([, [first]]) => first.failure === undefined);
  if (able.length > 0) {
    const best = middle(able[0][1], "samplesPerSecond");
    printTable(able.map(([{ title }, runs]) => row(title, runs, best)));
  }
  for (const [{ title }, [{ failure }]] of all) if (failure) console.log(`${title} can't: ${failure}`);
}

const wanted = CONTENDERS.filter(({ title }) => new RegExp(values.only).test(title));
for (const { title, missing } of wanted) if (missing) console.log(`${title} is skipped; it needs: ${missing}`);
const present = wanted.filter(({ missing }) => !missing);
for (const model of values.model ? [values.model] : ["mlp", "cnn"]) compare(model, present);
