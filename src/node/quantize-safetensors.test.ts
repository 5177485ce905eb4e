/** fewbit quantize for folders of safetensors: what is written, what is refused and in which words, and that nothing is left behind. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encodeSafetensors } from "../containers/safetensors/index.ts";
import { bytesSource, collect, readAll } from "../ir/source.ts";
import type { StoredTensor } from "../ir/tensor-file.ts";
import { encodeFloats } from "../numeric/convert.ts";
import { rng } from "../numeric/rng.ts";
import { noHooks } from "../pipeline/progress.ts";
import type { WeightsQuantizeReport } from "../pipeline/weights/report.ts";
import { openWeights } from "./open-weights.ts";
import { wantsSafetensors } from "./quantize-safetensors.ts";
import type { QuantizeRequest } from "./requests.ts";
import { inspect, plan, quantize } from "./services.ts";

const root = mkdtempSync(join(tmpdir(), "fewbit-compressed-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const random = rng(3);

type Float = "float32" | "float16" | "bfloat16";

const POOL = Float32Array.from({ length: 1 << 15 }, () => random.normal() * 0.05);

/** A tensor of values that follow from its name. */
function tensor(name: string, shape: readonly number[], type: Float = "bfloat16"): StoredTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = POOL.subarray(name.length, name.length + count);
  return { name, type, shape, data: bytesSource(encodeFloats(values, type)) };
}

const layer = (index: number, type?: Float): readonly StoredTensor[] => {
  const name = (rest: string) => `model.layers.${index}.${rest}.weight`;
  return [
    tensor(name("input_layernorm"), [128], type),
    tensor(name("self_attn.q_proj"), [64, 128], type),
    tensor(name("self_attn.k_proj"), [32, 128], type),
    tensor(name("self_attn.v_proj"), [32, 128], type),
    tensor(name("self_attn.o_proj"), [128, 128], type),
    tensor(name("mlp.gate_proj"), [96, 128], type),
    tensor(name("mlp.up_proj"), [96, 128], type),
    // 96 is no multiple of 128, but of 32
    tensor(name("mlp.down_proj"), [128, 96], type),
  ];
};

const model = (type?: Float, more: readonly StoredTensor[] = []): readonly StoredTensor[] => [
  tensor("model.embed_tokens.weight", [40, 128], type),
  ...layer(0, type),
  ...layer(1, type),
  tensor("model.norm.weight", [128], type),
  tensor("lm_head.weight", [40, 128], type),
  ...more,
];

/** As others write it: odd spacing, a number that JavaScript prints otherwise. */
const CONFIG = `{\n    "model_type": "llama",\n    "rms_norm_eps": 1e-06, "dtype":"bfloat16"\n}\n`;

let made = 0;

/** A model folder of its own below `root`. */
async function folderOf(tensors: readonly StoredTensor[] = model(), config: string | null = CONFIG): Promise<string> {
  const folder = join(root, `case${made++}`, "model");
  mkdirSync(folder, { recursive: true });
  const byName = new Map(tensors.map((one) => [one.name, one]));
  const file = { container: "safetensors", formatVersion: 1, metadata: new Map(), tensors: byName } as const;
  for (const part of encodeSafetensors(file, { maxBytes: 60_000 }))
    writeFileSync(join(folder, part.name), await collect(part));
  if (config !== null) writeFileSync(join(folder, "config.json"), config);
  writeFileSync(join(folder, "tokenizer.json"), "{}");
  return folder;
}

const request = (folder: string, scheme: string, changes: Partial<QuantizeRequest> = {}): QuantizeRequest => ({
  ...{ model: folder, schemes: [scheme], keep: [], force: false, embeddings: false, threads: 1, command: "test" },
  ...changes,
});

const run = async (folder: string, scheme: string, changes?: Partial<QuantizeRequest>, hooks = noHooks) =>
  (await quantize(request(folder, scheme, changes), hooks)) as WeightsQuantizeReport;

const keep = (...patterns: readonly RegExp[]) => ({
  keep: patterns.map((pattern) => ({ kind: "regex", pattern }) as const),
});

const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));

/** What lies beside the model's folder: results and leftovers. */
const beside = (folder: string): readonly string[] => readdirSync(dirname(folder)).filter((name) => name !== "model");

test("a new folder beside the model, with config.json changed in one place and everything else copied", async () => {
  const folder = await folderOf();
  mkdirSync(join(folder, "extra"));
  writeFileSync(join(folder, "extra/chat_template.jinja"), "{{ x }}");
  writeFileSync(join(folder, "pytorch_model.bin"), "weights");
  writeFileSync(join(folder, ".gitattributes"), "hidden");
  const report = await run(folder, "w4");
  expect(report.output).toBe(`${folder}-w4`);
  expect(beside(folder)).toEqual(["model-w4"]);
  const files = readdirSync(report.output!, { recursive: true }).map(String).sort();
  expect(files).toEqual(["config.json", "extra", "extra/chat_template.jinja", "model.safetensors", "tokenizer.json"]);
  const config = readFileSync(join(report.output!, "config.json"), "utf8");
  expect(config.startsWith(CONFIG.slice(0, CONFIG.indexOf("\n}")))).toBe(true);
  expect(Object.keys(JSON.parse(config))).toEqual(["model_type", "rms_norm_eps", "dtype", "quantization_config"]);
  expect(report.findings.map(({ code }) => code)).toEqual(["not-run", "fallback", "tiles", "left-out"]);
  expect(report.findings.at(-1)?.message).toMatch(/pytorch_model\.bin$/);
});

test("the report tells of every tensor, and the error is that of what was written", async () => {
  const folder = await folderOf();
  const { tensors, size, files, output } = await run(folder, "w8");
  expect(tensors).toHaveLength(19);
  for (const { name, from, to, sqnr } of tensors) {
    const isLinear = /_proj/.test(name) && !name.includes("down_proj");
    expect([to, sqnr !== undefined], name).toEqual(isLinear ? ["int8", true] : [from, false]);
    // 8 bits of normal values give some 43 dB
    if (isLinear) expect(sqnr).toBeGreaterThan(40);
  }
  expect(size.after).toBe(statSync(join(output!, "model.safetensors")).size);
  expect(files.map(({ name }) => name)).toEqual(["model.safetensors", "config.json"]);
});

describe.each(["float32", "float16", "bfloat16"] as const)("from %s", (type) => {
  test.each(["w8", "w4", "w8a8-dynamic", "fp8"])("%s: a dry run tells the size to the byte", async (scheme) => {
    const folder = await folderOf(model(type));
    const changes = { ggml: { maxShardBytes: 40_000 }, ...(scheme === "w4" && { weights: "asymmetric" as const }) };
    const planned = (await plan(request(folder, scheme, changes), noHooks)) as WeightsQuantizeReport;
    expect(beside(folder)).toEqual([]);
    const report = await run(folder, scheme, changes);
    expect(planned.size).toEqual(report.size);
    const weights = report.files.filter(({ name }) => name.startsWith("model"));
    expect(weights.reduce((sum, { size }) => sum + size, 0)).toBe(planned.size.after);
    expect(weights.length).toBeGreaterThan(2);
    for (const { name, size } of report.files) expect(statSync(join(report.output!, name)).size).toBe(size);
  });
});

test("several files hold the tensors of one, and inspect reads them", async () => {
  const folder = await folderOf();
  const whole = await run(folder, "w4", { weights: "asymmetric", output: join(dirname(folder), "whole") });
  const parts = await run(folder, "w4", {
    weights: "asymmetric",
    output: join(dirname(folder), "parts"),
    ggml: { maxShardBytes: 30_000 },
  });
  expect(parts.files.length).toBeGreaterThan(3);
  const [one, other] = [await openWeights(whole.output!), await openWeights(parts.output!)];
  expect([...other.weights.tensors.keys()].sort()).toEqual([...one.weights.tensors.keys()].sort());
  for (const { name, data } of one.weights.tensors.values())
    expect(await readAll(other.weights.tensors.get(name)!.data), name).toEqual(await readAll(data));
  await one.close();
  await other.close();
  const seen = await inspect({ model: parts.output! }, noHooks);
  expect(seen).toMatchObject({ kind: "weights", container: "safetensors" });
});

test("layers that stay are named to the loader: those that don't fit, and those that were kept", async () => {
  const folder = await folderOf();
  const { output, tensors } = await run(folder, "w4", keep(/layers\.1\.mlp\.(gate|up)_proj/));
  expect([...configOf(output!).quantization_config.ignore].sort()).toEqual([
    "lm_head",
    "model.layers.0.mlp.down_proj",
    "model.layers.1.mlp.down_proj",
    "model.layers.1.mlp.gate_proj",
    "model.layers.1.mlp.up_proj",
  ]);
  const down = tensors.find(({ name }) => name === "model.layers.0.mlp.down_proj.weight");
  expect(down).toMatchObject({ to: "bfloat16", insteadOf: "int4" });
  expect(down?.reason).toBe("rows of 96 values are no multiple of the group of 128");
});

test("smaller groups fit more", async () => {
  const { output, tensors } = await run(await folderOf(), "w4", { groupSize: 32 });
  expect(tensors.filter(({ to }) => to === "int4")).toHaveLength(14);
  expect(configOf(output!).quantization_config.config_groups.group_0.weights.group_size).toBe(32);
});

test("one scale for each channel fits every row that fills whole words", async () => {
  const more = [
    tensor("model.layers.0.odd_proj.weight", [8, 100]),
    tensor("model.layers.0.even_proj.weight", [8, 104]),
  ];
  const { output, tensors } = await run(await folderOf(model("bfloat16", more)), "w4", { groupSize: "channel" });
  expect(tensors.filter(({ to }) => to === "int4")).toHaveLength(15);
  expect(tensors.find(({ name }) => name.includes("odd"))?.reason).toBe(
    "rows of 100 values don't fill words of 8 codes",
  );
  const { weights } = configOf(output!).quantization_config.config_groups.group_0;
  expect(weights).toMatchObject({ strategy: "channel", group_size: null });
});

test("experts in other forms, routers and what sees stay; experts are named by one pattern, and the report warns", async () => {
  const more = [
    tensor("model.layers.0.mlp.gate.weight", [4, 128]),
    tensor("model.layers.0.mlp.experts.0.up_proj.weight", [64, 128]),
    tensor("visual.blocks.0.attn.qkv.weight", [64, 128]),
    tensor("model.layers.0.conv.weight", [64, 1, 128]),
  ];
  const { output, findings } = await run(await folderOf(model("bfloat16", more)), "w8a8-dynamic");
  expect(configOf(output!).quantization_config.ignore).toEqual([
    "lm_head",
    "re:.*\\.experts\\..*",
    "model.layers.0.mlp.gate",
    "visual.blocks.0.attn.qkv",
  ]);
  expect(findings.map(({ code }) => code)).toContain("experts");
});

const experts = ["gate_proj", "up_proj", "down_proj"].map((matrix) =>
  tensor(`model.layers.0.mlp.experts.0.${matrix}.weight`, [128, 128]),
);

test("experts in matrices of their own become codes, as many as config.json says", async () => {
  const configured = (count: number) => CONFIG.replace("{", `{ "num_experts": ${count},`);
  const all = model("bfloat16", [tensor("model.layers.0.mlp.gate.weight", [1, 128]), ...experts]);
  const { output, tensors } = await run(await folderOf(all, configured(1)), "w8a8-dynamic");
  expect(tensors.filter(({ name, to }) => name.includes("experts") && to === "int8")).toHaveLength(3);
  expect(configOf(output!).quantization_config.ignore).toEqual(["lm_head", "model.layers.0.mlp.gate"]);
  await expect(run(await folderOf(all, configured(8)), "fp8")).rejects.toThrow(
    /has 1 experts, but config\.json says 8/,
  );
});

describe("refused, and nothing is left behind", () => {
  const shard = (folder: string, no: number) =>
    join(folder, readdirSync(folder).filter((name) => /^model-/.test(name))[no]!);

  test.each([
    ["no config.json", null, /config\.json can't be read \(ENOENT\); a folder of safetensors holds config\.json/],
    ["a config.json that is no JSON", "{ model_type", /config\.json: not JSON/],
    ["a config.json that is a list", "[]", /config\.json: expected an object/],
    [
      "a model that is quantized already",
      `{"quantization_config": {}}`,
      /has "quantization_config", so the model is quantized already/,
    ],
    ["matrices that are stored turned", `{"model_type": "gpt2"}`, /models of type gpt2 store their matrices turned/],
  ])("%s", async (_, config, message) => {
    const folder = await folderOf(model(), config);
    await expect(run(folder, "w4")).rejects.toThrow(message);
    expect(beside(folder)).toEqual([]);
  });

  test("a shard that is missing", async () => {
    const folder = await folderOf();
    unlinkSync(shard(folder, 1));
    await expect(run(folder, "w4")).rejects.toThrow(/model-00002-of-\d+\.safetensors.*missing/);
    expect(beside(folder)).toEqual([]);
  });

  test("an index that names files outside the folder", async () => {
    const folder = await folderOf();
    const index = join(folder, "model.safetensors.index.json");
    writeFileSync(index, readFileSync(index, "utf8").replace(/model-00001/g, "../model-00001"));
    await expect(run(folder, "w4")).rejects.toThrow(/leaves the folder with \.\./);
    expect(beside(folder)).toEqual([]);
  });

  test("a shard that is cut off", async () => {
    const folder = await folderOf();
    writeFileSync(shard(folder, 0), readFileSync(shard(folder, 0)).subarray(0, -5));
    await expect(run(folder, "w4")).rejects.toThrow(/truncated/);
    expect(beside(folder)).toEqual([]);
  });

  test("values that are not finite, by tensor and index", async () => {
    const bad = tensor("model.layers.0.mlp.bad_proj.weight", [64, 128], "float32");
    const values = new Float32Array(64 * 128).fill(0.5);
    values[5000] = Number.POSITIVE_INFINITY;
    const folder = await folderOf(model("float32", [{ ...bad, data: bytesSource(encodeFloats(values, "float32")) }]));
    const message = /tensor "model\.layers\.0\.mlp\.bad_proj\.weight": value 5000 is Infinity/;
    await expect(run(folder, "w4")).rejects.toThrow(message);
    await expect(run(folder, "fp8")).rejects.toThrow(message);
    expect(beside(folder)).toEqual([]);
  });

  test("a file that is a link to outside the folder, which would be published with the copy", async () => {
    const folder = await folderOf();
    writeFileSync(join(root, "secret"), "x");
    symlinkSync(join(root, "secret"), join(folder, "notes.txt"));
    await expect(run(folder, "w4")).rejects.toThrow(/"notes\.txt" is a link to outside the model's folder/);
    expect(beside(folder)).toEqual([]);
  });

  test("tensors of another quantization", async () => {
    const folder = await folderOf(model("bfloat16", [tensor("model.layers.0.x_proj.weight_scale", [64, 1])]));
    await expect(run(folder, "w4")).rejects.toThrow(/weight_scale" \(bfloat16\): the model is quantized already/);
  });

  test("a model with nothing to quantize", async () => {
    const folder = await folderOf([tensor("model.norm.weight", [128])]);
    await expect(run(folder, "w4")).rejects.toThrow(/none of 1 tensors can become w4: "model\.norm\.weight"/);
  });

  test("--keep that matches nothing, or tears layers apart that vLLM joins", async () => {
    const folder = await folderOf();
    await expect(run(folder, "w4", keep(/nothing/))).rejects.toThrow(/--keep nothing matches no weight/);
    await expect(run(folder, "w4", keep(/lm_head/))).rejects.toThrow(/--keep lm_head matches no weight/);
    await expect(run(folder, "w4", keep(/0\.self_attn\.k_proj/))).rejects.toThrow(
      /vLLM computes "model\.layers\.0\.self_attn\.q_proj", .* as one layer.* only "model\.layers\.0\.self_attn\.k_proj" would stay/,
    );
    expect(beside(folder)).toEqual([]);
  });

  test.each<[string, string, Partial<QuantizeRequest>, RegExp]>([
    ["no scheme", "w4", { schemes: [] }, /name one of w8, w4, w8a8-dynamic, fp8 with -s/],
    ["two schemes", "w4", { schemes: ["w4", "w8"] }, /one scheme at a time.*found w4, w8/],
    ["a scheme of another container", "q4f16", {}, /name one of w8, w4, w8a8-dynamic, fp8 with -s, found q4f16/],
    ["zero points with 8 bits", "w8", { weights: "asymmetric" }, /--asymmetric means nothing to w8/],
    ["groups of channels", "fp8", { groupSize: 64 }, /--group-size means nothing to fp8/],
    [
      "groups that no kernel takes",
      "w4",
      { groupSize: 16 },
      /--group-size 16: vLLM's kernels take 32, 64, 128 or channel/,
    ],
    ["an algorithm of others", "w4", { algorithm: "nf4" }, /--algorithm nf4 is not one of safetensors'/],
    ["samples", "w4", { calibration: { path: "random", seed: 0 } }, /-c has no meaning for safetensors/],
    ["an importance matrix", "w4", { ggml: { imatrix: "x" } }, /--imatrix, .* are for GGUF files/],
    ["tables", "w4", { embeddings: true }, /--embeddings has no meaning/],
    ["ops", "w4", { keep: [{ kind: "op", name: "MatMul" }] }, /--keep op:MatMul has no meaning/],
  ])("%s", async (_, scheme, changes, message) => {
    const folder = await folderOf();
    await expect(run(folder, scheme, changes)).rejects.toThrow(message);
    expect(beside(folder)).toEqual([]);
  });

  test("an output that is there already, a file, or the model's own folder", async () => {
    const folder = await folderOf();
    await expect(run(folder, "w4", { output: folder })).rejects.toThrow(/is the model's own folder, or inside of it/);
    await expect(run(folder, "w4", { output: join(folder, "out") })).rejects.toThrow(/or inside of it/);
    const other = join(dirname(folder), "other");
    mkdirSync(other);
    writeFileSync(join(other, "file"), "");
    await expect(run(folder, "w4", { output: other })).rejects.toThrow(/is there already and not empty/);
    await expect(run(folder, "w4", { output: join(other, "file") })).rejects.toThrow(
      /is a file where a folder is expected/,
    );
    expect(readdirSync(other)).toEqual(["file"]);
  });

  test("an interrupted run, while it writes and while it reads back", async () => {
    const folder = await folderOf();
    for (const title of ["quantizing", "reading back"]) {
      const stop = new AbortController();
      const step = (name: string) => {
        if (name.startsWith(title)) stop.abort();
        return { tick() {}, done() {} };
      };
      const hooks = { progress: { step, note() {} }, signal: stop.signal };
      const output = join(dirname(folder), "new/out");
      await expect(run(folder, "w4", { output }, hooks), title).rejects.toMatchObject({ code: "cancelled" });
      expect(beside(folder), title).toEqual([]);
    }
  });
});

test("a folder of the Hugging Face cache, where every file is a link to a blob, gives real files", async () => {
  const folder = await folderOf();
  const [blobs, snapshot] = [join(dirname(folder), "blobs"), join(dirname(folder), "snapshots/main")];
  mkdirSync(blobs);
  mkdirSync(snapshot, { recursive: true });
  for (const [i, name] of readdirSync(folder).entries()) {
    writeFileSync(join(blobs, `blob${i}`), readFileSync(join(folder, name)));
    symlinkSync(`../../blobs/blob${i}`, join(snapshot, name));
  }
  const { output } = await run(snapshot, "w4", { output: join(dirname(folder), "out") });
  const files = readdirSync(output!, { withFileTypes: true });
  expect(files.map(({ name }) => name).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(files.every((file) => file.isFile())).toBe(true);
});

test("an empty folder of the output's name makes way", async () => {
  const folder = await folderOf();
  const output = join(dirname(folder), "empty");
  mkdirSync(output);
  await run(folder, "w4", { output });
  expect(existsSync(join(output, "config.json"))).toBe(true);
});

test("a folder that holds ONNX models too is transformers.js's, unless the scheme is only for safetensors", async () => {
  const folder = await folderOf();
  mkdirSync(join(folder, "onnx"));
  writeFileSync(join(folder, "onnx/model.onnx"), "");
  expect(await wantsSafetensors(request(folder, "q8"))).toBe(false);
  expect(await wantsSafetensors(request(folder, "x", { schemes: [] }))).toBe(false);
  expect(await wantsSafetensors(request(folder, "w4"))).toBe(true);
  expect(await wantsSafetensors(request(join(folder, "tokenizer.json"), "w4"))).toBe(false);
});
