/**
 * What reading and writing weights costs: a header with a large vocabulary, and gigabytes of computed tensors through the
 * writers into a file. Prints times and the peak of memory.
 *   node bench/weights.js [GIGABYTES, 2]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openWeights } from "../dist/node/open-weights.js";
import { writeWeights } from "../dist/node/write-weights.js";

const gigabytes = Number(process.argv[2] ?? 2);
const folder = await mkdtemp(join(tmpdir(), "fewbit-weights-"));
const peak = () => `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at most so far`;

async function timed(what, work) {
  const began = performance.now();
  const result = await work();
  console.log(`${what}: ${((performance.now() - began) / 1000).toFixed(2)} s, ${peak()}`);
  return result;
}

const TENSOR_BYTES = 64 * 2 ** 20;
const computed = (name) => ({
  name,
  type: "float32",
  shape: [4096, TENSOR_BYTES / 4 / 4096],
  data: {
    size: TENSOR_BYTES,
    read: async (offset, length) => new Uint8Array(TENSOR_BYTES).fill(name.length).subarray(offset, offset + length),
  },
});
const names = Array.from({ length: Math.round((gigabytes * 2 ** 30) / TENSOR_BYTES) }, (_, i) => `blk.${i}.weight`);
const tensors = new Map(names.map((name) => [name, computed(name)]));
const texts = (count, text) => ({
  type: "array",
  of: "string",
  value: Array.from({ length: count }, (_, i) => text(i)),
});

const vocabulary = new Map([
  ["tokenizer.ggml.tokens", texts(262_144, (i) => `▁token${i}`)],
  ["tokenizer.ggml.merges", texts(500_000, (i) => `▁a${i} b${i}`)],
  ["tokenizer.ggml.scores", { type: "array", of: "float32", value: new Float32Array(262_144) }],
]);

try {
  const weights = { container: "gguf", formatVersion: 3, metadata: vocabulary, tensors: new Map() };
  const path = join(folder, "vocabulary.gguf");
  await timed("vocabulary written", () => writeWeights(weights, path));
  for (let i = 0; i < 3; i++) await timed("vocabulary read", async () => (await openWeights(path)).close());
  for (const name of ["m.gguf", "m.safetensors"]) {
    const large = { ...weights, metadata: new Map(), tensors };
    await timed(`${gigabytes} GiB written as ${name}`, () => writeWeights(large, join(folder, name)));
    await rm(join(folder, name));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
