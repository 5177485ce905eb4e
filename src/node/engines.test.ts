import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { TFLITE_MODELS } from "../engines/contract-tflite.case.ts";
import { LITERT_VERSION } from "../engines/litert-api.ts";
import { gather, inMemory, qdq } from "../engines/models.case.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { availableEngines } from "./engines.ts";

afterEach(() => vi.unstubAllEnvs());

test("the native engine is preferred and needs no note", async () => {
  const { engine, notes } = await availableEngines();
  expect(engine.name).toBe("ort-node");
  expect(engine.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(notes).toEqual([]);
});

test("the WebAssembly engine can be asked for by option and by environment", async () => {
  expect((await availableEngines({ prefer: "ort-web" })).engine.name).toBe("ort-web");
  vi.stubEnv("FEWBIT_ENGINE", "ort-web");
  const { engine, notes } = await availableEngines();
  expect([engine.name, notes]).toEqual(["ort-web", []]);
});

test("TFLite models get the engine that runs them, whatever the environment says for ONNX", async () => {
  vi.stubEnv("FEWBIT_ENGINE", "ort-web");
  const { engine, notes } = await availableEngines({ container: "tflite" });
  expect([engine.name, engine.version, notes]).toEqual(["litert", LITERT_VERSION, []]);
});

test("an engine that does not run the container is refused with those that do", async () => {
  const wrong = { code: "usage", message: 'engine "ort-web" does not run tflite models; use litert or reference' };
  await expect(availableEngines({ container: "tflite", prefer: "ort-web" })).rejects.toMatchObject(wrong);
  await expect(availableEngines({ prefer: "litert" })).rejects.toThrow(
    /does not run onnx models; use ort-node or ort-/,
  );
  await expect(availableEngines({ container: "gguf" })).rejects.toThrow(/no engine runs gguf models/);
});

test("an unknown engine is refused with the known ones", async () => {
  vi.stubEnv("FEWBIT_ENGINE", "abacus");
  await expect(availableEngines()).rejects.toThrow(
    /engine "abacus" is not known; use ort-node, ort-web, litert or reference/,
  );
});

test("without the native engine WebAssembly runs, and a note says how to get the faster one", async () => {
  vi.doMock("onnxruntime-node", () => {
    throw new Error("not here");
  });
  const { engine, notes } = await availableEngines();
  vi.doUnmock("onnxruntime-node");
  expect(engine.name).toBe("ort-web");
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(
    /^Models run on WebAssembly because .*`npm install onnxruntime-node --ignore-scripts` makes them .* faster\.$/s,
  );
});

test("an absent package is a reason, not an exception", async () => {
  const missing = Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  expect(await openOrtNode({ load: () => Promise.reject(missing) })).toEqual({
    reason: "onnxruntime-node is not installed",
  });
  const broken = await openOrtNode({ load: () => Promise.reject(new Error("GLIBC_2.99 not found\nand more")) });
  expect(broken.reason).toBe("onnxruntime-node can't be loaded here (GLIBC_2.99 not found)");
});

/** Runs one good and one failing model in an engine; prints only what the engine prints. */
const CHILD = `
import { createViteServer } from "vitest/node";
const [container, prefer, model, failing] = process.argv.slice(1);
const vite = await createViteServer({ root: ".", configFile: false, logLevel: "silent", server: { middlewareMode: true, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
const { engine } = await (await vite.ssrLoadModule("/src/node/engines.ts")).availableEngines({ container, prefer });
if (engine.name !== prefer) throw new Error(engine.name);
const INDICES = { int64: BigInt64Array.of(99n), int32: Int32Array.of(99) };
for (const path of [model, failing]) {
  const session = await engine.open({ path });
  const feeds = Object.fromEntries(session.inputs.map(({ name, dtype }) => [
    name,
    INDICES[dtype] ? { dtype, shape: [1], data: INDICES[dtype] } : { dtype, shape: [1, 4], data: new Float32Array(4) },
  ]));
  const ran = await session.run(feeds).then(() => true, () => false);
  if (ran !== (path === model)) throw new Error(path);
  await session.close();
}
await vite.close();
`;

async function files(folder: string): Promise<readonly string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}

const run = promisify(execFile);

const onnx = { good: async () => (await inMemory(qdq)).bytes, failing: async () => (await inMemory(gather)).bytes };
const tflite = {
  good: async () => (await TFLITE_MODELS.inMemory(TFLITE_MODELS.quantized)).bytes,
  failing: async () => (await TFLITE_MODELS.inMemory(TFLITE_MODELS.gather)).bytes,
};

test.for([
  { name: "ort-node", container: "onnx", files: onnx },
  { name: "ort-web", container: "onnx", files: onnx },
  { name: "litert", container: "tflite", files: tflite },
])("$name writes no file and prints nothing, not even when a run fails", async ({ name, container, files: models }) => {
  const root = await mkdtemp(join(tmpdir(), "fewbit-quiet-"));
  try {
    const [home, temp] = [await mkdtemp(join(root, "home-")), await mkdtemp(join(root, "temp-"))];
    const [model, failing] = [join(root, "good"), join(root, "failing")];
    await writeFile(model, await models.good());
    await writeFile(failing, await models.failing());
    const { stdout, stderr } = await run(
      process.execPath,
      ["--input-type=module", "-e", CHILD, container, name, model, failing],
      { env: { PATH: process.env.PATH, HOME: home, TMPDIR: temp, TMP: temp, TEMP: temp, LOCALAPPDATA: home } },
    );
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
    expect([await files(home), await files(temp)]).toEqual([[], []]);
  } finally {
    await rm(root, { recursive: true });
  }
});
