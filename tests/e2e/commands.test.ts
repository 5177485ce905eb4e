/** What people do with the commands, from start to end. */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeModel } from "../../src/node/files.ts";
import {
  fewbit,
  fewbitJson,
  type Json,
  listing,
  quantized,
  samples,
  saved,
  savedArray,
  workspace,
} from "./cli.case.ts";
import { cnn, matrices, weights } from "./models.case.ts";

async function folderWithData() {
  const folder = await workspace();
  const model = await saved(folder, matrices());
  const data = await savedArray(folder, "x.npy", samples([40, 64]));
  return { folder, model, data, out: join(folder, "small.onnx") };
}

const names = async (folder: string): Promise<readonly string[]> => Object.keys(await listing(folder));

describe("quantize", () => {
  it("prints the documented JSON with numbers that make sense", async () => {
    const { folder, model, data, out } = await folderWithData();
    await writeFile(join(folder, "labels.json"), JSON.stringify(Array.from({ length: 40 }, (_, i) => i % 16)));
    const { code, json } = await fewbitJson([
      ...["quantize", model, "-s", "w8a8", "-c", data, "--data", data, "-o", out],
      ...["--labels", join(folder, "labels.json"), "--metric", "agreement,mse,cosine"],
    ]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ scheme: "w8a8", integerShare: 1, kept: [] });
    for (const part of [json.size, json.latency, json.memory]) {
      expect(part).toMatchObject({ before: expect.any(Number), after: expect.any(Number), ratio: expect.any(Number) });
      expect(part.before).toBeGreaterThan(0);
    }
    expect(json.size.ratio).toBeCloseTo(json.size.before / json.size.after, 6);
    expect(json.size.before).toBe((await stat(model)).size);
    expect(json.metrics.top1).toEqual({ before: expect.any(Number), after: expect.any(Number) });
    expect(json.metrics.top1.before).toBeLessThanOrEqual(1);
    expect(json.metrics.agreement).toBeGreaterThan(0.85);
    expect(json.metrics.cosine).toBeGreaterThan(0.999);
    expect(json.metrics.sqnr).toBeGreaterThan(25);
    expect(json.seconds).toBeGreaterThan(0);
    expect(json.environment.engine).toMatch(/^ort-(node|web) \d/);
    expect(await names(folder)).toEqual([
      "labels.json",
      "model.onnx",
      "small.onnx",
      "small.report.html",
      "small.report.json",
      "x.npy",
    ]);
    const page = await readFile(join(folder, "small.report.html"), "utf8");
    expect(page).toContain("w8a8");
    expect(page).not.toContain(folder);
    expect(JSON.parse(await readFile(join(folder, "small.report.json"), "utf8"))).toMatchObject({ kind: "quantize" });
  });

  it("writes several schemes into a folder, recommends one, and says why others can't be made", async () => {
    const { folder, model, data } = await folderWithData();
    const { code, json } = await fewbitJson([
      ...["quantize", model, "-s", "w8a8,w8,q8", "-c", data, "-o", join(folder, "out"), "--no-report"],
    ]);
    expect(code).toBe(0);
    expect(json.candidates.map(({ scheme }: Json) => scheme)).toEqual(["w8a8", "w8", "q8"]);
    expect(await names(join(folder, "out"))).toEqual(["model.w8.onnx", "model.w8a8.onnx", "model_quantized.onnx"]);
    const partly = await fewbitJson([
      ...["quantize", model, "-s", "w8a8,w8", "-o", join(folder, "partly"), "--no-report"],
    ]);
    expect(partly.code).toBe(0);
    expect(partly.json.refused).toMatchObject([{ scheme: "w8a8", code: "usage", reason: expect.stringMatching(/-c/) }]);
    expect(await names(join(folder, "partly"))).toEqual(["model.w8.onnx"]);
  });

  it("keeps weights outside the model where they were outside before", async () => {
    const folder = await workspace();
    const model = join(folder, "model.onnx");
    await writeModel(matrices(), model, { external: { location: "model.onnx_data" } });
    const json = await quantized([model, "-s", "w8", "--keep", "node:two"]);
    expect(json.files.map(({ name }: Json) => name)).toEqual(["model.w8.onnx", "model.w8.onnx_data"]);
    expect(json.size.ratio).toBeGreaterThan(1.5);
    const files = await listing(folder);
    expect(Object.keys(files)).toEqual(["model.onnx", "model.onnx_data", "model.w8.onnx", "model.w8.onnx_data"]);
    for (const { name, sha256 } of json.files) expect(files[name]).toBe(sha256);
  });

  it("warns of a model that is far from the original", async () => {
    const folder = await workspace();
    const model = await saved(folder, matrices(weights("first", [64, 64], 1e-6)));
    const data = await savedArray(folder, "x.npy", samples([8, 64]));
    const json = await quantized([model, "-s", "w2", "--data", data, "-o", join(folder, "small.onnx")]);
    expect(json.metrics.sqnr).toBeLessThan(6);
    expect(json.findings).toContainEqual(expect.objectContaining({ code: "far-off", severity: "warning" }));
  });

  it("chooses a scheme by itself and says which, and why", async () => {
    const { model, data, out } = await folderWithData();
    const json = await quantized([model, "-c", data, "-o", out]);
    expect(json.scheme).toBe("w8a8");
    expect(json.findings).toContainEqual(expect.objectContaining({ code: "default-scheme" }));
  });

  it("--dry-run prints plans with sizes and writes nothing", async () => {
    const { folder, model } = await folderWithData();
    const before = await listing(folder);
    const { code, json } = await fewbitJson(["quantize", model, "-s", "w8,w4,w8a8", "--dry-run"]);
    expect(code).toBe(0);
    expect(json.plans.map(({ scheme }: Json) => scheme)).toEqual(["w8", "w4", "w8a8"]);
    for (const { bytes } of json.plans) expect(bytes.after).toBeLessThan(bytes.before / 2);
    const text = await fewbit(["quantize", model, "-s", "w4", "--dry-run"]);
    expect(text.stdout).toMatch(/weights 20\.5 kB -> 3\.28 kB/);
    expect(text.stdout).toContain("nothing was written");
    expect(await listing(folder)).toEqual(before);
  });

  it("--max-drop that is not met: exit code 3 and nothing written; --force writes it", async () => {
    const { folder, model, data, out } = await folderWithData();
    const before = await listing(folder);
    const wish = ["quantize", model, "-s", "w2", "--data", data, "--max-drop", "0.01", "-o", out];
    const missed = await fewbitJson(wish);
    expect(missed.code).toBe(3);
    expect(missed.json.contract).toMatchObject({ met: false, maxDrop: 0.0001 });
    expect(missed.json.contract.drop).toBeGreaterThan(0.0001);
    expect(missed.json.output).toBeUndefined();
    expect(await listing(folder)).toEqual(before);
    const forced = await fewbitJson([...wish, "--force", "--no-report"]);
    expect(forced.json.contract.met).toBe(false);
    expect(forced.code).toBe(3);
    expect(await names(folder)).toContain("small.onnx");
  });

  it("--max-drop that is met writes the model", async () => {
    const { folder, model, data, out } = await folderWithData();
    const json = await quantized([model, "-s", "w8", "--data", data, "--max-drop", "1", "-o", out]);
    expect(json.contract).toMatchObject({ met: true });
    expect(await names(folder)).toContain("small.onnx");
  });

  it("--stats saves what calibration saw; the next run needs no samples and makes the same model", async () => {
    const { folder, model, data } = await folderWithData();
    const stats = join(folder, "stats.json");
    await quantized([model, "-s", "w8a8", "-c", data, "--stats", stats, "-o", join(folder, "a.onnx")]);
    await quantized([model, "-s", "w8a8", "--stats", stats, "-o", join(folder, "b.onnx")]);
    const files = await listing(folder);
    expect(files["b.onnx"]).toBe(files["a.onnx"]);
    expect(JSON.parse(await readFile(stats, "utf8"))).toMatchObject({ version: 1, samples: 40 });
  });

  it.each([
    ["op:Gemm", ["head"]],
    ["node:top", ["top"]],
    ["^(left|right)$", ["left", "right"]],
  ])("--keep %s leaves those nodes in float and says so", async (rule, kept) => {
    const folder = await workspace();
    const model = await saved(folder, cnn());
    const data = await savedArray(folder, "x.npy", samples([8, 3, 16, 16]));
    const json = await quantized([model, "-s", "w8a8", "-c", data, "--keep", rule, "-o", join(folder, "s.onnx")]);
    expect(json.kept.filter(({ byUser }: Json) => byUser).map(({ node }: Json) => node)).toEqual(kept);
    expect(json.integerShare).toBeCloseTo((5 - kept.length) / 5);
    expect(json.metrics.sqnr).toBeGreaterThan(25);
  });

  it("--recipe gives nodes schemes of their own", async () => {
    const { folder, model, data, out } = await folderWithData();
    const recipe = join(folder, "recipe.json");
    const rules = [
      { match: { op: ["MatMul"] }, scheme: "w4" },
      { match: { node: "two" }, scheme: "keep", reason: "the head matters" },
    ];
    await writeFile(recipe, JSON.stringify({ scheme: "w8", rules }));
    const json = await quantized([model, "--recipe", recipe, "--data", data, "-o", out]);
    expect(json.scheme).toBe("w8");
    expect(json.kept).toMatchObject([{ node: "two", reason: "the head matters", byUser: true }]);
    expect(json.opHistogram.after.MatMulNBits).toBe(1);
  });

  it("--eval measures both models with the user's own metric", async () => {
    const { folder, model, data, out } = await folderWithData();
    const script = join(folder, "metric.mjs");
    await writeFile(
      script,
      `export default async ({ run, model }) => {
        const x = { dtype: "float32", shape: [1, 64], data: new Float32Array(64).fill(0.5) };
        const { y } = await run({ x });
        return model === "model.onnx" ? y.data.length + y.data[0] : -1;
      };`,
    );
    const json = await quantized([model, "-s", "w8", "--data", data, "--eval", script, "-o", out]);
    expect(json.metrics.eval.before).toBeGreaterThan(10);
    expect(json.metrics.eval.after).toBeCloseTo(json.metrics.eval.before, 1);
  });

  it("refuses to quantize what is quantized already", async () => {
    const folder = await workspace();
    const model = await saved(folder, matrices());
    const json = await quantized([model, "-s", "w8", "-o", join(folder, "s.onnx")]);
    expect(json.findings.map(({ code }: Json) => code)).toContain("no-data");
    const again = await fewbitJson(["quantize", join(folder, "s.onnx"), "-s", "w8", "-o", join(folder, "t.onnx")]);
    expect(again.code).toBe(1);
    expect(again.json.error.message).toMatch(/w8 fits no node/);
  });
});

describe("the other commands", () => {
  it("compare two models, as JSON and as a table", async () => {
    const { folder, model, data, out } = await folderWithData();
    await quantized([model, "-s", "w4", "-o", out]);
    const before = await listing(folder);
    const { code, json } = await fewbitJson(["compare", model, out, "--data", data]);
    expect(code).toBe(0);
    expect(json.size.ratio).toBeGreaterThan(3);
    expect(json.metrics.cosine).toBeGreaterThan(0.95);
    expect(json.metrics.sqnr).toBeGreaterThan(9);
    const table = await fewbit(["compare", model, out, "--data", data]);
    expect(table).toMatchObject({ code: 0, stdout: expect.stringContaining("cosine") });
    const missed = await fewbitJson(["compare", model, out, "--data", data, "--max-drop", "0.0001"]);
    expect(missed).toMatchObject({ code: 3, json: { contract: { met: false } } });
    expect(await fewbit(["compare", model, out])).toMatchObject({ code: 2 });
    expect(await listing(folder)).toEqual(before);
  });

  it("bench models in turns, as JSON and as a table", async () => {
    const { folder, model, out } = await folderWithData();
    await quantized([model, "-s", "w8a8-dynamic", "-o", out]);
    const before = await listing(folder);
    const { code, json } = await fewbitJson(["bench", model, out, "--runs", "5"]);
    expect(code).toBe(0);
    expect(json.rows.map(({ name }: Json) => name)).toEqual(["model.onnx", "small.onnx"]);
    expect(json.rows[0]).toMatchObject({ speedup: 1, batch: 1 });
    for (const row of json.rows) expect(row.p90).toBeGreaterThanOrEqual(row.median);
    const table = await fewbit(["bench", model, "--runs", "3"]);
    expect(table).toMatchObject({ code: 0, stdout: expect.stringContaining("model.onnx") });
    expect(await listing(folder)).toEqual(before);
  });

  it("inspect a model, as JSON and as a table", async () => {
    const { folder, model } = await folderWithData();
    const { code, json } = await fewbitJson(["inspect", model]);
    expect(code).toBe(0);
    expect(json).toMatchObject({
      kind: "inspect",
      parameters: 64 * 64 + 64 * 16,
      inputs: [{ name: "x", dtype: "float32", shape: ["batch", 64] }],
      findings: [],
    });
    expect(json.ops).toContainEqual(expect.objectContaining({ op: "MatMul", count: 2, quantizable: 2 }));
    expect(await fewbit(["inspect", model])).toMatchObject({ code: 0, stdout: expect.stringContaining("MatMul") });
    expect(await names(folder)).toEqual(["model.onnx", "x.npy"]);
  });

  it("schemes of a model: what they promise is what quantize writes", async () => {
    const { folder, model } = await folderWithData();
    const { code, json } = await fewbitJson(["schemes", model]);
    expect(code).toBe(0);
    const fitting = json.schemes.filter(({ fits }: Json) => fits).map(({ name }: Json) => name);
    expect(fitting).toEqual(expect.arrayContaining(["w8a8", "w8a8-dynamic", "w8", "w4", "fp16", "q8", "q4"]));
    const w4 = json.schemes.find(({ name }: Json) => name === "w4");
    const made = await quantized([model, "-s", "w4", "-o", join(folder, "s.onnx")]);
    // besides weights a file holds names and the graph, less than 2 KB here
    expect(made.size.after).toBeGreaterThan(w4.bytes);
    expect(made.size.after - w4.bytes).toBeLessThan(2048);
    expect(await fewbit(["schemes", model])).toMatchObject({ code: 0, stdout: expect.stringContaining("w8a8") });
    expect(await fewbit(["schemes"])).toMatchObject({ code: 0, stdout: expect.stringContaining("nf4") });
  });
});

describe("a transformers.js folder", () => {
  const config = { model_type: "bert", "x-unknown": { keep: [1, 2, 3] }, "transformers.js_config": { dtype: "q8" } };

  async function modelFolder(second = matrices()) {
    const folder = await workspace();
    await mkdir(join(folder, "onnx"));
    await writeFile(join(folder, "config.json"), JSON.stringify(config, null, 2));
    await saved(join(folder, "onnx"), matrices(), "encoder_model.onnx");
    await saved(join(folder, "onnx"), second, "decoder_model.onnx");
    return folder;
  }

  it("gets every session in every dtype, and config.json keeps what it held", async () => {
    const folder = await modelFolder();
    const { code, json } = await fewbitJson(["quantize", folder, "-s", "q8,q4,fp16", "--no-report"]);
    expect(code).toBe(0);
    expect(json.candidates).toHaveLength(6);
    expect(await names(join(folder, "onnx"))).toEqual(
      ["decoder", "encoder"].flatMap((name) =>
        ["", "_fp16", "_q4", "_quantized"].map((suffix) => `${name}_model${suffix}.onnx`),
      ),
    );
    expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toMatchObject(config);
    expect(JSON.parse(await readFile(join(folder, "quantize_config.json"), "utf8"))).toMatchObject({
      modes: ["q8", "q4", "fp16"],
    });
  });

  it("gets no file of a dtype that one session can't have", async () => {
    const plain = { ...matrices(), graph: { ...matrices().graph } };
    const folder = await modelFolder({
      ...plain,
      graph: {
        ...plain.graph,
        nodes: plain.graph.nodes.map((node) => (node.op === "MatMul" ? { ...node, op: "Gemm" } : node)),
      },
    });
    const { code, json } = await fewbitJson(["quantize", folder, "-s", "q8,q4", "--no-report"]);
    expect(code).toBe(0);
    expect(json.refused).toMatchObject([{ scheme: "decoder_model q4", code: "unsupported" }]);
    expect(await names(join(folder, "onnx"))).toEqual([
      "decoder_model.onnx",
      "decoder_model_quantized.onnx",
      "encoder_model.onnx",
      "encoder_model_quantized.onnx",
    ]);
    expect(json.candidates.find(({ scheme }: Json) => scheme === "encoder_model q4")).toMatchObject({
      files: [],
      findings: expect.arrayContaining([expect.objectContaining({ code: "incomplete", severity: "error" })]),
    });
    expect(JSON.parse(await readFile(join(folder, "quantize_config.json"), "utf8"))).toMatchObject({ modes: ["q8"] });
  });

  it("stays as it was when no dtype can be made", async () => {
    const broken = matrices();
    const folder = await modelFolder({ ...broken, opsets: { "": 99 } });
    const before = await listing(folder);
    const { code, json } = await fewbitJson(["quantize", folder, "-s", "q8,q4"]);
    expect(code).toBe(1);
    expect(json.error.message).toMatch(/decoder_model.*99/);
    expect(await listing(folder)).toEqual(before);
  });

  it("whose models lie beside config.json gets an onnx folder, the originals in it", async () => {
    const folder = await workspace();
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await saved(folder, matrices());
    const { code } = await fewbitJson(["quantize", folder, "-s", "q4", "--no-report"]);
    expect(code).toBe(0);
    expect(await names(folder)).toEqual([
      ...["config.json", "model.onnx", "onnx", "onnx/model.onnx", "onnx/model_q4.onnx", "quantize_config.json"],
    ]);
  });
});
