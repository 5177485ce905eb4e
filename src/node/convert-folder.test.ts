/** fewbit convert of folders on disk: the file of llama.cpp's converter, all or nothing, and nothing outside the folder. */
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { folderFiles, golden, weightFiles } from "../lowering/gguf/folders.case.ts";
import type { ConvertFolderReport } from "../pipeline/convert-folder.ts";
import { noHooks } from "../pipeline/progress.ts";
import { llamaMissing } from "./llama-package.case.ts";
import type { ConvertFolderRequest } from "./requests.ts";
import { compare, convert, plan, quantize } from "./services.ts";

const root = mkdtempSync(join(tmpdir(), "fewbit-convert-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const { models } = golden();
let made = 0;

/** Writes a folder of the golden file to a place of its own; the name stays, since it is part of the result. */
async function folderOf(name: string): Promise<string> {
  const found = models.find((model) => model.name === name)!;
  const path = join(root, String(made++), name);
  mkdirSync(path, { recursive: true });
  for (const [file, bytes] of [...folderFiles(found).files, ...(await weightFiles(found))])
    writeFileSync(join(path, file), bytes);
  return path;
}

const request = (model: string, changes: Partial<ConvertFolderRequest> = {}) => ({
  ...{ model, output: join(model, "..", "out.gguf"), threads: 1, command: "test" },
  ...changes,
});
const run = async (model: string, changes: Partial<ConvertFolderRequest> = {}, hooks = noHooks) =>
  (await convert(request(model, changes), hooks)) as ConvertFolderReport;
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const expected = (name: string, type: string) => models.find((model) => model.name === name)!.outputs[type]!;

/** Where no engine is. */
const withoutEngine = () => vi.stubEnv("FEWBIT_LLAMA", tmpdir());
afterEach(() => void vi.unstubAllEnvs());

const LLAMA = "Tiny-Llama-2-7b-chat-hf";
const QWEN = "Qwen2.5-0.5B-Instruct";

test.each([
  [LLAMA, "q8_0"],
  [QWEN, "auto"],
] as const)("%s as %s is the converter's file, and the report tells of it", async (name, type) => {
  withoutEngine();
  const folder = await folderOf(name);
  const report = await run(folder, { type });
  const golden = expected(name, type);
  expect(sha256(join(folder, "..", "out.gguf"))).toBe(golden.sha256);
  expect(report).toMatchObject({
    ...{ kind: "convert-folder", tensors: golden.tensors.length, files: [{ name: "out.gguf", sha256: golden.sha256 }] },
    ...{ model: { name, files: name === QWEN ? 3 : 1 }, size: { after: golden.bytes } },
    findings: [{ code: "not-run" }],
  });
});

test("the weights in a folder name it too", async () => {
  const folder = await folderOf(QWEN);
  await run(join(folder, "model.safetensors.index.json"), { output: join(folder, "..", "out.gguf") });
  expect(sha256(join(folder, "..", "out.gguf"))).toBe(expected(QWEN, "auto").sha256);
});

test("a dry run tells the exact size and writes nothing", async () => {
  const folder = await folderOf(LLAMA);
  const report = await run(folder, { type: "f16", dryRun: true });
  expect(report.size.after).toBe(expected(LLAMA, "f16").bytes);
  expect([report.output, report.files, report.type, report.tokenizer]).toEqual([
    ...[undefined, [], "f16"],
    { model: "llama", pre: "default", tokens: 320 },
  ]);
  expect(readdirSync(join(folder, ".."))).toEqual([basename(folder)]);
});

test.each<[string, (folder: string) => Partial<ConvertFolderRequest> | undefined, string]>([
  ["a file of another kind", () => ({ output: join(root, "out.onnx") }), "can't become out.onnx"],
  ["no config.json", (folder) => void rmSync(join(folder, "config.json")), "it has no config.json"],
  [
    "a shard that is missing",
    (folder) => void rmSync(join(folder, "model-00002-of-00002.safetensors")),
    "model-00002-of-00002.safetensors",
  ],
  [
    "a file beyond its limit",
    (folder) => void truncateSync(join(folder, "README.md"), 2 ** 31),
    'README.md": 2147483648 bytes; at most',
  ],
  [
    "a folder in place of a file",
    (folder) => {
      rmSync(join(folder, "tokenizer.json"));
      mkdirSync(join(folder, "tokenizer.json"));
      return undefined;
    },
    'tokenizer.json" is a folder',
  ],
  [
    "a link to outside",
    (folder) => {
      rmSync(join(folder, "tokenizer.json"));
      writeFileSync(join(root, "secret.json"), "{}");
      symlinkSync(join(root, "secret.json"), join(folder, "tokenizer.json"));
      return undefined;
    },
    '"tokenizer.json" is a link to outside',
  ],
  [
    "the model itself as the result",
    (folder) => ({ output: join(folder, "model-00001-of-00002.gguf"), model: join(folder, "x.gguf") }),
    "x.gguf",
  ],
])("%s is refused in one sentence, and nothing is left behind", async (_, change, message) => {
  const folder = await folderOf(QWEN);
  const changes = change(folder);
  const before = readdirSync(join(folder, "..")).sort();
  await expect(run(folder, changes)).rejects.toThrowError(message);
  expect(readdirSync(join(folder, "..")).sort()).toEqual(before);
});

test("links beside links are read, as in Hugging Face's cache", async () => {
  const folder = await folderOf(LLAMA);
  const cache = join(folder, "..", "cache", LLAMA);
  mkdirSync(cache, { recursive: true });
  for (const file of readdirSync(folder)) symlinkSync(join(folder, file), join(cache, file));
  const output = join(folder, "..", "linked.gguf");
  await run(cache, { output, type: "f16" });
  expect(sha256(output)).toBe(expected(LLAMA, "f16").sha256);
});

test("an engine of graphs, and options of folders for models with a graph, are refused", async () => {
  const folder = await folderOf(LLAMA);
  await expect(convert({ ...request(folder), engine: "ort-web" }, noHooks)).rejects.toThrowError(
    "--engine is for models with a graph",
  );
  const tflite = { ...request(join(root, "x.tflite")), pre: "qwen2" };
  await expect(convert(tflite, noHooks)).rejects.toThrowError("--type, --pre and --dry-run are for folders");
});

test("progress counts megabytes, and an interrupted conversion leaves nothing behind", async () => {
  const folder = await folderOf("gpt2 like");
  const abort = new AbortController();
  const ticks: number[] = [];
  const step = (title: string, total?: number, unit?: string) => {
    expect([title, total, unit]).toEqual(["converting to f16", 6, "MB"]);
    const tick = (count = 1) => {
      ticks.push(count);
      abort.abort();
    };
    return { tick, done() {} };
  };
  const hooks = { progress: { step, note() {} }, signal: abort.signal };
  await expect(run(folder, { type: "f16" }, hooks)).rejects.toThrowError("interrupted");
  expect(ticks.length).toBeGreaterThan(0);
  expect(readdirSync(join(folder, ".."))).toEqual([basename(folder)]);
});

test("a folder is quantized to GGUF in one go, as its converted file would be, and nothing is left in between", async () => {
  const folder = await folderOf(LLAMA);
  const common = { schemes: ["q4_0"], keep: [], force: false, embeddings: false, threads: 1, command: "test" };
  const report = await quantize({ ...common, model: folder }, noHooks);
  const direct = join(folder, "..", `${LLAMA}.q4_0.gguf`);
  expect(report).toMatchObject({ kind: "quantize-weights", output: direct, model: { name: LLAMA } });
  await run(folder, { type: "auto" });
  const output = join(folder, "..", "two-steps.gguf");
  await quantize({ ...common, model: join(folder, "..", "out.gguf"), output }, noHooks);
  expect(sha256(direct)).toBe(sha256(output));
  const names = [LLAMA, `${LLAMA}.q4_0.gguf`, "out.gguf", "two-steps.gguf"];
  expect(readdirSync(join(folder, "..")).sort()).toEqual(names.sort());
  await expect(plan({ ...common, model: folder }, noHooks)).rejects.toThrowError("convert it first");
  await expect(quantize({ ...common, schemes: ["q4_0", "w4"], model: folder }, noHooks)).rejects.toThrowError("w4");
  expect(readdirSync(join(folder, "..")).sort()).toEqual(names.sort());
});

const MIXTRAL = "Mixtral-8x1K-Instruct-v0.1";

// llama.cpp has no AMX kernels for q5_0: those for q4_0 and q8_0 answer NaN for experts as small as these
test.each([MIXTRAL, "Qwen1.5-MoE-A2.7B", "Qwen3-30B-A3B"])(
  "experts of %s go into stacks and are quantized there, and llama.cpp runs them where it is installed",
  async (name) => {
    const folder = await folderOf(name);
    const output = join(folder, "..", "q5_0.gguf");
    const common = { schemes: ["q5_0"], keep: [], force: false, embeddings: false, threads: 1, command: "test" };
    const report = await quantize({ ...common, model: folder, output }, noHooks);
    if (report.kind !== "quantize-weights") throw new Error(report.kind);
    const wide = name === MIXTRAL ? "ffn_down_exps" : "ffn_gate_exps";
    expect(report.tensors.find((row) => row.name === `blk.0.${wide}.weight`)).toMatchObject({ to: "q5_0" });
    expect(report.tensors.find((row) => row.name === "blk.0.ffn_gate_inp.weight")).toMatchObject({ to: "float32" });
    if (llamaMissing === undefined) expect(report.run?.quality?.perplexity?.before.value).toBeGreaterThan(1);
  },
);

test("an expert that is missing is refused with its name, and nothing is left behind", async () => {
  const folder = await folderOf(MIXTRAL);
  const config = join(folder, "config.json");
  writeFileSync(config, readFileSync(config, "utf8").replace('"num_local_experts":4', '"num_local_experts":5'));
  await expect(run(folder)).rejects.toThrowError(
    'block_sparse_moe.experts.4.w1.weight" is missing; config.json says "num_local_experts" is 5',
  );
  expect(readdirSync(join(folder, ".."))).toEqual([MIXTRAL]);
});

const TEXT = "the rain in the rest of the land is soon over, and all is dry then. ".repeat(3);
const data = (path: string) => ({ data: { path, seed: 0 } });

describe.skipIf(llamaMissing !== undefined)(
  "where llama.cpp is installed, the new file is run before it gets its name",
  () => {
    test("on a built-in text", async () => {
      const report = await run(await folderOf(LLAMA), { type: "q8_0" });
      expect(report.run).toMatchObject({ engine: "llama 3.22.1", alone: { text: { origin: "built-in text" } } });
      expect(report.run!.alone!.perplexity.value).toBeGreaterThan(1);
      expect(report.findings).toEqual([]);
      expect(sha256(report.output!)).toBe(expected(LLAMA, "q8_0").sha256);
    });

    test("on a text of the user's, whose perplexity is that of the file compared with itself", async () => {
      const folder = await folderOf(LLAMA);
      const text = join(folder, "..", "text.txt");
      writeFileSync(text, TEXT);
      const report = await run(folder, { type: "f16", ...data(text) });
      expect(report.run!.alone!.text).toMatchObject({ origin: "text.txt" });
      const evaluation = { ...data(text), metrics: [] };
      const same = { reference: report.output!, candidate: report.output!, threads: 1, command: "test", evaluation };
      const found = await compare(same, noHooks);
      if (found.kind !== "compare-language") throw new Error(found.kind);
      expect(report.run!.alone!.perplexity.value).toBe(found.run.quality!.perplexity!.before.value);
    });

    test("answers that are no numbers are found by running, and nothing is left behind", async () => {
      const folder = await folderOf(LLAMA);
      const path = join(folder, "model.safetensors");
      const bytes = readFileSync(path);
      const start = 8 + Number(bytes.readBigUInt64LE(0));
      const [from, to] = JSON.parse(bytes.toString("utf8", 8, start))["model.norm.weight"].data_offsets;
      // bfloat16 of 1.3e36: products with it overflow the half precision in which activations get their scales
      bytes.fill(0x7b, start + from, start + to);
      writeFileSync(path, bytes);
      const refused = expect.stringContaining("values that are no numbers");
      await expect(run(folder, { type: "q8_0" })).rejects.toMatchObject({ code: "engine", message: refused });
      expect(readdirSync(join(folder, ".."))).toEqual([basename(folder)]);
    });

    test("texts that are none are refused, and so is a text where nothing is run", async () => {
      const folder = await folderOf(LLAMA);
      writeFileSync(join(folder, "..", "empty.txt"), " ");
      await expect(run(folder, data(join(folder, "..", "empty.txt")))).rejects.toMatchObject({ code: "data" });
      await expect(run(folder, { dryRun: true, ...data("random") })).rejects.toMatchObject({ code: "usage" });
      expect(readdirSync(join(folder, "..")).sort()).toEqual([basename(folder), "empty.txt"].sort());
    });
  },
);

test("a text is a promise to run the file: without the engine nothing is written", async () => {
  withoutEngine();
  const folder = await folderOf(LLAMA);
  await expect(run(folder, data("random"))).rejects.toMatchObject({ code: "engine" });
  expect(readdirSync(join(folder, ".."))).toEqual([basename(folder)]);
});
