/** fewbit quantize for GGUF files: what is written, what is refused and in which words, and that nothing is left behind. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encodeGguf, readGguf } from "../containers/gguf/index.ts";
import { bytesSource, collect } from "../ir/source.ts";
import type { StoredTensor, TensorFile } from "../ir/tensor-file.ts";
import { bytesOf } from "../numeric/convert.ts";
import { noHooks } from "../pipeline/progress.ts";
import { MODELS } from "../pipeline/weights/models.case.ts";
import type { WeightsQuantizeReport } from "../pipeline/weights/report.ts";
import type { QuantizeRequest } from "./requests.ts";
import { plan, quantize } from "./services.ts";

const folder = mkdtempSync(join(tmpdir(), "fewbit-weights-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;

/** Writes a model to a folder of its own. */
async function fileOf(model: TensorFile): Promise<string> {
  const path = join(mkdtempSync(join(folder, "m")), `model${made++}.gguf`);
  writeFileSync(path, await collect(encodeGguf(model)[0]!));
  return path;
}

const request = (model: string, scheme: string, changes: Partial<QuantizeRequest> = {}): QuantizeRequest => ({
  ...{ model, schemes: [scheme], keep: [], force: false, embeddings: false, threads: 1, command: "test" },
  ...changes,
});

const run = async (path: string, scheme: string, changes?: Partial<QuantizeRequest>) =>
  (await quantize(request(path, scheme, changes), noHooks)) as WeightsQuantizeReport;

/** The plain model with one tensor's values changed. */
function changed(name: string, change: (values: Float32Array) => void): TensorFile {
  const model = MODELS.plain!;
  const old = model.tensors.get(name)!;
  const values = new Float32Array(old.shape.reduce((a, b) => a * b, 1)).fill(0.5);
  change(values);
  const tensor: StoredTensor = { ...old, data: bytesSource(bytesOf(values)) };
  return { ...model, tensors: new Map([...model.tensors, [name, tensor]]) };
}

test("the file lies beside the model under the scheme's name, and the report tells of every tensor", async () => {
  const path = await fileOf(MODELS.plain!);
  const report = await run(path, "Q4_K");
  expect(report).toMatchObject({
    kind: "quantize-weights",
    scheme: "q4_k_m",
    output: path.replace(".gguf", ".q4_k_m.gguf"),
  });
  const bytes = readFileSync(report.output!);
  expect(report.size.after).toBe(bytes.length);
  const { tensors } = await readGguf(bytesSource(bytes));
  expect(report.tensors.map(({ to }) => to)).toEqual([...tensors.values()].map(({ type }) => type));
  for (const { from, to, sqnr } of report.tensors) expect(sqnr === undefined).toBe(from === to);
  // 4 bits and their scales leave some 20 dB of normal values with outliers.
  for (const { to, sqnr } of report.tensors) if (to === "q4_k") expect(sqnr).toBeGreaterThan(15);
  expect(report.findings.map(({ code }) => code)).toEqual(["not-run"]);
});

test("a dry run knows the size to the byte and writes nothing", async () => {
  const path = await fileOf(MODELS.short!);
  const planned = (await plan(request(path, "q3_k_m"), noHooks)) as WeightsQuantizeReport;
  expect(readdirSync(join(path, ".."))).toHaveLength(1);
  const report = await run(path, "q3_k_m");
  expect(planned.size.after).toBe(report.size.after);
  expect(planned.findings[0]?.message).toMatch(
    /3 tensors have another type .*"blk.0.ffn_down.weight" is q\w+ instead of q\w+/,
  );
});

test("overrides and keep rules hold, and those that match nothing are errors", async () => {
  const path = await fileOf(MODELS.plain!);
  const ggml = { tensorTypes: [{ pattern: /ffn_down/, type: "Q8_0" }] };
  const keep = [{ kind: "regex", pattern: /attn_v/ }] as const;
  const report = await run(path, "q4_0", { ggml, keep });
  const types = new Map(report.tensors.map(({ name, to }) => [name, to]));
  expect([types.get("blk.3.ffn_down.weight"), types.get("blk.3.attn_v.weight")]).toEqual(["q8_0", "float32"]);
  const nothing = { tensorTypes: [{ pattern: /ffn_norm/, type: "q8_0" }] };
  await expect(run(path, "q4_0", { ggml: nothing })).rejects.toThrow("--tensor-type ffn_norm=q8_0 matches no tensor");
  await expect(run(path, "q4_0", { keep: [{ kind: "regex", pattern: /nope/ }] })).rejects.toThrow(
    "--keep nope matches no",
  );
  await expect(run(path, "q4_0", { ggml: { tensorTypes: [{ pattern: /a/, type: "q9" }] } })).rejects.toThrow(
    "no type q9",
  );
});

test("what can't be quantized is refused by tensor and index, and leaves nothing behind", async () => {
  const name = "blk.5.ffn_up.weight";
  const bad = await fileOf(changed(name, (values) => void values.fill(Number.NaN, 300, 301)));
  await expect(run(bad, "q4_k_m")).rejects.toThrow(`tensor "${name}": the value at index 300 is NaN`);
  const huge = await fileOf(changed(name, (values) => void values.fill(1e38, 256, 300)));
  await expect(run(huge, "q8_0")).rejects.toThrow(
    `tensor "${name}": the values from index 256 on are too large for q8_0`,
  );
  for (const path of [bad, huge]) expect(readdirSync(join(path, ".."))).toHaveLength(1);
});

test("types that need importance say so, and the same of what is quantized already", async () => {
  const path = await fileOf(MODELS.plain!);
  await expect(run(path, "iq2_xs")).rejects.toThrow(
    /tensor "blk.0.attn_k.weight": iq2_xs needs an importance matrix; give one with --imatrix/,
  );
  const { output } = await run(path, "q8_0");
  await expect(run(output!, "q4_0")).rejects.toThrow(/it is q8_0 already, and quantizing twice costs accuracy/);
  expect((await run(output!, "q4_0", { ggml: { requantize: true } })).tensors.some(({ to }) => to === "q4_0")).toBe(
    true,
  );
});

test("options of graphs are refused for GGUF, and schemes of graphs too", async () => {
  const path = await fileOf(MODELS.plain!);
  await expect(run(path, "q8_0", { maxDrop: 1 })).rejects.toThrow("--max-drop is about perplexity for GGUF");
  await expect(run(path, "w8a8")).rejects.toThrow("scheme w8a8 is not one of GGUF's");
});

test("an interrupted run leaves nothing", async () => {
  const path = await fileOf(MODELS.plain!);
  const aborted = new AbortController();
  const progress = {
    step() {
      aborted.abort();
      return { tick() {}, done() {} };
    },
    note() {},
  };
  await expect(quantize(request(path, "q4_k_m"), { progress, signal: aborted.signal })).rejects.toThrow("interrupted");
  expect(readdirSync(join(path, ".."))).toHaveLength(1);
});
