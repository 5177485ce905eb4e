import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drawCharacters, memoryDataset, type NDArray, randomDataset } from "../pipeline/index.ts";
import { compare, inspect, openModelFile, plan, quantize, schemes } from "./index.ts";

const MODEL = fileURLToPath(new URL("../../demo/characters.onnx", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fewbit-library-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function samples(seed: number, count: number) {
  const { images, labels } = drawCharacters({ seed, count });
  const { model, close } = await openModelFile(MODEL);
  const data = memoryDataset(model, { image: images }, `characters of seed ${seed}`);
  await close();
  return { data, labels };
}

describe("the commands as functions", () => {
  test("quantize with samples from memory, and compare with a metric of one's own", async () => {
    const calibration = await samples(1, 32);
    const test = await samples(2, 64);
    const report = await quantize({ model: MODEL, calibration: calibration.data, evaluation: test, output: folder });
    const [candidate] = report.candidates;
    expect(candidate?.scheme).toBe("w8a8");
    expect(report.calibration).toEqual({ origin: "characters of seed 1", samples: 32, random: false });
    expect(candidate?.metrics.top1?.after).toBeGreaterThan(0.9);
    expect(await readdir(folder)).toEqual(["characters.w8a8.onnx"]);

    const evaluate = async ({ run }: { run: (feeds: Record<string, NDArray>) => Promise<Record<string, NDArray>> }) => {
      const { logits } = await run({ image: drawCharacters({ seed: 3, count: 4 }).images });
      return logits!.shape[1]!;
    };
    const candidatePath = join(folder, "characters.w8a8.onnx");
    const both = await compare({
      reference: MODEL,
      candidate: candidatePath,
      evaluation: { data: test.data, labels: test.labels, evaluate },
    });
    expect(both.candidate.metrics.eval).toEqual({ before: 26, after: 26, higherIsBetter: true, unit: "number" });
    expect(both.candidate.agreement).toBe(candidate?.agreement);
  });

  test("made-up samples are marked as such, also when a program brings them", async () => {
    const { model, close } = await openModelFile(MODEL);
    const random = randomDataset(model.graph.inputs, { samples: 4 });
    await close();
    const output = join(folder, "random.onnx");
    const report = await quantize({ model: MODEL, calibration: random, evaluation: { data: random }, output });
    expect(report.calibration?.random).toBe(true);
    expect(report.evaluation?.random).toBe(true);
    expect(report.candidates[0]?.findings.map(({ code }) => code)).toContain("no-data");
  });

  test("plan chooses the scheme that quantize would", async () => {
    const { data } = await samples(1, 4);
    expect((await plan({ model: MODEL, calibration: data })).plans[0]?.scheme).toBe("w8a8");
    expect((await plan({ model: MODEL })).plans[0]?.scheme).toBe("w8");
  });

  test("inspect and schemes take a path", async () => {
    expect((await inspect(MODEL)).parameters).toBeGreaterThan(100_000);
    const onnx = (await schemes()).schemes.filter(({ container }) => container === "onnx");
    expect((await schemes(MODEL)).schemes.map(({ name }) => name)).toEqual(onnx.map(({ name }) => name));
  });
});
