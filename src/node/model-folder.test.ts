import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { copySources, inspectFolder, planFolder } from "./model-folder.ts";
import { externalDataName, quantizeConfig, updateConfig, writeQuantizeConfig } from "./model-folder-config.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fewbit-folder-"));
});
afterEach(() => rm(folder, { recursive: true }));

const CONFIG = '{\n  "model_type": "bert",\n  "layer_norm_eps": 1e-12\n}\n';

async function files(names: readonly string[], config: string | undefined = CONFIG): Promise<void> {
  await mkdir(join(folder, "onnx"), { recursive: true });
  if (config !== undefined) await writeFile(join(folder, "config.json"), config);
  for (const name of names) await writeFile(join(folder, name), name);
}
const config = (): Promise<string> => readFile(join(folder, "config.json"), "utf8");
const declared = async () => JSON.parse(await config())["transformers.js_config"]?.use_external_data_format;

describe("what a folder holds", () => {
  it("takes files without a dtype's suffix for the float models", async () => {
    await files(["onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_q4f16.onnx", "onnx/model_fp16.onnx_data"]);
    const found = await inspectFolder(folder);
    expect(found).toEqual({
      path: folder,
      modelType: "bert",
      flat: false,
      sessions: [{ name: "model", path: join(folder, "onnx", "model.onnx") }],
    });
  });

  it("finds models beside config.json", async () => {
    await files(["encoder_model.onnx", "decoder_model_merged.onnx"]);
    const { flat, sessions } = await inspectFolder(folder);
    expect(flat).toBe(true);
    expect(sessions.map(({ name }) => name)).toEqual(["decoder_model_merged", "encoder_model"]);
  });

  it.each([
    ["no config.json", ["onnx/model.onnx"], "", /config.json can't be read \(ENOENT\)/],
    ["a broken config.json", ["onnx/model.onnx"], "{", /config.json: not JSON/],
    ["a config.json that is a list", ["onnx/model.onnx"], "[]", /expected an object/],
    ["no model", [], CONFIG, /no .onnx file in onnx/],
    ["only quantized models", ["onnx/model_q4.onnx"], CONFIG, /only quantized models \(model_q4.onnx\)/],
  ])("says so when there is %s", async (_what, names, text, message) => {
    await files(names, text);
    if (text === "") await rm(join(folder, "config.json"));
    await expect(inspectFolder(folder)).rejects.toThrow(message);
  });
});

describe("the plan of a folder", () => {
  it("has every session for every dtype, under the loader's names", async () => {
    await files(["onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"]);
    const { groups } = planFolder(await inspectFolder(folder), ["q8", "q4", "q8"]);
    expect(groups.map(({ dtype, jobs }) => [dtype, jobs.map(({ file }) => file)])).toEqual([
      ["q8", ["decoder_model_merged_quantized.onnx", "encoder_model_quantized.onnx"]],
      ["q4", ["decoder_model_merged_q4.onnx", "encoder_model_q4.onnx"]],
    ]);
    expect(groups[0]?.jobs[0]?.output).toBe(join(folder, "onnx", "decoder_model_merged_quantized.onnx"));
  });

  it("refuses what nobody can write", async () => {
    await files(["onnx/model.onnx"]);
    const found = await inspectFolder(folder);
    expect(() => planFolder(found, ["q9"])).toThrow(/"q9" is not a transformers.js dtype; known are q8, int8/);
    expect(() => planFolder(found, ["q1"])).toThrow(/no writer and no published layout; use q2/);
    expect(() => planFolder(found, ["fp32"])).toThrow(/the original itself/);
    expect(() => planFolder(found, [])).toThrow(/no dtype/);
  });
});

describe("config.json after external data was written", () => {
  it("declares the number of data files and changes nothing else", async () => {
    await files([]);
    await updateConfig(folder, { "model_q4.onnx": 1, "model_fp16.onnx": 2, "model_quantized.onnx": 0 });
    expect(await declared()).toEqual({ "model_q4.onnx": 1, "model_fp16.onnx": 2 });
    expect((await config()).startsWith('{\n  "model_type": "bert",\n  "layer_norm_eps": 1e-12,\n')).toBe(true);
    expect(await readdir(folder)).toEqual(["config.json", "onnx"]);
  });

  it("is not touched when there is nothing to declare", async () => {
    await files([]);
    const before = await stat(join(folder, "config.json"));
    await updateConfig(folder, { "model_q4.onnx": 0 });
    expect(await config()).toBe(CONFIG);
    expect((await stat(join(folder, "config.json"))).mtimeMs).toBe(before.mtimeMs);
  });

  it("keeps what was declared before, and takes back what is one file now", async () => {
    await files([], '{"transformers.js_config": {"use_external_data_format": {"model.onnx": 3, "model_q4.onnx": 1}}}');
    await updateConfig(folder, { "model_q4.onnx": 0 });
    expect(await declared()).toEqual({ "model.onnx": 3 });
  });

  it("overrides an entry for all dtypes of a session", async () => {
    await files([], '{"transformers.js_config": {"use_external_data_format": {"model": true}}}');
    await updateConfig(folder, { "model_q4.onnx": 0, "model_fp16.onnx": 1 });
    expect(await declared()).toEqual({ model: true, "model_q4.onnx": 0, "model_fp16.onnx": 1 });
  });

  it("replaces a value for all files by what lies on disk", async () => {
    await files(
      ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1", "onnx/model_q4.onnx"],
      '{"transformers.js_config": {"use_external_data_format": true}}',
    );
    await updateConfig(folder, { "model_q4.onnx": 0 });
    expect(await declared()).toEqual({ "model.onnx": 2 });
  });

  it("refuses more data files than the loader fetches", async () => {
    await files([]);
    await expect(updateConfig(folder, { "model.onnx": 101 })).rejects.toThrow(/101 data files/);
  });
});

describe("files beside config.json", () => {
  it("holds the settings in the scripts' own words", async () => {
    await files([]);
    await writeQuantizeConfig(folder, quantizeConfig(["q8"], "llama", { version: "x" }));
    const text = await readFile(join(folder, "quantize_config.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ modes: ["q8"], per_channel: false, reduce_range: false });
  });

  it("copies float models and their data to where the loader looks", async () => {
    await files(["model.onnx", "model.onnx_data", "model.onnx_data_1", "other.txt"]);
    expect(await copySources(await inspectFolder(folder))).toEqual([
      "model.onnx",
      "model.onnx_data",
      "model.onnx_data_1",
    ]);
    expect((await readdir(join(folder, "onnx"))).sort()).toEqual([
      "model.onnx",
      "model.onnx_data",
      "model.onnx_data_1",
    ]);
  });

  it("names data files as the loader asks for them", () => {
    expect([0, 1, 2].map((chunk) => externalDataName("model_q4.onnx", chunk))).toEqual([
      "model_q4.onnx_data",
      "model_q4.onnx_data_1",
      "model_q4.onnx_data_2",
    ]);
  });
});
