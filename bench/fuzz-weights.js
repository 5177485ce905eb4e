/**
 * Reads damaged headers of GGUF and safetensors files, many times: each must end in one clear error, or in a file that
 * is written and read again the same. Prints counts, the longest time of one file and the peak of memory.
 *   node bench/fuzz-weights.js [FILES of each container, 100000] [SEED]
 */
import { encodeGguf, readGguf } from "../dist/containers/gguf/index.js";
import { encodeSafetensors, readSafetensors } from "../dist/containers/safetensors/index.js";
import { bytesSource, readAll } from "../dist/ir/source.js";
import { storedBytes } from "../dist/ir/tensor-file.js";
import { FewbitError } from "../dist/numeric/errors.js";
import { rng } from "../dist/numeric/rng.js";

const [count = 100_000, seed = 1] = process.argv.slice(2).map(Number);
const tensor = (name, type, shape) => {
  const data = bytesSource(new Uint8Array(storedBytes(type, shape, name)).fill(name.length));
  return [name, { name, type, shape, data }];
};
const text = (value) => ({ type: "string", value });

const richGguf = {
  container: "gguf",
  formatVersion: 3,
  metadata: new Map([
    ["general.architecture", text("llama")],
    ["general.alignment", { type: "uint32", value: 64 }],
    ["a.int64", { type: "int64", value: -5 }],
    ["a.float64", { type: "float64", value: 0.1 }],
    ["a.bool", { type: "bool", value: true }],
    ["tokens", { type: "array", of: "string", value: Array.from({ length: 40 }, (_, i) => `▁t${i}`) }],
    ["scores", { type: "array", of: "float32", value: new Float32Array(40) }],
    ["nested", { type: "array", of: "array", value: [{ type: "array", of: "bool", value: Uint8Array.of(0, 1) }] }],
  ]),
  tensors: new Map([
    tensor("token_embd.weight", "float32", [5, 3]),
    tensor("scalar", "float64", []),
    tensor("blk.0.q", "q4_0", [3, 64]),
    tensor("blk.0.k", "q6_k", [2, 256]),
    tensor("empty", "float16", [0, 4]),
    tensor("ids", "int8", [2, 2, 2, 3]),
  ]),
};
const smallGguf = { ...richGguf, metadata: new Map(), tensors: new Map([tensor("w", "float32", [2, 3])]) };
const safe = {
  container: "safetensors",
  formatVersion: 1,
  metadata: new Map([["format", text("pt")]]),
  tensors: new Map([
    tensor("a.weight", "float32", [3, 4]),
    tensor("a.bias", "bfloat16", [3]),
    tensor("n", "int64", []),
    tensor("f4", "float4e2m1", [2, 2]),
    tensor("é", "bool", [0, 2]),
  ]),
};

async function bytesOf([file]) {
  const parts = [];
  for await (const chunk of file.chunks()) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

const EVIL = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x39];

/** Bytes changed, removed, doubled or cut, nearly all in the first `header` bytes. */
function damaged(bytes, header, random) {
  const below = (limit) => Math.floor(random() * limit);
  const out = Uint8Array.from(bytes);
  for (let edits = 1 + below(4); edits > 0; edits--) {
    const at = below(8) === 0 ? below(bytes.length) : below(header);
    out[at] = below(2) ? EVIL[below(EVIL.length)] : below(256);
    if (below(6) === 0) out.fill(EVIL[below(EVIL.length)], at, at + 8);
  }
  const from = below(header);
  const kind = below(8);
  if (kind === 0) return Buffer.concat([out.subarray(0, from), out.subarray(from + 1 + below(9))]);
  if (kind === 1) return Buffer.concat([out.subarray(0, from), out.subarray(below(header))]);
  return kind === 2 ? out.subarray(0, below(out.length)) : out;
}

const plain = async ({ tensors, metadata }) => {
  const rows = [...tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const read = rows.map(async ({ data, ...row }) => [row, Buffer.from(await readAll(data)).toString("base64")]);
  const exact = (_, value) => (typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : value);
  return JSON.stringify([await Promise.all(read), [...metadata]], exact);
};

/** "read", or the code of the error; whatever else is thrown ends the run. */
async function outcome(bytes, { read, encode }) {
  try {
    const file = await read(bytesSource(bytes));
    const again = await read(bytesSource(await bytesOf(encode({ ...file }))));
    if ((await plain(again)) !== (await plain(file))) throw new Error(`written otherwise: ${bytes.toString("hex")}`);
    return "read";
  } catch (error) {
    if (error instanceof FewbitError) return error.code;
    throw new Error(`seed ${seed}: ${Buffer.from(bytes).toString("hex")}`, { cause: error });
  }
}

async function run(name, codec, files) {
  const sources = await Promise.all(files.map(async (file) => bytesOf(codec.encode(file))));
  const random = rng(seed).uniform;
  const counts = {};
  let [worst, peak] = [0, 0];
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const source = sources[i % sources.length];
    const bytes = damaged(source, Math.min(source.length, 1000), random);
    const start = performance.now();
    const found = await outcome(bytes, codec);
    worst = Math.max(worst, performance.now() - start);
    counts[found] = (counts[found] ?? 0) + 1;
    if (i % 100 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  const seconds = (performance.now() - began) / 1000;
  const told = Object.entries(counts).map(([kind, number]) => `${kind} ${number}`);
  console.log(`${name}: ${count} damaged files in ${seconds.toFixed(1)} s: ${told.join(", ")}`);
  console.log(`  longest ${worst.toFixed(1)} ms, peak of memory ${(peak / 2 ** 20).toFixed(0)} MiB`);
}

await run("gguf", { read: readGguf, encode: encodeGguf }, [richGguf, smallGguf]);
await run("safetensors", { read: readSafetensors, encode: encodeSafetensors }, [safe]);
console.log(`peak of the process ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
