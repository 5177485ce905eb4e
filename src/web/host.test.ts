/** The way through memory, run in Node: same engine, same bytes, but what a page prints is caught otherwise. */
import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { floatTensor, graph, node, onnxModel, valueInfo } from "../ir/build.ts";
import { captured } from "../node/captured.ts";
import { rng } from "../numeric/rng.ts";
import {
  bytesSource,
  encodeOnnx,
  type FewbitError,
  make,
  memoryDataset,
  noHooks,
  plainRecipe,
  readOnnx,
  schemeNamed,
} from "../pipeline/index.ts";
import { sha256, stageInMemory, webHost } from "./index.ts";

const WIDTH = 64;
function values(count: number, seed: number): Float32Array {
  const random = rng(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

const model = onnxModel(
  graph({
    inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
    outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
    nodes: [
      node("MatMul", ["x", "w1"], ["h"], { name: "first" }),
      node("Relu", ["h"], ["r"]),
      node("MatMul", ["r", "w2"], ["y"], { name: "second" }),
    ],
    tensors: [
      floatTensor("w1", [WIDTH, WIDTH], values(WIDTH * WIDTH, 1)),
      floatTensor("w2", [WIDTH, WIDTH], values(WIDTH * WIDTH, 2)),
    ],
  }),
);

const engine = () => webHost({ load: () => import("onnxruntime-web"), capture: captured });

describe("a host in memory", () => {
  test("stages the file that the encoder would write, with its checksum", async () => {
    await using staged = await stageInMemory(model, "small.onnx");
    const again = await readOnnx(bytesSource(staged.place.bytes));
    const hash = createHash("sha256").update(staged.place.bytes).digest("hex");
    expect(staged.size).toBe(encodeOnnx(model).main.size);
    expect(staged.files).toEqual([{ name: "small.onnx", size: staged.size, sha256: hash }]);
    expect(again.graph.nodes.map(({ op }) => op)).toEqual(["MatMul", "Relu", "MatMul"]);
    expect(await sha256(new Uint8Array())).toMatch(/^e3b0c44298fc1c14/);
  });

  test.each(["w8a8", "w8a8-dynamic", "w4"])("makes and runs %s without a file", async (name) => {
    const original = await stageInMemory(model, "small.onnx");
    const samples = memoryDataset(model, { x: { dtype: "float32", shape: [32, WIDTH], data: values(32 * WIDTH, 3) } });
    const input = {
      model: await readOnnx(bytesSource(original.place.bytes)),
      digest: original.files[0]!.sha256,
      reference: { name: "small.onnx", place: original.place, size: original.size },
      recipe: plainRecipe(schemeNamed(name)),
      name: `small.${name}.onnx`,
      calibration: samples,
      evaluation: { data: samples, metrics: [] },
      random: false,
    };
    const { staged, verified } = await make(await engine(), input, noHooks);
    expect(verified.size.ratio).toBeGreaterThan(2);
    // 4 bits in groups of 32 keep about 20 dB of normally distributed weights; a second layer costs up to 3
    expect(verified.outputs[0]!.sqnr).toBeGreaterThan(15);
    expect(verified.memory).toBeUndefined();
    expect(verified.findings.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(staged.place).toHaveProperty("bytes");
  });

  test("says in one error why there is no engine", async () => {
    const load = () => Promise.reject(new Error("no such package"));
    // the machine that runs already would be shared, so this test has to be told by a fresh module
    vi.resetModules();
    const fresh = await import("./host.ts");
    const failure = await fresh.webHost({ load }).catch((error: unknown) => error);
    expect(failure).toHaveProperty("code", "engine");
    expect((failure as FewbitError).message).toContain("no such package");
  });
});
