import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { gather, identity, inFiles, inMemory } from "../engines/models.case.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
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
