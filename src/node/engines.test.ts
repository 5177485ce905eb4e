import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
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

test("an unknown engine is refused with the known ones", async () => {
  vi.stubEnv("FEWBIT_ENGINE", "abacus");
  await expect(availableEngines()).rejects.toThrow(/engine "abacus" is not known; use ort-node or ort-web/);
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

/** Runs one good and one failing model in the engine a file exports; prints only what the engine prints. */
const CHILD = `
import { createViteServer } from "vitest/node";
const [file, name, model, failing] = process.argv.slice(1);
const vite = await createViteServer({ root: ".", configFile: false, logLevel: "silent", server: { middlewareMode: true, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
const { engine } = await (await vite.ssrLoadModule(file))[name]();
const read = async (path) => ({ bytes: await (await import("node:fs/promises")).readFile(path) });
for (const path of [model, failing]) {
  const session = await engine.open(name === "openOrtWeb" ? await read(path) : { path });
  const feeds = Object.fromEntries(session.inputs.map(({ name, dtype }) => [
    name,
    dtype === "int64" ? { dtype, shape: [1], data: BigInt64Array.of(99n) } : { dtype, shape: [1, 4], data: new Float32Array(4) },
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

test.for(["openOrtNode", "openOrtWeb"] as const)(
  "%s writes no file and prints nothing, not even when a run fails",
  async (name) => {
    const root = await mkdtemp(join(tmpdir(), "fewbit-quiet-"));
    try {
      const [home, temp] = [await mkdtemp(join(root, "home-")), await mkdtemp(join(root, "temp-"))];
      const [model, failing] = [join(root, "good.onnx"), join(root, "failing.onnx")];
      await writeFile(model, (await inMemory(qdq)).bytes);
      await writeFile(failing, (await inMemory(gather)).bytes);
      const file = `/src/engines/${name === "openOrtNode" ? "ort-node" : "ort-web"}.ts`;
      const { stdout, stderr } = await run(
        process.execPath,
        ["--input-type=module", "-e", CHILD, file, name, model, failing],
        { env: { PATH: process.env.PATH, HOME: home, TMPDIR: temp, TMP: temp, TEMP: temp, LOCALAPPDATA: home } },
      );
      expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
      expect([await files(home), await files(temp)]).toEqual([[], []]);
    } finally {
      await rm(root, { recursive: true });
    }
  },
);
