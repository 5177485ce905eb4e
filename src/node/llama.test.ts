/** llama.cpp on small models that are built here: what it answers, and what happens to files it can't take. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { LanguageSession } from "../engines/language.ts";
import { type LlamaWish, llamaModel } from "../engines/llama-models.case.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { logSumExp } from "../numeric/token-metrics.ts";
import { llamaForTests, llamaMissing } from "./llama-package.case.ts";
import { writeWeights } from "./write-weights.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "fewbit-llama-"));
const open: LanguageSession[] = [];
afterAll(async () => {
  for (const session of open) await session.close();
  rmSync(FOLDER, { recursive: true });
});

let files = 0;
async function save(model: TensorFile): Promise<string> {
  const path = join(FOLDER, `model${++files}.gguf`);
  await writeWeights(model, path);
  return path;
}

async function opened(wish: LlamaWish = {}, context = 64): Promise<LanguageSession> {
  const session = await llamaForTests().open({ path: await save(llamaModel(wish)) }, { context, check: true });
  open.push(session);
  return session;
}

describe.skipIf(llamaMissing !== undefined)("llama.cpp", () => {
  test("a text becomes the tokens of the file's vocabulary, behind the token that begins texts", async () => {
    const session = await opened();
    expect(session).toMatchObject({ vocabulary: 320, context: 64, begin: 1, hasTokenizer: true, threads: 1 });
    // "▁a", "▁t", "o", and "!" by its byte
    expect([...(await session.tokenize("a to!"))].at(0)).toBe(1);
    expect([...(await session.tokenize("a to!"))].at(-1)).toBe(3 + "!".charCodeAt(0));
  });

  test("logits of a window in pieces are those of the whole, and every place has a row", async () => {
    const session = await opened({ seed: 2 });
    const tokens = Int32Array.from({ length: 20 }, (_, at) => 3 + 7 * at);
    const whole = await session.start(tokens, 4);
    expect(whole.length).toBe(16 * 320);
    const first = await session.start(tokens.slice(0, 10), 4);
    const rest = await session.proceed(tokens.slice(10));
    const pieces = Float32Array.of(...first, ...rest);
    // sums of another order: attention over 10 + 10 instead of 20 tokens, its cache in half precision
    const apart = whole.reduce((most, value, at) => Math.max(most, Math.abs(value - pieces[at]!)), 0);
    expect(apart).toBeLessThan(0.05);
    expect(Number.isFinite(logSumExp(whole, 0, whole.length))).toBe(true);
  });

  test("the prompt and generated tokens run, and memory is that of the model", async () => {
    const session = await opened({ words: 20_000 });
    await session.prompt(Int32Array.of(1, 5, 6));
    await session.generate(4);
    const { resident, peak, load } = await session.memory();
    // 2 x 20,259 x 64 floats of embeddings and outputs; not all pages of the embeddings are touched
    expect(resident).toBeGreaterThan(5e6);
    expect(peak).toBeGreaterThan(5e6);
    expect(load).toBeGreaterThan(0);
  });

  test("a file without a vocabulary runs on numbers, and says that it reads no text", async () => {
    const session = await opened({ tokenizer: "none" });
    expect(session).toMatchObject({ vocabulary: 320, hasTokenizer: false });
    expect((await session.start(Int32Array.of(1, 2, 3), 2)).length).toBe(320);
    await expect(session.tokenize("a")).rejects.toMatchObject({ code: "unsupported" });
  });

  test("tokens that are none of the vocabulary never reach the engine, nor windows that are too long", async () => {
    const session = await opened();
    await expect(session.start(Int32Array.of(1, 320), 0)).rejects.toMatchObject({ code: "data" });
    await expect(session.start(Int32Array.of(-1), 0)).rejects.toMatchObject({ code: "data" });
    await expect(session.start(new Int32Array(65), 0)).rejects.toMatchObject({ code: "usage" });
    await expect(session.prompt(new Int32Array(0))).rejects.toMatchObject({ code: "usage" });
  });

  test("what the engine says of a model it can't run is one sentence with the model's name", async () => {
    const model = llamaModel();
    const without = new Map([...model.tensors].filter(([name]) => name !== "blk.1.attn_q.weight"));
    const path = await save({ ...model, tensors: without });
    await expect(llamaForTests().open({ path })).rejects.toMatchObject({
      code: "graph",
      message: `llama: ${path}: tensor "blk.1.attn_q.weight" is missing, which its architecture needs`,
    });
    const foreign = new Map([
      ...model.metadata,
      ["general.architecture", { type: "string", value: "nothing" }] as const,
    ]);
    const other = await save({ ...model, metadata: foreign });
    await expect(llamaForTests().open({ path: other })).rejects.toMatchObject({ code: "unsupported" });
  });

  test("a file that makes ggml give up ends its process and nothing else", async () => {
    const model = llamaModel();
    const none = new Map([...model.metadata, ["llama.block_count", { type: "uint32", value: 0 }] as const]);
    const path = await save({ ...model, metadata: none });
    await expect(llamaForTests().open({ path })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringContaining(`llama: ${path}: llama.cpp gave up: hparams.n_layer`),
    });
  });

  test("values that are no numbers are found while opening", async () => {
    const model = llamaModel();
    const bad = model.tensors.get("output.weight")!;
    const size = bad.data.size;
    const data = { size, read: async () => new Uint8Array(size).fill(0xff) };
    const path = await save({ ...model, tensors: new Map([...model.tensors, ["output.weight", { ...bad, data }]]) });
    await expect(llamaForTests().open({ path }, { check: true })).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining('"output.weight"'),
    });
  });

  test("files that fewbit's reader refuses never reach the engine", async () => {
    const path = join(FOLDER, "damaged.gguf");
    writeFileSync(path, Buffer.from("GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0\0", "latin1"));
    await expect(llamaForTests().open({ path })).rejects.toMatchObject({ code: "limit" });
  });

  test("an engine that gives no answer in time is ended, and the next question fails at once", async () => {
    const path = await save(llamaModel());
    await expect(llamaForTests({ timeoutMs: 20 }).open({ path })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringContaining("no answer within 0.02 s"),
    });
  });
});
