/** Folders of safetensors by several threads: the bytes of the way through memory, the first error, nothing but the files. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encodeSafetensors } from "../containers/safetensors/index.ts";
import { bytesSource, collect } from "../ir/source.ts";
import type { StoredTensor, TensorFile } from "../ir/tensor-file.ts";
import { encodeFloats } from "../numeric/convert.ts";
import { rng } from "../numeric/rng.ts";
import { type PlanCompressedOptions, planCompressed } from "../pipeline/compressed/index.ts";
import { quantized } from "../pipeline/compressed/quantized.case.ts";
import { COMPRESSED_SCHEMES } from "../recipes/compressed-tensors.ts";
import { type CompressFilesOptions, compressFiles } from "./compress-files.ts";
import { openWeights } from "./open-weights.ts";
import { JOURNAL } from "./resumable-folder.ts";

const root = mkdtempSync(join(tmpdir(), "fewbit-compress-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const random = rng(12);
const NOISE = Float32Array.from({ length: 1 << 20 }, () => random.normal() * 0.05);

type Change = (values: Float32Array, name: string) => void;

function tensor(name: string, shape: readonly number[], change: Change): StoredTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const values = NOISE.slice(name.length, name.length + count);
  change(values, name);
  return { name, type: "bfloat16", shape, data: bytesSource(encodeFloats(values, "bfloat16")) };
}

/** In the order of files: matrices of several pieces, rows that fill no word of zero points, and tensors that are copied. */
function model(change: Change = () => {}): TensorFile {
  const tensors = [
    tensor("model.embed_tokens.weight", [300, 2048], change),
    tensor("model.layers.0.mlp.down_proj.weight", [1023, 512], change),
    tensor("model.layers.0.mlp.up_proj.weight", [13, 128], change),
    tensor("model.layers.0.self_attn.o_proj.weight", [251, 2048], change),
    tensor("model.norm.weight", [2048], change),
  ];
  return {
    ...{ container: "safetensors", formatVersion: 1, metadata: new Map() },
    tensors: new Map(tensors.map((one) => [one.name, one])),
  };
}

const planFor = (file: TensorFile, scheme: string, options: PlanCompressedOptions = {}) =>
  planCompressed(file, COMPRESSED_SCHEMES.find(({ name }) => name === scheme)!, options);

async function sourceOf(file: TensorFile): Promise<string> {
  const path = join(mkdtempSync(join(root, "m")), "model.safetensors");
  writeFileSync(path, await collect(encodeSafetensors(file)[0]!));
  return path;
}

type More = Partial<CompressFilesOptions> & { readonly plan?: PlanCompressedOptions };

async function compress(path: string, scheme: string, threads: number, { plan, ...more }: More = {}) {
  const folder = more.folder ?? mkdtempSync(join(root, "out"));
  const { weights, close } = await openWeights(path);
  const options = { threads, signal: new AbortController().signal, onBytes() {}, ...more, folder };
  try {
    return { folder, written: await compressFiles(weights, planFor(weights, scheme, plan), options) };
  } finally {
    await close();
  }
}

const LARGE = model();
const PATH = await sourceOf(LARGE);

const CASES: readonly (readonly [string, PlanCompressedOptions])[] = [
  ["w8", {}],
  ["w4", { asymmetric: true, maxBytes: 600_000 }],
  ["w4", { asymmetric: true, groupSize: "channel" }],
  ["w8a8-dynamic", { algorithm: "mse" }],
  ["fp8", { maxBytes: 1_000_000 }],
];

test.each(CASES)("%s %j: any number of threads gives the bytes of the way through memory", async (scheme, plan) => {
  const planned = planFor(LARGE, scheme, plan);
  const expected = encodeSafetensors(await quantized(LARGE, planned), { maxBytes: planned.maxBytes });
  for (const threads of [1, 3]) {
    const { folder, written } = await compress(PATH, scheme, threads, { plan });
    expect(written.map(({ path }) => basename(path))).toEqual(expected.map(({ name }) => name));
    expect(readdirSync(folder).sort()).toEqual([JOURNAL, ...expected.map(({ name }) => name).sort()]);
    for (const file of expected) {
      const bytes = readFileSync(join(folder, file.name));
      expect(Buffer.compare(bytes, await collect(file)), `${file.name}, ${threads} threads`).toBe(0);
      const { sha256, size } = written.find(({ path }) => basename(path) === file.name)!;
      expect([sha256, size]).toEqual([createHash("sha256").update(bytes).digest("hex"), bytes.length]);
    }
  }
});

/** Changes values, but neither the header nor what is looked at to see that a file was changed. */
function changeUnseen(path: string): void {
  const { mtime } = statSync(path);
  writeFileSync(path, readFileSync(path).fill(0, 5000));
  utimesSync(path, mtime, mtime);
}

test.each(CASES)("%s %j: no piece is made again of a folder whose journal holds them all", async (scheme, plan) => {
  const path = await sourceOf(LARGE);
  utimesSync(path, 1e9, 1e9);
  const first = await compress(path, scheme, 1, { plan });
  changeUnseen(path);
  const shares: number[] = [];
  const more = { plan, folder: first.folder, onResume: (share: number) => void shares.push(share) };
  expect((await compress(path, scheme, 2, more)).written).toEqual(first.written);
  expect(shares).toEqual([1]);
});

test("every byte of the source is told of once", async () => {
  let told = 0;
  const onBytes = (bytes: number): void => {
    told += bytes;
  };
  await compress(PATH, "w4", 2, { onBytes });
  expect(told).toBe([...LARGE.tensors.values()].reduce((sum, { data }) => sum + data.size, 0));
});

test("the first bad value gives the error, however many threads met others", async () => {
  const path = await sourceOf(
    model((values, name) => {
      if (name.includes("o_proj")) values[400_000] = Number.NaN;
      if (name.includes("down_proj")) values[3] = Number.POSITIVE_INFINITY;
    }),
  );
  const first = 'tensor "model.layers.0.mlp.down_proj.weight": value 3 is Infinity; repair the model';
  for (const threads of [1, 3]) await expect(compress(path, "w4", threads)).rejects.toThrow(first);
});

test("values too far apart for a scale are refused by their rows", async () => {
  const values = new Float32Array(64 * 128);
  values.set([3e38, -3e38], 128 * 9);
  const data = bytesSource(encodeFloats(values, "float32"));
  const bad: StoredTensor = { name: "model.layers.0.x_proj.weight", type: "float32", shape: [64, 128], data };
  const path = await sourceOf({ ...LARGE, tensors: new Map([[bad.name, bad]]) });
  await expect(compress(path, "w4", 1, { plan: { asymmetric: true } })).rejects.toThrow(
    'tensor "model.layers.0.x_proj.weight": rows 0 to 63 hold values too large for a scale',
  );
});

test("an interrupted run, and a model that is changed while it is read, give an error", async () => {
  await expect(compress(PATH, "w8", 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
  const path = await sourceOf(LARGE);
  const { weights, close } = await openWeights(path);
  writeFileSync(path, readFileSync(path).subarray(0, 100_000));
  const folder = mkdtempSync(join(root, "out"));
  const options = { folder, threads: 2, onBytes() {}, signal: new AbortController().signal };
  await expect(compressFiles(weights, planFor(weights, "w8"), options)).rejects.toMatchObject({
    code: "io",
    message: expect.stringContaining("became shorter while it was read"),
  });
  await close();
});
