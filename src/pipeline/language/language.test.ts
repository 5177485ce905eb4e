/** Perplexity, divergence and speed of small models that llama.cpp really runs. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { LanguageSession } from "../../engines/language.ts";
import { type LlamaWish, llamaModel } from "../../engines/llama-models.case.ts";
import { llamaForTests, llamaMissing } from "../../node/llama-package.case.ts";
import { openWeights } from "../../node/open-weights.ts";
import { writeWeights } from "../../node/write-weights.ts";
import type { FileTypeName } from "../../recipes/ggml/index.ts";
import { noHooks } from "../progress.ts";
import { planWeights, quantizeWeights } from "../weights/index.ts";
import { compareModels, perplexityOf } from "./quality.ts";
import { measureSpeed } from "./speed.ts";
import { windowsOf } from "./windows.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "fewbit-language-"));
const open: LanguageSession[] = [];
afterAll(async () => {
  for (const session of open) await session.close();
  rmSync(FOLDER, { recursive: true });
});

async function opened(path: string, context: number): Promise<LanguageSession> {
  const session = await llamaForTests().open({ path }, { context });
  open.push(session);
  return session;
}

async function modelFile(name: string, wish: LlamaWish): Promise<string> {
  const path = join(FOLDER, `${name}.gguf`);
  await writeWeights(llamaModel(wish), path);
  return path;
}

/** All tensors as the file type wants, whatever the mix says. */
async function quantized(path: string, type: FileTypeName): Promise<string> {
  const { weights, close } = await openWeights(path);
  const output = path.replace(/\.gguf$/, `.${type}.gguf`);
  const { file } = await quantizeWeights(weights, planWeights(weights, type, { pure: true }));
  await writeWeights(file, output);
  await close();
  return output;
}

const TEXT = "the rain in the rest of the land is soon over, and all is dry then ".repeat(4);

describe.skipIf(llamaMissing !== undefined)("language models that run", () => {
  test("a model differs from itself in nothing, and its perplexity is that of the pair", async () => {
    const path = await modelFile("same", {});
    const [before, after] = [await opened(path, 64), await opened(path, 64)];
    const text = await windowsOf(before, { origin: "text", text: TEXT });
    const found = await compareModels(before, after, text, noHooks);
    expect(found.divergence).toEqual({ mean: { value: 0, error: 0 }, median: 0, p99: 0, max: 0 });
    expect(found.agreement.value).toBe(1);
    expect(found.perplexity!.ratio).toEqual({ value: 1, error: 0 });
    expect(found.perplexity!.before).toEqual(await perplexityOf(before, text, noHooks));
    expect(found.notFinite).toEqual({ before: 0, after: 0 });
  });

  test("fewer bits are farther away", async () => {
    const path = await modelFile("bits", { width: 256, layers: 1 });
    const before = await opened(path, 64);
    const text = await windowsOf(before, { origin: "text", text: TEXT });
    const apart: number[] = [];
    for (const type of ["q8_0", "q4_k_m", "q2_k"] as const) {
      const after = await opened(await quantized(path, type), 64);
      const { divergence, agreement } = await compareModels(before, after, text, noHooks);
      expect(divergence.p99).toBeGreaterThanOrEqual(divergence.median);
      expect(agreement.value).toBeGreaterThan(0);
      apart.push(divergence.mean.value);
    }
    expect(apart).toEqual([...apart].sort((a, b) => a - b));
    expect(apart[0]).toBeGreaterThan(0);
  });

  test("tokens drawn by a seed take the place of a text that can't be read, and give no perplexity", async () => {
    const session = await opened(await modelFile("none", { tokenizer: "none" }), 128);
    const text = await windowsOf(session, { origin: "random tokens", seed: 0 });
    expect(text.summary).toMatchObject({ random: true, context: 64, windows: 2, predicted: 62 });
    expect(await compareModels(session, session, text, noHooks)).not.toHaveProperty("perplexity");
  });

  test("speeds are measured in turns, and a slower model shows", async () => {
    const small = await opened(await modelFile("little", {}), 64);
    const large = await opened(await modelFile("large", { width: 512, layers: 6 }), 64);
    const { setup, rows } = await measureSpeed([large, small], noHooks, { rounds: 3 });
    expect(setup).toEqual({ promptTokens: 64, generatedTokens: 32, rounds: 3 });
    expect(rows[0]!.promptFaster).toBe(1);
    // about 200 times the work; the rest is calls
    expect(rows[1]!.promptFaster).toBeGreaterThan(2);
    expect(rows[1]!.prompt).toBeGreaterThan(rows[0]!.prompt);
  });

  test("models of different vocabularies are not compared", async () => {
    const [one, other] = [await modelFile("one", {}), await modelFile("other", { words: 70 })];
    const [before, after] = [await opened(one, 64), await opened(other, 64)];
    const text = await windowsOf(before, { origin: "text", text: TEXT });
    await expect(compareModels(before, after, text, noHooks)).rejects.toMatchObject({ code: "data" });
  });
});

const DATA = resolve(import.meta.dirname, "../../../../shared/data/stories260K");
const noStories =
  llamaMissing ?? (existsSync(join(DATA, "stories260K_f32.gguf")) ? undefined : `no ${DATA}/stories260K_f32.gguf`);
if (noStories !== undefined) console.log(`skipped: perplexity of stories260K: ${noStories}`);

test.skipIf(noStories !== undefined)("perplexity of stories260K is what llama-perplexity prints", async () => {
  const { quantizedPureCtx256, f32 } = JSON.parse(readFileSync(join(DATA, "perplexity.json"), "utf8"));
  const source = await openWeights(join(DATA, "stories260K_f32.gguf"));
  const copy = join(FOLDER, "stories.gguf");
  await writeWeights(source.weights, copy);
  await source.close();
  const before = await opened(copy, 256);
  const text = await windowsOf(before, { origin: "text.txt", text: readFileSync(join(DATA, "text.txt"), "utf8") });
  expect(text.summary).toMatchObject({ tokens: 1410, windows: 5, predicted: 635 });
  expect((await perplexityOf(before, text, noHooks)).value).toBeCloseTo(f32.ctx256, 2);
  for (const [name, expected] of Object.entries(quantizedPureCtx256 as Record<string, number>)) {
    const after = await opened(await quantized(copy, name.toLowerCase() as FileTypeName), 256);
    const { perplexity, divergence } = await compareModels(before, after, text, noHooks);
    console.log(`${name}: ${perplexity!.after.value.toFixed(4)}, divergence ${divergence.mean.value.toFixed(5)}`);
    // kernels for other CPUs sum in another order: the fourth digit may differ
    expect(perplexity!.after.value, name).toBeCloseTo(expected, 2);
    expect(perplexity!.after.error).toBeCloseTo(0.28, 1);
  }
});
