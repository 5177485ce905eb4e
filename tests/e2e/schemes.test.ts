import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModelFile } from "../../src/node/files.ts";
import { SCHEMES } from "../../src/recipes/schemes.ts";
import { indices, type Json, listing, quantized, samples, saved, savedArray, workspace } from "./cli.case.ts";
import { branching, CONV_CASES, cnn, looping, tied, transformer, transposed } from "./models.case.ts";

/**
 * Least signal to noise in dB on bell-shaped random weights. An evenly spaced grid with step s errs by s/sqrt(12); bell-shaped
 * values reach 3 sigma among few and 2.2 sigma among 32 neighbours, so 8 bits give 43 dB for one matrix, 4 bits in groups
 * 21, 2 bits 7, half precision 70. Ten layers in a row lose up to 10 dB of that; the rest is margin for their weights.
 */
const LEAST_DB: Readonly<Record<number, number>> = { 16: 50, 8: 25, 4: 9, 3: 3, 2: 0, 1.58: 0 };

/** What is stored per weight besides its bits (scales, biases, the graph itself) costs tiny models up to half of the gain. */
const LEAST_RATIO: Readonly<Record<number, number>> = { 16: 1.6, 8: 2, 4: 2, 3: 2, 2: 2, 1.58: 2 };

async function transformerFolder() {
  const folder = await workspace();
  const model = await saved(folder, transformer());
  const data = await savedArray(folder, "ids.npy", indices([12, 9], 100));
  return { folder, model, data };
}

async function cnnFolder(model = cnn()) {
  const folder = await workspace();
  const [, channels, height, width] = model.graph.inputs[0]!.shape! as number[];
  const data = await savedArray(folder, "x.npy", samples([24, channels!, height!, width!]));
  return { folder, model: await saved(folder, model), data };
}

const worst = ({ outputs }: Json): number =>
  Math.min(...outputs.map(({ sqnr }: Json) => sqnr ?? Number.POSITIVE_INFINITY));
const count = (ops: Record<string, number>, ...names: string[]): number =>
  names.reduce((sum, name) => sum + (ops[name] ?? 0), 0);

describe("every scheme", () => {
  it.each([...SCHEMES.onnx.values()].map(({ name, bits }) => ({ name, bits })))(
    "$name makes a model that opens, is smaller and near the original",
    async ({ name, bits }) => {
      const { folder, model, data } = await transformerFolder();
      const out = join(folder, "out", "small.onnx");
      const json = await quantized([model, "-s", name, "-c", data, "-o", out]);
      expect(json.scheme).toBe(name);
      expect(worst(json)).toBeGreaterThan(LEAST_DB[bits]!);
      expect(json.size.ratio).toBeGreaterThan(LEAST_RATIO[bits]!);
      expect(json.size.after).toBe((await stat(out)).size);
      expect(Object.keys(await listing(folder))).toEqual(["ids.npy", "model.onnx", "out", "out/small.onnx"]);
      const { model: written, close } = await openModelFile(out);
      expect(written.graph.outputs.map(({ name: output }) => output)).toEqual(["y"]);
      await close();
    },
  );
});

describe("w8a8", () => {
  it.each(["asymmetric", "symmetric"])(
    "runs every convolution of a classifier in integers, activations %s",
    async (kind) => {
      const { folder, model, data } = await cnnFolder();
      const out = join(folder, "small.onnx");
      const json = await quantized([model, "-s", "w8a8", "-c", data, "--activations", kind, "-o", out]);
      expect(json.integerShare).toBe(1);
      expect(count(json.opHistogram.after, "QLinearConv")).toBe(4);
      expect(count(json.opHistogram.after, "Conv", "FusedConv", "Gemm", "MatMul")).toBe(0);
      expect(worst(json)).toBeGreaterThan(25);
      expect(json.size.ratio).toBeGreaterThan(2);
    },
  );

  it.each([9, 11, 12, 13, 15, 18, 21, 22])("takes a classifier of operator set %i", async (opset) => {
    const { folder, model, data } = await cnnFolder(cnn({ opset }));
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.integerShare).toBe(1);
    expect(worst(json)).toBeGreaterThan(25);
  });

  it.each([9, 13, 22, 25])("has its packed relatives take one of operator set %i too", async (opset) => {
    const { folder, model, data } = await cnnFolder(cnn({ opset }));
    const out = join(folder, "out");
    const json = await quantized([model, "-s", "w4a4,w2a8", "-c", data, "-o", out, "--force"]);
    for (const candidate of json.candidates) {
      expect(candidate.integerShare).toBe(1);
      expect(candidate.size.ratio).toBeGreaterThan(3);
    }
  });

  it.each(Object.keys(CONV_CASES))("handles %s", async (name) => {
    const { folder, model, data } = await cnnFolder(CONV_CASES[name]!());
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.opHistogram.after.QLinearConv).toBe(
      count(json.opHistogram.before, "Conv", "FusedConv", "NhwcFusedConv"),
    );
    expect(count(json.opHistogram.after, "BatchNormalization")).toBe(0);
    expect(worst(json)).toBeGreaterThan(25);
  });

  it("gives a matrix that is read both ways a grid for each", async () => {
    const folder = await workspace();
    const model = await saved(folder, tied());
    const data = await savedArray(folder, "x.npy", samples([32, 64]));
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.integerShare).toBe(1);
    expect(worst(json)).toBeGreaterThan(30);
  });

  it("stores a transposed convolution, which no engine runs in integers, in 8 bits and says so", async () => {
    const { folder, model, data } = await cnnFolder(transposed());
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.opHistogram.after.QLinearConv).toBe(2);
    expect(json.integerShare).toBeCloseTo(2 / 3);
    expect(json.findings.map(({ code }: Json) => code)).toContain("float-left");
    expect(json.size.ratio).toBeGreaterThan(1.5);
    expect(worst(json)).toBeGreaterThan(25);
  });
});

describe("weights in sub-graphs", () => {
  it.each(["w4", "w8", "w8a8-dynamic"])(
    "%s reaches both branches of an If and a weight read from outside",
    async (scheme) => {
      const folder = await workspace();
      const model = await saved(folder, branching());
      const data = await savedArray(folder, "x.npy", samples([16, 64]));
      const json = await quantized([model, "-s", scheme, "--data", data, "-o", join(folder, "small.onnx")]);
      expect(json.kept).toEqual([]);
      expect(json.size.ratio).toBeGreaterThan(2.5);
      expect(worst(json)).toBeGreaterThan(scheme === "w4" ? 9 : 25);
    },
  );

  it.each(["w4", "w8", "w8a8-dynamic"])("%s reaches the body of a Loop", async (scheme) => {
    const folder = await workspace();
    const model = await saved(folder, looping());
    const data = await savedArray(folder, "x.npy", samples([16, 64]));
    const json = await quantized([model, "-s", scheme, "--data", data, "-o", join(folder, "small.onnx")]);
    expect(json.kept).toEqual([]);
    expect(json.size.ratio).toBeGreaterThan(2.5);
    expect(worst(json)).toBeGreaterThan(scheme === "w4" ? 9 : 25);
  });
});
