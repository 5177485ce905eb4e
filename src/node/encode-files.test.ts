/** Threads and kills change nothing: same bytes, same errors, nothing left behind. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { encodeGguf } from "../containers/gguf/index.ts";
import { bytesSource, collect } from "../ir/source.ts";
import type { StoredTensor, TensorFile } from "../ir/tensor-file.ts";
import { encodeFloats } from "../numeric/convert.ts";
import type { DType } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { planWeights, quantizeWeights } from "../pipeline/weights/index.ts";
import { MODELS } from "../pipeline/weights/models.case.ts";
import type { FileTypeName } from "../recipes/ggml/index.ts";
import { type EncodeFilesOptions, encodeFiles } from "./encode-files.ts";
import { openWeights } from "./open-weights.ts";

const folder = mkdtempSync(join(tmpdir(), "fewbit-encode-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Place {
  readonly folder: string;
  readonly model: string;
  readonly output: string;
}

async function placeOf(model: TensorFile): Promise<Place> {
  const own = mkdtempSync(join(folder, "m"));
  const path = join(own, "model.gguf");
  writeFileSync(path, await collect(encodeGguf(model)[0]!));
  return { folder: own, model: path, output: join(own, "out.gguf") };
}

/** What the way through memory gives. */
async function inMemory(model: TensorFile, scheme: FileTypeName): Promise<Uint8Array> {
  const { file } = await quantizeWeights(model, planWeights(model, scheme));
  return collect(encodeGguf(file)[0]!);
}

async function encode(place: Place, scheme: FileTypeName, threads: number, more: Partial<EncodeFilesOptions> = {}) {
  const { weights, close } = await openWeights(place.model);
  const signal = new AbortController().signal;
  try {
    return await encodeFiles(weights, planWeights(weights, scheme), { path: place.output, threads, signal, ...more });
  } finally {
    await close();
  }
}

const RANDOM = rng(3);
const NOISE = Float32Array.from({ length: 1 << 20 }, () => RANDOM.normal());

/** A model whose tensors take many pieces. */
function largeModel(change: (name: string, values: Float32Array) => void = () => {}, type: DType = "float32") {
  const tensors = ["blk.0.ffn_up.weight", "blk.0.ffn_gate.weight", "output_norm.weight"].map(
    (name): [string, StoredTensor] => {
      const values = NOISE.slice();
      change(name, values);
      const shape = name.startsWith("output") ? [values.length] : [1024, 1024];
      return [name, { name, type, shape, data: bytesSource(encodeFloats(values, type)) }];
    },
  );
  return { ...MODELS.plain!, tensors: new Map(tensors) };
}

const LARGE = largeModel();
/** What they become. */
const ENCODED = await inMemory(LARGE, "iq4_xs");
const THREADS = [1, 2, 3];

test.each(["plain", "experts"])("%s: any number of threads gives the bytes and the errors of one", async (name) => {
  const [model, place] = [MODELS[name]!, await placeOf(MODELS[name]!)];
  const bytes = await inMemory(model, "q4_k_m");
  const errors = new Set<string>();
  for (const threads of THREADS) {
    const found = await encode(place, "q4_k_m", threads);
    expect(Buffer.compare(readFileSync(place.output), bytes), `${threads} threads`).toBe(0);
    expect(found.written[0]!.size).toBe(bytes.length);
    errors.add(JSON.stringify([...found.errors]));
  }
  expect(errors.size).toBe(1);
  expect(readdirSync(place.folder).sort()).toEqual(["model.gguf", "out.gguf"]);
});

test("several files are those that one thread writes in order, and get their names together", async () => {
  const place = await placeOf(MODELS.plain!);
  const { file } = await quantizeWeights(MODELS.plain!, planWeights(MODELS.plain!, "q8_0"));
  const expected = encodeGguf(file, { name: "out.gguf", maxBytes: 20_000 });
  expect(expected.length).toBeGreaterThan(3);
  const { written } = await encode(place, "q8_0", 2, { maxBytes: 20_000 });
  expect(written.map(({ path }) => basename(path))).toEqual(expected.map(({ name }) => name));
  for (const { name, chunks, size } of expected)
    expect(Buffer.compare(readFileSync(join(place.folder, name)), await collect({ chunks, size })), name).toBe(0);
  const bad = await placeOf(largeModel((name, values) => void (name.includes("up") && values.fill(Number.NaN, 5, 6))));
  await expect(encode(bad, "q8_0", 2, { maxBytes: 1e6 })).rejects.toThrow(
    'ffn_up.weight": the value at index 5 is NaN',
  );
  expect(readdirSync(bad.folder)).toEqual(["model.gguf"]);
});

test("the sum of the file is that of its bytes, where it is asked for", async () => {
  const place = await placeOf(LARGE);
  const { createHash } = await import("node:crypto");
  for (const threads of [1, 3]) {
    const { written } = await encode(place, "q8_0", threads, { sha256: true });
    expect(written[0]!.sha256).toBe(createHash("sha256").update(readFileSync(place.output)).digest("hex"));
    expect((await encode(place, "q8_0", threads)).written[0]).not.toHaveProperty("sha256");
  }
});

test("the first bad value gives the error, however many threads met others, and nothing is left", async () => {
  const place = await placeOf(
    largeModel((name, values) => {
      if (name.includes("up")) values[100] = Number.NaN;
      if (name.includes("gate")) values[900_000] = Number.POSITIVE_INFINITY;
    }),
  );
  for (const threads of THREADS) {
    const message = 'tensor "blk.0.ffn_gate.weight": the value at index 900000 is Infinity';
    await expect(encode(place, "q8_0", threads)).rejects.toThrow(message);
    expect(readdirSync(place.folder)).toEqual(["model.gguf"]);
  }
});

test.each(["float32", "float16", "bfloat16"] as const)("%s that is copied has to be finite too", async (type) => {
  for (const [bad, word] of [
    [Number.NaN, "NaN"],
    [Number.NEGATIVE_INFINITY, "-Infinity"],
  ] as const) {
    const model = largeModel((name, values) => {
      if (name.startsWith("output")) values[600_001] = bad;
    }, type);
    const message = `tensor "output_norm.weight": the value at index 600001 is ${word}`;
    await expect(encode(await placeOf(model), "q8_0", 1)).rejects.toThrow(message);
    const { file } = await quantizeWeights(model, planWeights(model, "q8_0"));
    await expect(collect(encodeGguf(file)[0]!)).rejects.toThrow(message);
  }
});

test.each(THREADS)("an abort ends %d threads and leaves nothing", async (threads) => {
  const place = await placeOf(LARGE);
  const stop = new AbortController();
  const work = encode(place, "iq4_xs", threads, { signal: stop.signal, onBytes: () => stop.abort() });
  await expect(work).rejects.toThrow("interrupted; nothing was changed");
  expect(readdirSync(place.folder)).toEqual(["model.gguf"]);
});

test("a model that changes while it is read is an error that names the tensor", async () => {
  const place = await placeOf(LARGE);
  const { weights, close } = await openWeights(place.model);
  writeFileSync(place.model, readFileSync(place.model).subarray(0, 1_000_000));
  const plan = planWeights(weights, "q8_0");
  const work = encodeFiles(weights, plan, { path: place.output, threads: 2, signal: new AbortController().signal });
  await expect(work).rejects.toThrow(/tensor "output_norm.weight": .*became shorter while it was read/);
  await close();
  expect(readdirSync(place.folder)).toEqual(["model.gguf"]);
});

const LOADER = new URL("../../scripts/typescript.js", import.meta.url).href;
const SCRIPT = fileURLToPath(new URL("./encode-files.case.ts", import.meta.url));

/** Runs a process that kills itself in the middle; returns the unfinished file. */
function killed(place: Place, scheme: FileTypeName, threads: number): string {
  const { VITEST: _, ...env } = process.env;
  const args = ["--import", LOADER, SCRIPT, place.model, place.output, scheme, String(threads)];
  const { signal, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  expect(signal, stderr).toBe("SIGKILL");
  const [left, ...more] = readdirSync(place.folder).filter((name) => name.endsWith(".part"));
  expect(more).toEqual([]);
  return join(place.folder, left!);
}

const shareOf = async (place: Place, scheme: FileTypeName, threads = 1): Promise<number | undefined> => {
  let share: number | undefined;
  const onResume = (found: number): void => {
    share = found;
  };
  await encode(place, scheme, threads, { onResume });
  return share;
};

test.each([1, 2])("a killed process of %d threads is gone on with, and the bytes are the same", async (threads) => {
  const place = await placeOf(LARGE);
  killed(place, "iq4_xs", threads);
  const share = await shareOf(place, "iq4_xs", threads);
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThan(1);
  expect(Buffer.compare(readFileSync(place.output), ENCODED)).toBe(0);
  expect(readdirSync(place.folder).sort()).toEqual(["model.gguf", "out.gguf"]);
});

test.each([
  ["the content", (bytes: Uint8Array) => bytes.fill(7, 2000, ENCODED.length / 2)],
  ["the journal", (bytes: Uint8Array) => bytes.fill(7, ENCODED.length + 60, ENCODED.length + 100)],
])("what of an unfinished file is damaged is made again: %s", async (_, damage) => {
  const place = await placeOf(LARGE);
  const part = killed(place, "iq4_xs", 1);
  const bytes = readFileSync(part);
  damage(bytes);
  writeFileSync(part, bytes);
  await encode(place, "iq4_xs", 2);
  expect(Buffer.compare(readFileSync(place.output), ENCODED)).toBe(0);
});

test("an unfinished file of another plan is replaced", async () => {
  const place = await placeOf(LARGE);
  killed(place, "iq4_xs", 1);
  expect(await shareOf(place, "q8_0")).toBeUndefined();
  expect(Buffer.compare(readFileSync(place.output), await inMemory(LARGE, "q8_0"))).toBe(0);
  expect(readdirSync(place.folder).sort()).toEqual(["model.gguf", "out.gguf"]);
});

test("an unfinished file of a model that was changed since is replaced", async () => {
  const place = await placeOf(LARGE);
  killed(place, "iq4_xs", 1);
  utimesSync(place.model, new Date(), new Date(1e12));
  expect(await shareOf(place, "iq4_xs")).toBeUndefined();
  expect(readdirSync(place.folder).sort()).toEqual(["model.gguf", "out.gguf"]);
});

test("two processes that write the same file do not meet", async () => {
  const place = await placeOf(LARGE);
  await Promise.all([encode(place, "iq4_xs", 1), encode(place, "iq4_xs", 2)]);
  expect(Buffer.compare(readFileSync(place.output), ENCODED)).toBe(0);
});
