import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { matmulOf, single, tfliteBytes } from "../engines/contract-tflite.case.ts";
import { gather, identity, inFiles, inMemory } from "../engines/models.case.ts";
import { floatTensor, node, onnxModel, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Feeds } from "../ir/model.ts";
import { probe } from "./probe.ts";

const SIDE = 2048;
const WEIGHT_BYTES = SIDE * SIDE * 4;

const wide = onnxModel({
  inputs: [valueInfo("x", "float32", ["n", SIDE])],
  outputs: [valueInfo("y", "float32", ["n", SIDE])],
  nodes: [node("MatMul", ["x", "w"], ["y"])],
  tensors: [floatTensor("w", [SIDE, SIDE], new Float32Array(SIDE * SIDE).fill(0.5))],
});
const feeds: Feeds = { x: { dtype: "float32", shape: [1, SIDE], data: new Float32Array(SIDE) } };

let folder = "";
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fewbit-probe-"));
  await writeFile(at("wide.onnx"), (await inMemory(wide)).bytes);
  await writeFile(at("gather.onnx"), (await inMemory(gather)).bytes);
  await writeFile(at("half.onnx"), (await inMemory(identity("float16"))).bytes);
  await writeFile(at("cut.onnx"), (await inMemory(wide)).bytes.subarray(0, 1000));
  const { bytes, external } = await inFiles(wide);
  await writeFile(at("split.onnx"), bytes);
  for (const { location, bytes } of external) await writeFile(at(location), bytes);
});
afterAll(() => rm(folder, { recursive: true }));

test.for(["ort-node", "ort-web"] as const)("%s: memory holds the weights, and not many times over", async (engine) => {
  for (const file of ["wide.onnx", "split.onnx"]) {
    const { loadMs, firstRunMs, residentBytes, peakBytes } = await probe(at(file), { engine, feeds, runs: 3 });
    expect(loadMs).toBeGreaterThan(0);
    expect(firstRunMs).toBeGreaterThan(0);
    expect(residentBytes).toBeGreaterThan(0.9 * WEIGHT_BYTES); // pages of the allocator that the base held already
    expect(residentBytes).toBeLessThan(6 * WEIGHT_BYTES); // WebAssembly holds file, model and packed copy, and grows by a fifth
    expect(peakBytes).toBeGreaterThan(0.9 * residentBytes);
  }
});

const WIDE_TFLITE = tfliteModel({
  inputs: [valueInfo("x", "float32", [1, SIDE])],
  outputs: [valueInfo("y", "float32", [1, SIDE])],
  nodes: [node("FULLY_CONNECTED", ["x", "w"], ["y"])],
  tensors: [floatTensor("w", [SIDE, SIDE], new Float32Array(SIDE * SIDE).fill(0.5))],
});

test("litert: memory holds the weights, also where signatures are hidden and several rows are fed", async () => {
  const signature = {
    key: "serve",
    subgraph: 0,
    inputs: [{ name: "in", value: "x" }],
    outputs: [{ name: "out", value: "y" }],
  };
  const signed = { ...WIDE_TFLITE, extra: { subgraphs: [], signatures: [signature] } };
  for (const model of [WIDE_TFLITE, signed]) {
    await writeFile(at("wide.tflite"), (await tfliteBytes(model)).bytes);
    const x = { dtype: "float32", shape: [2, SIDE], data: new Float32Array(2 * SIDE) } as const;
    const measured = await probe(at("wide.tflite"), { engine: "litert", feeds: { x }, runs: 3 });
    expect(measured.loadMs).toBeGreaterThan(0);
    expect(measured.firstRunMs).toBeGreaterThan(0);
    expect(measured.residentBytes).toBeGreaterThan(0.9 * WEIGHT_BYTES);
    expect(measured.residentBytes).toBeLessThan(6 * WEIGHT_BYTES); // file, model and packed copy, and the heap grows by a fifth
    expect(measured.peakBytes).toBeGreaterThan(0.9 * measured.residentBytes);
  }
});

test("litert: open batches are measured with one row, and refusals come in words", async () => {
  await writeFile(at("open.tflite"), (await tfliteBytes(matmulOf(null))).bytes);
  const x = { dtype: "float32", shape: [1, 2], data: new Float32Array(2) } as const;
  expect((await probe(at("open.tflite"), { engine: "litert", feeds: { x }, runs: 1 })).firstRunMs).toBeGreaterThan(0);
  await writeFile(at("custom.tflite"), (await tfliteBytes(single("Frobnicate", "custom"))).bytes);
  const feeds = { x: { ...x, shape: [1], data: new Float32Array(1) } };
  await expect(probe(at("custom.tflite"), { engine: "litert", feeds })).rejects.toThrow(/no custom op Frobnicate/);
  await writeFile(at("text.tflite"), "no model at all");
  await expect(probe(at("text.tflite"), { engine: "litert" })).rejects.toMatchObject({ code: "format" });
});

test("WebAssembly with threads is measured too", async () => {
  const { firstRunMs } = await probe(at("wide.onnx"), { engine: "ort-web", threads: 2, feeds, runs: 1 });
  expect(firstRunMs).toBeGreaterThan(0);
});

test("without feeds the model is only opened", async () => {
  const { firstRunMs, residentBytes } = await probe(at("wide.onnx"), { engine: "ort-node" });
  expect(firstRunMs).toBeUndefined();
  expect(residentBytes).toBeGreaterThan(0);
});

test("half floats reach the model", async () => {
  const x = { dtype: "float16", shape: [1], data: Uint16Array.of(0x3c00) } as const;
  const { firstRunMs } = await probe(at("half.onnx"), { engine: "ort-node", feeds: { x }, runs: 1 });
  expect(firstRunMs).toBeGreaterThan(0);
});

test("integers of 64 bits reach the model", async () => {
  const i = { dtype: "int64", shape: [1], data: BigInt64Array.of(1n) } as const;
  expect((await probe(at("gather.onnx"), { engine: "ort-node", feeds: { i }, runs: 1 })).firstRunMs).toBeGreaterThan(0);
  const bad = { ...i, data: BigInt64Array.of(9n) };
  await expect(probe(at("gather.onnx"), { engine: "ort-node", feeds: { i: bad } })).rejects.toThrow(
    /ort-node: .*gather\.onnx: .*indices element out of data bounds/,
  );
});

test("a model that can't be opened is named with the reason", async () => {
  for (const engine of ["ort-node", "ort-web"] as const) {
    await expect(probe(at("cut.onnx"), { engine })).rejects.toMatchObject({ code: "format" });
    await expect(probe(at("none.onnx"), { engine })).rejects.toMatchObject({ code: "usage" });
  }
});

test("too long a measurement is ended, and so is one that the user interrupts", async () => {
  const slow = { engine: "ort-node", feeds, runs: 1_000_000 } as const;
  await expect(probe(at("wide.onnx"), { ...slow, timeoutMs: 300 })).rejects.toThrow(/took longer than 0\.3 s/);
  const abort = AbortSignal.timeout(100);
  await expect(probe(at("wide.onnx"), { ...slow, signal: abort })).rejects.toMatchObject({ code: "cancelled" });
});
