/** Made-up llama models of any size as GGUF, and importance for them in both programs' forms. */
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { layoutGguf } from "../../dist/containers/gguf/index.js";
import { encodeHalf } from "../../dist/numeric/half.js";
import { rng } from "../../dist/numeric/rng.js";

const [WIDTH, INNER] = [1024, 2816];
/** Models below this have few tokens, so that a layer fits in. */
const SMALL_BYTES = 200e6;
const POOL = 1 << 21;
const BYTES = { float32: 4, float16: 2 };

const count = (shape) => shape.reduce((a, b) => a * b, 1);
const layerOf = (layer) =>
  [
    ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => [name, [WIDTH, WIDTH]]),
    ...["ffn_up", "ffn_gate"].map((name) => [name, [INNER, WIDTH]]),
    ["ffn_down", [WIDTH, INNER]],
    ["attn_norm", [WIDTH]],
    ["ffn_norm", [WIDTH]],
  ].map(([name, shape]) => [`blk.${layer}.${name}.weight`, shape]);

/** Names and shapes; as many layers as it takes to reach so many bytes of `type`. */
function shapesOf(bytes, type) {
  const vocabulary = bytes < SMALL_BYTES ? 512 : 8192;
  const ends = [
    ["token_embd.weight", [vocabulary, WIDTH]],
    ["output_norm.weight", [WIDTH]],
    ["output.weight", [vocabulary, WIDTH]],
  ];
  const sum = (shapes) => shapes.reduce((all, [, shape]) => all + count(shape) * BYTES[type], 0);
  const layers = Math.max(1, Math.ceil((bytes - sum(ends)) / sum(layerOf(0))));
  return {
    layers,
    shapes: [ends[0], ...Array.from({ length: layers }, (_, i) => layerOf(i)).flat(), ends[1], ends[2]],
  };
}

function metadataOf(layers) {
  const keys = { context_length: 64, embedding_length: WIDTH, block_count: layers, feed_forward_length: INNER };
  const heads = { "attention.head_count": 16, "attention.head_count_kv": 16 };
  return new Map([
    ["general.architecture", { type: "string", value: "llama" }],
    ...Object.entries({ ...keys, ...heads }).map(([key, value]) => [`llama.${key}`, { type: "uint32", value }]),
    ["llama.attention.layer_norm_rms_epsilon", { type: "float32", value: Math.fround(1e-5) }],
  ]);
}

/** Like weights: normal, a few of them large. Drawn once; tensors take them from different places. */
function pool() {
  const random = rng(1);
  return Float32Array.from({ length: POOL }, () => random.normal() * (random.uniform() < 0.01 ? 0.3 : 0.02));
}

/**
 * Writes a model of at least so many bytes. `share` of the tensors are written, the rest stays a hole in the file, which
 * reads as zeros. Returns the bytes of the file and the shapes of the matrices.
 */
export function writeModel(path, { bytes, type = "float32", share = 1 }) {
  const { layers, shapes } = shapesOf(bytes, type);
  const tensors = shapes.map(([name, shape]) => {
    const own = shape.length === 1 ? "float32" : type;
    return [name, { name, type: own, shape, data: { size: count(shape) * BYTES[own] } }];
  });
  const file = { container: "gguf", formatVersion: 3, metadata: metadataOf(layers), tensors: new Map(tensors) };
  const [{ head, offsets, size }] = layoutGguf(file);
  const fd = openSync(path, "w");
  const floats = pool();
  const values = { float32: Buffer.from(floats.buffer), float16: Buffer.from(encodeHalf(floats).buffer) };
  writeSync(fd, head, 0, head.length, 0);
  tensors.forEach(([, { type: own, data }], i) => {
    if ((i * 0.618034) % 1 > share) return;
    const source = values[own];
    for (let done = 0, from = ((i * 7919) % POOL) * BYTES[own]; done < data.size; from = 0) {
      const length = Math.min(source.length - from, data.size - done);
      done += writeSync(fd, source, from, length, offsets[i] + done);
    }
  });
  ftruncateSync(fd, size);
  closeSync(fd);
  return { size, shapes: shapes.filter(([, shape]) => shape.length > 1) };
}

const int32 = (...numbers) => Buffer.from(Int32Array.from(numbers).buffer);

/** Writes importance as llama-imatrix's older form and as the driver of llama-quantize reads it. */
export function writeImportance(shapes, path, driverPath) {
  const random = rng(2);
  const entries = shapes.map(([name, shape]) => {
    const weights = Float32Array.from({ length: shape.at(-1) }, () => random.uniform() ** 4 + 0.001);
    return [name, weights.length, Buffer.from(weights.buffer)];
  });
  const dat = entries.map(([name, length, bytes]) =>
    Buffer.concat([int32(name.length), Buffer.from(name), int32(1, length), bytes]),
  );
  writeFileSync(path, Buffer.concat([int32(entries.length), ...dat]));
  const lines = entries.map(([name, length, bytes]) =>
    Buffer.concat([Buffer.from(`${name} ${length}\n`), bytes, Buffer.from("\n")]),
  );
  writeFileSync(driverPath, Buffer.concat(lines));
  const keys = [`kvs=quantize.imatrix.file=${path}`, `kvi=quantize.imatrix.entries_count=${entries.length}`];
  return [`im=${driverPath}`, ...keys];
}
