/**
 * Types chosen by measured error against llama-quantize's mixes of the same size, on the project's own language model:
 * distance from the float model's answers (Kullback-Leibler, nats a token) and perplexity, on text it has not seen.
 *
 *   npm run build && node scripts/train-language-model.js --data ../shared/data/wikitext-2 -o language-model
 *   node bench/target-size.js [--model language-model] [--data ../shared/data/wikitext-2] [--windows 32] [--imatrix]
 *        [--schemes q4_k_m,q3_k_m] [--threads 1]
 *
 * Weights are encoded as GGUF and decoded again; ONNX Runtime computes with them in float32. `error` is the mean that a
 * target makes least. With --imatrix importance is measured on the text the model learned from.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeHost } from "../dist/node/host.js";
import { openModelFile } from "../dist/node/open-model.js";
import {
  bytesSource,
  decodeGgml,
  floatsOf,
  planTarget,
  planWeights,
  quantizeWeights,
  readAll,
  withTaps,
} from "../dist/pipeline/index.js";
import { encoder } from "../dist/pipeline/train/index.js";
import { errorWeights } from "../dist/recipes/ggml/index.js";
import { printTable } from "./tools.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "language-model" },
    data: { type: "string", default: "../shared/data/wikitext-2" },
    windows: { type: "string", default: "32" },
    schemes: { type: "string", default: "q6_k,q5_k_m,q4_k_m,q4_k_s,iq4_xs,q3_k_m,q2_k" },
    imatrix: { type: "boolean", default: false },
    threads: { type: "string", default: "1" },
  },
});
const [CONTEXT, ROWS] = [256, 4];
const WINDOWS = Number(values.windows);
/** Windows of the learned text that importance is measured on. */
const MEASURED = 32;

const host = await nodeHost({ threads: Number(values.threads) }, new AbortController().signal);
const { model } = await openModelFile(join(values.model, "model.onnx"));
const encode = encoder(JSON.parse(readFileSync(join(values.model, "tokenizer.json"), "utf8")));
const text = (name) => readFileSync(join(values.data, name), "utf8");

/** llama.cpp's names of the layers' matrices. */
const PARTS = {
  ...{ "attention.query": "attn_q", "attention.key": "attn_k", "attention.value": "attn_v" },
  ...{ "attention.output": "attn_output", "mlp.gate": "ffn_gate", "mlp.up": "ffn_up", "mlp.down": "ffn_down" },
};
const nameOf = (name) =>
  name === "embedding.weight"
    ? "token_embd.weight"
    : name.replace(/^block\.(\d+)\.(.*)\.weight$/, (_, layer, part) => `blk.${layer}.${PARTS[part]}.weight`);

/** Rows become columns; ONNX multiplies with [inputs, outputs], ggml with [outputs, inputs]. */
function transposed(from, rows, columns) {
  const to = new Float32Array(from.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
  return to;
}
const bytesOf = (floats) => new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
const floats = async ({ data }) => floatsOf(new Float32Array((await readAll(data)).slice().buffer), "float32");

const matrices = [...model.graph.tensors.values()].filter(
  ({ shape, name }) => shape.length === 2 && !/rotary/.test(name),
);
const isTable = ({ name }) => name === "embedding.weight";
const original = new Map();
for (const tensor of matrices) {
  const [rows, columns] = tensor.shape;
  const own = await floats(tensor);
  const [data, shape] = isTable(tensor) ? [own, [rows, columns]] : [transposed(own, rows, columns), [columns, rows]];
  const name = nameOf(tensor.name);
  original.set(name, { name, type: "float32", shape, data: bytesSource(bytesOf(data)) });
}
const layers = new Set([...original.keys()].map((name) => /^blk\.(\d+)/.exec(name)?.[1]).filter(Boolean)).size;
const uint = (value) => ({ type: "uint32", value });
const metadata = new Map([
  ["general.architecture", { type: "string", value: "llama" }],
  ["llama.block_count", uint(layers)],
  ["llama.attention.head_count", uint(8)],
  ["llama.attention.head_count_kv", uint(4)],
]);
const file = { container: "gguf", formatVersion: 3, metadata, tensors: original };

/** Values of a model for the first windows of a text. */
async function run(form, tokens, windows, outputs) {
  const staged = await host.stage(form, "m.onnx", "scratch");
  const session = await host.engine.open(staged.place, { threads: Number(values.threads) });
  const all = [];
  for (let at = 0; at < windows; at += ROWS) {
    const ids = BigInt64Array.from(tokens.subarray(at * CONTEXT, (at + ROWS) * CONTEXT), BigInt);
    all.push(await session.run({ ids: { dtype: "int64", shape: [ROWS, CONTEXT], data: ids } }, outputs));
  }
  await session.close();
  await staged[Symbol.asyncDispose]();
  return all;
}

/** Mean squares of what each matrix is multiplied with; the table is left out, as llama-imatrix leaves it out. */
async function measureImportance() {
  const inputs = new Map(
    model.graph.nodes.flatMap(({ op, inputs: [input, weight] }) =>
      op === "MatMul" && matrices.some(({ name }) => name === weight) ? [[nameOf(weight), input]] : [],
    ),
  );
  const taps = [...new Set(inputs.values())];
  const runs = await run(withTaps(model, taps), encode(text("valid.txt").slice(0, 100_000)), MEASURED, taps);
  const entries = [...inputs].map(([name, input]) => {
    const columns = original.get(name).shape[1];
    const sums = new Float64Array(columns);
    for (const {
      [input]: { data },
    } of runs)
      for (let i = 0; i < data.length; i++) sums[i % columns] += data[i] ** 2;
    const means = Float32Array.from(sums, (sum) => sum / (MEASURED * CONTEXT));
    return [name, { length: columns, matrices: 1, read: async () => means }];
  });
  return { path: "imatrix.gguf", matrix: { datasets: ["valid.txt"], chunks: MEASURED, entries: new Map(entries) } };
}

/** ln p of every token of a vocabulary, in place. */
function logSoftmax(row) {
  const most = row.reduce((a, b) => Math.max(a, b));
  const sum = row.reduce((so, each) => so + Math.exp(each - most), 0);
  const shift = most + Math.log(sum);
  return row.map((each) => each - shift);
}

const asked = encode(text("test.txt").slice(0, 8 * CONTEXT * (WINDOWS + 1)));
const reference = await run(model, asked, WINDOWS, ["logits"]);

/** Nats a token from the float model, and perplexity. */
function judge(answers) {
  let [distance, surprise, count, place] = [0, 0, 0, 0];
  for (const [i, { logits }] of answers.entries()) {
    const width = logits.shape.at(-1);
    for (let at = 0; at < logits.data.length; at += width, place++) {
      const [p, q] = [reference[i].logits, logits].map(({ data }) => logSoftmax(data.subarray(at, at + width)));
      for (let t = 0; t < width; t++) distance += Math.exp(p[t]) * (p[t] - q[t]);
      // the token behind a window belongs to the next one
      if (place % CONTEXT === CONTEXT - 1) continue;
      surprise -= q[asked[place + 1]];
      count++;
    }
  }
  return { distance: distance / place, perplexity: Math.exp(surprise / count) };
}

/** The ONNX model with the weights that a plan's file holds. */
async function measure(plan, options) {
  const { file: quantized } = await quantizeWeights(file, plan, options);
  const tensors = new Map(model.graph.tensors);
  for (const tensor of matrices) {
    const { name, type, shape, data } = quantized.tensors.get(nameOf(tensor.name));
    const [rows, columns] = shape;
    const back = new Float32Array(rows * columns);
    const stored = { float32: "f32", float16: "f16", bfloat16: "bf16" }[type] ?? type;
    decodeGgml(stored, await readAll(data), back, name);
    const own = isTable(tensor) ? back : transposed(back, rows, columns);
    tensors.set(tensor.name, { ...tensor, data: bytesSource(bytesOf(own)) });
  }
  return judge(await run({ ...model, graph: { ...model.graph, tensors } }, asked, WINDOWS, ["logits"]));
}

const options = values.imatrix ? { importance: await measureImportance() } : {};
const measured = new Map();
const weightOf = errorWeights([...original.values()]);
const note = (name, each) => {
  const errors = { ...measured.get(name)?.errors, ...each.errors };
  measured.set(name, { ...each, errors });
};

/** The mean that a target makes least, for types that were measured. */
async function meanError({ tensors }) {
  const types = [...new Set(tensors.flatMap(({ format }) => format ?? []))];
  await planTarget(file, { bitsPerWeight: 32 }, { ...options, types, measured, onMeasured: note });
  const all = tensors.filter(({ name }) => measured.has(name));
  const sum = all.reduce(
    (so, { name, format }) => so + weightOf({ name }) * (measured.get(name).errors[format] ?? 0),
    0,
  );
  return sum / all.reduce((so, { name }) => so + weightOf({ name }), 0);
}

const rows = [];
const share = (value) => `${(100 * value).toPrecision(3)} %`;
for (const scheme of values.schemes.split(",")) {
  const mix = planWeights(file, scheme, options);
  const plan = await planTarget(file, { bytes: mix.size }, { ...options, measured, onMeasured: note });
  const [before, after] = [await measure(mix, options), await measure(plan, options)];
  const gain = before.distance / after.distance;
  rows.push({
    "size of": scheme,
    bytes: mix.size,
    target: plan.size,
    error: `${share(await meanError(mix))} -> ${share(plan.error)}`,
    "nats from float": `${before.distance.toExponential(2)} -> ${after.distance.toExponential(2)}`,
    closer: `${gain.toFixed(2)}x`,
    perplexity: `${before.perplexity.toFixed(3)} -> ${after.perplexity.toFixed(3)}`,
  });
  console.error(Object.values(rows.at(-1)).join("  "));
}
console.log(`float: perplexity ${judge(reference).perplexity.toFixed(3)} on ${WINDOWS * CONTEXT} tokens`);
printTable(rows);
process.exit(0);
