/** Requests that can't be carried out: one clear line each, the folder as it was. */
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, it, onTestFinished } from "vitest";
import { writeNpy } from "../../src/containers/npy.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../src/ir/build.ts";
import {
  fewbit,
  fewbitJson,
  indices,
  listing,
  quantized,
  refused,
  samples,
  saved,
  savedArray,
  workspace,
} from "./cli.case.ts";
import { cnn, matrices, transformer } from "./models.case.ts";

async function folderWithData() {
  const folder = await workspace();
  const model = await saved(folder, matrices());
  const data = await savedArray(folder, "x.npy", samples([12, 64]));
  return { folder, model, data };
}

describe("calibration data", () => {
  const calibrate = (model: string, data: string): readonly string[] => ["quantize", model, "-s", "w8a8", "-c", data];

  it("under a wrong name", async () => {
    const { folder, model } = await folderWithData();
    const data = join(folder, "x.npz");
    await writeFile(data, zipSync({ "images.npy": writeNpy(samples([12, 64])) }));
    await refused(folder, calibrate(model, data), 1, /"x".*"images"/);
  });

  it("of a wrong shape", async () => {
    const { folder, model } = await folderWithData();
    const data = await savedArray(folder, "wrong.npy", samples([12, 63]));
    await refused(folder, calibrate(model, data), 1, /wrong\.npy.*"x".*64.*found.*63/);
  });

  it("of a wrong type", async () => {
    const folder = await workspace();
    const model = await saved(folder, transformer());
    const data = await savedArray(folder, "wrong.npy", samples([4, 9]));
    await refused(folder, calibrate(model, data), 1, /"ids" takes int64, found float32/);
  });

  it("without samples", async () => {
    const { folder, model } = await folderWithData();
    const data = await savedArray(folder, "none.npy", samples([0, 64]));
    await refused(folder, calibrate(model, data), 1, /none\.npy.*no samples/);
  });

  it("with NaN", async () => {
    const { folder, model } = await folderWithData();
    const array = samples([12, 64]);
    array.data[70] = Number.NaN;
    const data = await savedArray(folder, "nan.npy", array);
    await refused(folder, calibrate(model, data), 1, /nan\.npy.*1 NaN/);
  });

  it("that is cut off", async () => {
    const { folder, model } = await folderWithData();
    const data = join(folder, "cut.npy");
    await writeFile(data, writeNpy(samples([12, 64])).slice(0, 1500));
    await refused(folder, calibrate(model, data), 1, /cut\.npy/);
  });

  it("that is missing", async () => {
    const { folder, model } = await folderWithData();
    await refused(folder, calibrate(model, join(folder, "absent.npy")), 2, /absent\.npy/);
  });

  it("that was not given", async () => {
    const { folder, model } = await folderWithData();
    await refused(folder, ["quantize", model, "-s", "w8a8"], 2, /w8a8 needs samples.*-c/);
  });
});

describe("a scheme", () => {
  it("that nobody knows", async () => {
    const { folder, model } = await folderWithData();
    await refused(folder, ["quantize", model, "-s", "w8a9"], 2, /unknown scheme "w8a9".*did you mean "w8a8"/);
  });

  it("that fits nothing in the model", async () => {
    const folder = await workspace();
    const model = await saved(folder, {
      ...matrices(),
      graph: { ...matrices().graph, tensors: new Map(), nodes: [node("Relu", ["x"], ["y"])] },
    });
    await refused(folder, ["quantize", model, "-s", "w4"], 1, /w4 fits no node/);
    await refused(folder, ["quantize", model, "-s", "w8a8", "-c", "random"], 1, /w8a8 fits no node/);
  });

  it("of transformers.js with settings it does not have", async () => {
    const { folder, model } = await folderWithData();
    await refused(folder, ["quantize", model, "-s", "q4", "--group-size", "64"], 2, /q4 is a fixed contract/);
  });
});

describe("an output", () => {
  it("that names one file for several schemes", async () => {
    const { folder, model } = await folderWithData();
    await refused(
      folder,
      ["quantize", model, "-s", "w8,w4", "-o", join(folder, "a.onnx")],
      2,
      /one file for 2 schemes/,
    );
  });

  it("below a file", async () => {
    const { folder, model } = await folderWithData();
    await writeFile(join(folder, "file"), "content");
    await refused(folder, ["quantize", model, "-s", "w8", "-o", join(folder, "file", "a.onnx")], 2, /file/);
    await refused(folder, ["quantize", model, "-s", "w8,w4", "-o", join(folder, "file")], 2, /file/);
  });

  it("that is a folder named like a model", async () => {
    const { folder, model } = await folderWithData();
    await mkdir(join(folder, "a.onnx"));
    await refused(folder, ["quantize", model, "-s", "w8", "-o", join(folder, "a.onnx")], 2, /a\.onnx.*is a folder/);
  });

  it("in a place where nothing can be written", async () => {
    const { folder, model } = await folderWithData();
    const ran = await refused(
      folder,
      ["quantize", model, "-s", "w8", "-o", "/proc/fewbit/a.onnx"],
      2,
      /\/proc\/fewbit/,
    );
    expect(ran.json.error.message).toContain("can't write");
  });

  it("leaves no new folders behind when the request fails", async () => {
    const { folder, model } = await folderWithData();
    await refused(
      folder,
      ["quantize", model, "-s", "w8a8", "-o", join(folder, "new", "deep", "a.onnx")],
      2,
      /needs samples/,
    );
  });
});

/** Mounts a file system of its own, or says why not. */
function mounted(target: string, options: string): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "mounting needs root on Linux";
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", target], { stdio: "pipe" });
  } catch (error) {
    return `mount is refused here: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
  }
  onTestFinished(() => void execFileSync("umount", [target]));
  return undefined;
}

describe("a disk", () => {
  it.each([
    ["that is full", "size=4k", /no space|bytes free/],
    ["that is read-only", "ro,size=1m", /read-only/],
  ])("%s", async (_, options, message) => {
    const { folder, model } = await folderWithData();
    const target = join(folder, "disk");
    await mkdir(target);
    const reason = mounted(target, options);
    if (reason !== undefined) return console.log(`skipped: ${reason}`);
    const ran = await refused(folder, ["quantize", model, "-s", "w8", "-o", join(target, "a.onnx")], 1, message);
    expect(ran.json.error.code).toBe("io");
  });
});

describe("evaluation", () => {
  const evaluate = (model: string, ...more: string[]): readonly string[] => ["quantize", model, "-s", "w8", ...more];

  it.each([
    ["a wrong number of labels", Array(11).fill(0), /11 labels, expected 12/],
    ["a label beyond the classes", [...Array(11).fill(0), 16], /label 16 of sample 11.*16 classes/],
    ["a negative label", [...Array(11).fill(0), -1], /label 11 is -1/],
  ])("with %s", async (_, labels, message) => {
    const { folder, model, data } = await folderWithData();
    await writeFile(join(folder, "labels.json"), JSON.stringify(labels));
    await refused(folder, evaluate(model, "--data", data, "--labels", join(folder, "labels.json")), 1, message);
  });

  it("with labels for an output that has no classes", async () => {
    const folder = await workspace();
    const model = await saved(folder, transformer());
    const data = await savedArray(folder, "ids.npy", indices([4, 9], 100));
    await writeFile(join(folder, "labels.json"), "[0,1,2,3]");
    await refused(
      folder,
      evaluate(model, "--data", data, "--labels", join(folder, "labels.json")),
      1,
      /labels need.*"y" of shape \[4,9,64\]/,
    );
  });

  it("of a promise without data", async () => {
    const { folder, model } = await folderWithData();
    await refused(folder, evaluate(model, "--max-drop", "1"), 2, /--max-drop needs real samples.*--data/);
    await refused(folder, evaluate(model, "--max-drop", "1", "--data", "random"), 2, /--max-drop needs real samples/);
  });

  it("with an unknown metric", async () => {
    const { folder, model, data } = await folderWithData();
    await refused(folder, evaluate(model, "--data", data, "--metric", "top2"), 2, /unknown metric "top2"/);
  });

  it.each([
    ["that is missing", undefined, 2, /can't be loaded/],
    ["that does not parse", "export default (", 2, /can't be loaded/],
    ["without a default export", "export const score = 1;", 2, /expected "export default/],
    ["that throws", 'export default () => { throw new Error("no ground truth"); };', 1, /--eval.*no ground truth/],
    ["that returns no number", 'export default () => "good";', 1, /--eval.*expected a number.*good/],
    ["that returns NaN", "export default () => Number.NaN;", 1, /--eval.*expected a number.*NaN/],
  ])("by a module %s", async (name, text, code, message) => {
    const { folder, model, data } = await folderWithData();
    const script = join(folder, `${name.replaceAll(" ", "-")}.mjs`);
    if (text !== undefined) await writeFile(script, text);
    await refused(folder, evaluate(model, "--data", data, "--eval", script), code, message);
  });
});

describe("a recipe", () => {
  it.each([
    ["that is missing", undefined, /recipe\.json/],
    ["that is no JSON", "{", /recipe\.json: not JSON/],
    ["with an unknown key", '{"rulez": []}', /unknown key "rulez"/],
    ["with an unknown scheme", '{"rules": [{"match": {"op": "Gemm"}, "scheme": "w7"}]}', /unknown scheme "w7"/],
    [
      "with a broken pattern",
      '{"rules": [{"match": {"pattern": "("}, "scheme": "keep"}]}',
      /rules\[0\].*regular expression/,
    ],
    [
      "with a rule that matches by nothing known",
      '{"rules": [{"match": {"name": "x"}, "scheme": "keep"}]}',
      /unknown key "name"/,
    ],
    ["with a scheme of a wrong type", '{"scheme": 8}', /scheme/],
    ["with a pattern of a wrong type", '{"rules": [{"match": {"pattern": 8}, "scheme": "keep"}]}', /pattern/],
  ])("%s", async (_, text, message) => {
    const { folder, model } = await folderWithData();
    const recipe = join(folder, "recipe.json");
    if (text !== undefined) await writeFile(recipe, text);
    await refused(folder, ["quantize", model, "--recipe", recipe], 2, message);
  });
});

describe("statistics", () => {
  it("of another model", async () => {
    const { folder, model, data } = await folderWithData();
    const stats = join(folder, "stats.json");
    await quantized([model, "-s", "w8a8", "-c", data, "--stats", stats, "-o", join(folder, "a.onnx")]);
    const other = await saved(folder, cnn(), "other.onnx");
    await refused(folder, ["quantize", other, "-s", "w8a8", "--stats", stats], 1, /statistics belong to the model/);
  });

  it.each([
    ["that are no JSON", "{"],
    ["without values", '{"version": 1, "model": "", "samples": 3}'],
    ["of a later version", '{"version": 9, "model": "", "samples": 3, "values": {}}'],
  ])("%s", async (_, text) => {
    const { folder, model } = await folderWithData();
    const stats = join(folder, "stats.json");
    await writeFile(stats, text);
    await refused(folder, ["quantize", model, "-s", "w8a8", "--stats", stats], 1, /stats\.json/);
  });
});

it("an option nobody knows is a usage error that leaves everything alone", async () => {
  const { folder, model } = await folderWithData();
  await refused(folder, ["quantize", model, "--shceme", "w8"], 2, /unknown option '--shceme'.*--scheme/);
  const { code } = await fewbit(["quantise", model]);
  expect(code).toBe(2);
});

it("a report that can't be written is an error that says where", async () => {
  const { folder, model } = await folderWithData();
  await symlink("/proc", join(folder, "proc"));
  const ran = await fewbitJson([
    "quantize",
    model,
    "-s",
    "w8",
    "-o",
    join(folder, "a.onnx"),
    "--report",
    join(folder, "proc", "a.html"),
  ]);
  expect(ran.code).toBeGreaterThan(0);
  expect(ran.json.error.message).toMatch(/proc\/a\.html/);
  expect(Object.keys(await listing(folder)).filter((name) => name.includes(".fewbit-"))).toEqual([]);
});

describe("a model that made-up inputs don't suit", () => {
  /** A table of two rows: most made-up indices are out of its range. */
  const lookup = () =>
    onnxModel({
      inputs: [valueInfo("ids", "int64", ["n", 8])],
      outputs: [valueInfo("y", "float32")],
      nodes: [node("Gather", ["table", "ids"], ["rows"]), node("MatMul", ["rows", "w"], ["y"])],
      tensors: [
        floatTensor("table", [2, 32], samples([2, 32]).data as Float32Array),
        floatTensor("w", [32, 32], samples([32, 32]).data as Float32Array),
      ],
    });

  it("asks for real ones, and takes them", async () => {
    const folder = await workspace();
    const model = await saved(folder, lookup());
    await refused(folder, ["quantize", model, "-s", "w8"], 2, /does not run on made-up inputs.*--data/);
    const data = await savedArray(folder, "ids.npy", indices([4, 8], 2));
    expect((await quantized([model, "-s", "w8", "--data", data])).outputs[0].cosine).toBeGreaterThan(0.99);
  });
});
