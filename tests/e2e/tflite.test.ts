/** TFLite models from start to end on LiteRT: what people do with the commands, and what is refused. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../../src/ir/build.ts";
import type { Dim, Model, Node, ValueInfo } from "../../src/ir/model.ts";
import { smallNet } from "../../src/lowering/tflite/small.case.ts";
import { availableEngines } from "../../src/node/engines.ts";
import { openModelFile } from "../../src/node/files.ts";
import { addErrors, noErrors, sqnr } from "../../src/numeric/metrics.ts";
import { SCHEMES } from "../../src/recipes/schemes.ts";
import {
  fewbit,
  fewbitJson,
  type Json,
  listing,
  quantized,
  refused,
  samples,
  saved,
  savedArray,
  sharedWorkspace,
  workspace,
} from "./cli.case.ts";
import { matrices } from "./models.case.ts";

/**
 * Least signal to noise in dB at the output. Evenly spread weights reach the last of n codes on either side, which gives
 * 20 log10(2 n): 48 dB for 127 codes, 23 for 7, over 70 for the 11 bits of halves; two layers lose 3 dB of it, and int8
 * activations, of which few are near the ends of their range, give some 40 dB in each of five values. Softmax of close
 * scores makes all of it smaller, never larger.
 */
const LEAST_DB: Readonly<Record<string, number>> = {
  w8a8: 33,
  w8a16: 45,
  w4a8: 20,
  "w8a8-dynamic": 37,
  "w4a8-dynamic": 20,
  w8: 45,
  w4: 20,
  fp16: 67,
};

/** Types of the first convolution's operands in LiteRT's terms. */
const CONVOLUTION: Readonly<Record<string, string>> = {
  w8a8: "CONV_2D int8",
  w8a16: "CONV_2D int16xint8",
  w4a8: "CONV_2D int8xint4",
  "w8a8-dynamic": "CONV_2D float32xint8",
  "w4a8-dynamic": "CONV_2D float32xint8",
  w8: "CONV_2D float32",
  w4: "CONV_2D float32",
  fp16: "CONV_2D float32",
};

const NAMES = [...SCHEMES.tflite.keys()];
const IMAGES = samples([24, 4, 4, 2]);

async function place(model: Model = smallNet()) {
  const folder = await workspace();
  const file = await saved(folder, model, "model.tflite");
  const data = await savedArray(folder, "images.npy", IMAGES);
  return { folder, model: file, data, out: join(folder, "small.tflite") };
}

/** Types of inputs and outputs, and the ops, of a written file. */
async function partsOf(path: string) {
  const { model, close } = await openModelFile(path);
  const { inputs, outputs, nodes } = model.graph;
  await close();
  return {
    inputs: inputs.map(({ name, dtype }) => `${name} ${dtype}`),
    outputs: outputs.map(({ name, dtype }) => `${name} ${dtype}`),
    ops: nodes.map(({ op }) => op),
  };
}

/** What LiteRT computes of the images, without anything of the pipeline's in between. */
async function classesOf(path: string): Promise<Float32Array> {
  const { engine } = await availableEngines({ container: "tflite", prefer: "litert" });
  const session = await engine.open({ path });
  const made = await session.run({ image: IMAGES });
  await session.close();
  return made.classes!.data as Float32Array;
}

/** The same network with its batch, and maybe its height, left open. */
function opened(model: Model, height: Dim = 4): Model {
  const { graph } = model;
  const open = <T extends ValueInfo>(value: T): T => ({ ...value, shape: [null, ...value.shape!.slice(1)] });
  const image = { ...open(graph.inputs[0]!), shape: [null, height, 4, 2] };
  const values = new Map([...graph.values].map(([name, value]) => [name, open(value)]));
  const tensors = new Map(graph.tensors).set("flat_shape", tensor("flat_shape", "int32", [2], Int32Array.of(-1, 16)));
  return { ...model, graph: { ...graph, inputs: [image], outputs: graph.outputs.map(open), values, tensors } };
}

/** The same network under other names of its ports. */
function renamed(model: Model): Model {
  const other = (name: string): string => (name === "image" ? "serving_x:0" : name === "classes" ? "Identity" : name);
  const { graph } = model;
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map((port) => ({ ...port, name: other(port.name) })),
      outputs: graph.outputs.map((port) => ({ ...port, name: other(port.name) })),
      nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(other), outputs: node.outputs.map(other) })),
    },
  };
}

describe("every scheme of TFLite", () => {
  const folder = sharedWorkspace();
  const inside = (name: string): string => join(folder.path(), "out", name);
  const original = (): string => join(folder.path(), "model.tflite");
  const images = (): string => join(folder.path(), "images.npy");
  const made = { code: -1, report: {} as Json, float: Float32Array.of() as Float32Array };

  beforeAll(async () => {
    await saved(folder.path(), smallNet(), "model.tflite");
    await savedArray(folder.path(), "images.npy", IMAGES);
    const wish = ["quantize", original(), "-s", NAMES.join(","), "-c", images(), "-o", inside("")];
    made.code = (await fewbit(wish)).code;
    made.report = JSON.parse(await readFile(inside("model.report.json"), "utf8"));
    made.float = await classesOf(original());
  });

  const candidate = (name: string): Json => made.report.candidates.find(({ scheme }: Json) => scheme === name);

  it("goes into one folder with one report", async () => {
    expect(made.code).toBe(0);
    const files = ["model.report.html", "model.report.json", ...NAMES.map((name) => `model.${name}.tflite`)];
    expect(Object.keys(await listing(inside(""))).sort()).toEqual(files.sort());
    expect(made.report).toMatchObject({
      kind: "quantize",
      refused: [],
      environment: { engine: expect.stringMatching(/^litert /) },
    });
  });

  it.each(NAMES)("%s opens in LiteRT and gives nearly what the float model gives", async (name) => {
    const file = await classesOf(inside(`model.${name}.tflite`));
    expect(sqnr(addErrors(noErrors, made.float, file))).toBeGreaterThan(LEAST_DB[name]!);
    expect(candidate(name).outputs[0].sqnr).toBeGreaterThan(LEAST_DB[name]!);
    expect(candidate(name).opHistogram.after).toMatchObject({ [CONVOLUTION[name]!]: 1 });
  });

  it.each(NAMES)("%s is measured: size, latency, memory, integer share, layers", async (name) => {
    const { size, latency, memory, integerShare, layers, files } = candidate(name);
    for (const part of [size, latency, memory]) {
      expect(part.before).toBeGreaterThan(0);
      expect(part.after).toBeGreaterThan(0);
    }
    expect(files).toMatchObject([{ name: `model.${name}.tflite`, size: size.after }]);
    expect(integerShare).toBe(/a\d+/.test(name) ? 1 : 0);
    const products = layers.filter(({ op }: Json) => ["CONV_2D", "FULLY_CONNECTED"].includes(op));
    expect(products).toHaveLength(2);
    expect(Math.min(...products.map(({ bits }: Json) => bits))).toBe(Number(/\d+/.exec(name)));
    for (const { sqnr: db, mse, meanError, maxAbs } of products) {
      expect(db).toBeGreaterThan(name.startsWith("w4") ? 15 : 30);
      expect(mse).toBeGreaterThan(0);
      expect(Math.abs(meanError)).toBeLessThanOrEqual(maxAbs);
    }
  });

  it("compare --layers has a row for every value of the network, in float and in integers", async () => {
    const files = [original(), inside("model.w8a8.tflite"), "--data", images()];
    const { code, json } = await fewbitJson(["compare", ...files, "--layers"]);
    expect(code).toBe(0);
    const values = json.layers.map(({ value }: Json) => value);
    expect(values).toEqual(expect.arrayContaining(["features", "shifted", "pooled", "flat", "scores"]));
    for (const { sqnr: db, steps } of json.layers) {
      expect(db).toBeGreaterThan(LEAST_DB.w8a8!);
      // rounding alone gives 0.29 steps; each of at most five layers adds as much again
      expect(steps ?? 0).toBeLessThan(1.5);
    }
  });

  it("compare --layers finds no difference between LiteRT and the integer reference", async () => {
    const file = inside("model.w8a8.tflite");
    const wish = ["compare", file, file, "--data", images(), "--layers", "--candidate-engine", "reference"];
    const { json } = await fewbitJson(wish);
    expect(json.layers.length).toBeGreaterThanOrEqual(6);
    expect(json.layers.map(({ sqnr: db, maxAbs }: Json) => [db, maxAbs])).toEqual(json.layers.map(() => [null, 0]));
  });
});

describe("fewbit on a TFLite model", () => {
  it("inspect says what is inside", async () => {
    const { model } = await place();
    const { code, json } = await fewbitJson(["inspect", model]);
    expect(code).toBe(0);
    expect(json).toMatchObject({
      container: "tflite",
      inputs: [{ name: "image", dtype: "float32", shape: [1, 4, 4, 2] }],
    });
    const text = await fewbit(["inspect", model]);
    expect(text.stdout).toMatch(/^model\.tflite {2}2\.03 kB, tflite version 3\n/);
    expect(text.stdout).toMatch(/CONV_2D +1 +304 B +yes/);
  });

  it("schemes lists those that fit, and no others", async () => {
    const { model } = await place();
    const { json } = await fewbitJson(["schemes", model]);
    expect(json.schemes.map(({ name }: Json) => name)).toEqual(NAMES);
    const { stdout } = await fewbit(["schemes", model]);
    expect(stdout).toMatch(/w8a8 +tflite .* needed /);
  });

  it.each(["int8", "uint8"])("--io %s: callers feed and get codes", async (io) => {
    const { model, data, out } = await place();
    const json = await quantized([model, "-s", "w8a8", "-c", data, "--io", io, "-o", out]);
    expect(await partsOf(out)).toMatchObject({ inputs: [`image ${io}`], outputs: [`classes ${io}`] });
    expect(json.outputs[0].sqnr).toBeGreaterThan(LEAST_DB.w8a8!);
    expect(json.opHistogram.after).toMatchObject({ "CONV_2D int8": 1, "SOFTMAX int8": 1 });
  });

  it("--keep op:SOFTMAX leaves it in float and says so", async () => {
    const { model, data, out } = await place();
    const json = await quantized([model, "-s", "w8a8", "-c", data, "--keep", "op:SOFTMAX", "-o", out]);
    expect((await partsOf(out)).ops.slice(-2)).toEqual(["DEQUANTIZE", "SOFTMAX"]);
    expect(json.opHistogram.after).toMatchObject({ "SOFTMAX float32": 1, "FULLY_CONNECTED int8": 1 });
  });

  it("--dry-run prints plans with sizes and writes nothing", async () => {
    const { folder, model } = await place();
    const before = await listing(folder);
    const { code, json } = await fewbitJson(["quantize", model, "-s", NAMES.join(","), "--dry-run"]);
    expect(code).toBe(0);
    expect(json.plans.map(({ scheme }: Json) => scheme)).toEqual(NAMES);
    for (const { bytes } of json.plans) expect(bytes.after).toBeLessThan(bytes.before);
    expect(await listing(folder)).toEqual(before);
  });

  it("--max-drop that is not met: exit code 3 and nothing written", async () => {
    const { folder, model, data, out } = await place();
    const before = await listing(folder);
    // 0.001 points of the cosine, of which 4 bits lose about ten times as much
    const { code, json } = await fewbitJson([
      "quantize",
      model,
      "-s",
      "w4",
      "--data",
      data,
      "--max-drop",
      "0.001",
      "-o",
      out,
    ]);
    expect(code).toBe(3);
    expect(json.contract).toMatchObject({ met: false, metric: "cosine" });
    expect(await listing(folder)).toEqual(before);
  });

  it("quantize takes a model whose ports have other names, and compare puts both side by side", async () => {
    const { folder, model, data } = await place();
    const other = await saved(folder, renamed(smallNet()), "other.tflite");
    const out = join(folder, "other.w8.tflite");
    await quantized([other, "-s", "w8", "-o", out]);
    expect(await partsOf(out)).toMatchObject({ inputs: ["serving_x:0 float32"], outputs: ["Identity float32"] });
    const { code, json } = await fewbitJson(["compare", model, out, "--data", data]);
    expect(code, json.error?.message).toBe(0);
    expect(json.outputs).toMatchObject([{ name: "classes" }]);
    expect(json.outputs[0].sqnr).toBeGreaterThan(LEAST_DB.w8!);
  });
});

describe("--batch", () => {
  const shapes = async (path: string) => {
    const { model, close } = await openModelFile(path);
    await close();
    return [...model.graph.inputs, ...model.graph.outputs].map(({ shape }) => shape);
  };

  it.each(["w8a8", "w8"])("fixes the open batch of a model that becomes %s", async (scheme) => {
    const { model, data, out } = await place(opened(smallNet()));
    const json = await quantized([model, "-s", scheme, "-c", data, "--batch", "6", "-o", out]);
    const image = [6, 4, 4, 2];
    expect(await shapes(out)).toEqual([image, [6, 3]]);
    expect(json.latency.batch).toBe(6);
    expect(json.outputs[0].sqnr).toBeGreaterThan(LEAST_DB[scheme]!);
    expect(await classesOf(out)).toHaveLength(3 * IMAGES.shape[0]!);
  });

  it("stays open where none is asked for", async () => {
    const { model, data, out } = await place(opened(smallNet()));
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", out]);
    const image = [null, 4, 4, 2];
    expect(await shapes(out)).toEqual([image, [null, 3]]);
    expect(json.latency.batch).toBe(1);
  });

  it("that is fixed already is refused, unless it is the same", async () => {
    const { folder, model, out } = await place();
    const message = /--batch 6: input "image" is \[1, 4, 4, 2\], its batch is fixed already; leave --batch out/;
    await refused(folder, ["quantize", model, "-s", "w8", "--batch", "6"], 2, message);
    await refused(folder, ["quantize", model, "-s", "w8", "--batch", "6", "--dry-run"], 2, message);
    await quantized([model, "-s", "w8", "--batch", "1", "-o", out]);
  });

  it("does not settle other open dimensions", async () => {
    const { folder, model } = await place(opened(smallNet(), null));
    const wish = ["quantize", model, "-s", "w8", "--batch", "6"];
    await refused(
      folder,
      wish,
      1,
      /input "image": dimension 1 of \[\?, \?, 4, 2\] is open, and only a batch can be chosen/,
    );
  });

  it("is not for ONNX models", async () => {
    const folder = await workspace();
    const model = await saved(folder, matrices());
    await refused(folder, ["quantize", model, "-s", "w8", "--batch", "6"], 2, /--batch .* TFLite models; ONNX/);
  });
});

describe("what does not go together is refused in one sentence", () => {
  it("an ONNX model on LiteRT", async () => {
    const folder = await workspace();
    const model = await saved(folder, matrices());
    const wish = ["quantize", model, "-s", "w8", "--engine", "litert"];
    await refused(folder, wish, 2, /engine "litert" does not run onnx models; use ort-node or ort-web/);
  });

  it("a TFLite model on ONNX Runtime", async () => {
    const { folder, model } = await place();
    const wish = ["quantize", model, "-s", "w8", "--engine", "ort-node"];
    await refused(folder, wish, 2, /engine "ort-node" does not run tflite models; use litert or reference/);
  });

  it("a scheme of ONNX", async () => {
    const { folder, model } = await place();
    await refused(folder, ["quantize", model, "-s", "nf4"], 2, /nf4 is not for TFLite models; those take w8a8, w8a16/);
  });

  it("integer inputs of a type that the scheme has not", async () => {
    const { folder, model, data } = await place();
    const wish = ["quantize", model, "-s", "w8a8", "-c", data, "--io", "int16"];
    await refused(folder, wish, 2, /"image" is int8 inside; callers may have that or float32, not int16/);
  });

  it("calibrated ranges without samples", async () => {
    const { folder, model } = await place();
    await refused(folder, ["quantize", model, "-s", "w8a8"], 2, /w8a8 needs samples.*-c FILE/);
  });

  it("models of two containers", async () => {
    const { folder, model, data } = await place();
    const onnx = await saved(folder, matrices());
    const wish = ["compare", onnx, model, "--data", data];
    await refused(folder, wish, 2, /model\.onnx is ONNX and .*model\.tflite is TFLite.*fewbit convert/);
  });

  it.each([
    ["cut off", (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)],
    ["overwritten", (bytes: Uint8Array) => bytes.fill(0xff, 100, 400)],
    ["only begun", (bytes: Uint8Array) => bytes.subarray(0, 8)],
  ])("a file that is %s", async (_, damage) => {
    const { folder, model } = await place();
    const broken = join(folder, "broken.tflite");
    await writeFile(broken, damage(Uint8Array.from(await readFile(model))));
    for (const command of [
      ["quantize", broken, "-s", "w8"],
      ["inspect", broken],
      ["schemes", broken],
    ])
      await refused(folder, command, 1, /broken\.tflite.*:/);
  });
});

describe("without a scheme and without samples", () => {
  const fake = { attributes: { min: float(-1), max: float(1.55), num_bits: 8, narrow_range: 0 } };

  /** A dense layer with the ranges that training left: of its input, and of its output or not. */
  const trained = (last: readonly Node[]): Model =>
    tfliteModel({
      inputs: [valueInfo("x", "float32", [1, 8])],
      outputs: [valueInfo("y", "float32", [1, 8])],
      nodes: [
        node("FAKE_QUANT", ["x"], ["x/fake"], fake),
        node("FULLY_CONNECTED", ["x/fake", "w", ""], ["sum"]),
        ...last,
      ],
      tensors: [floatTensor("w", [8, 8], samples([8, 8]).data as Float32Array)],
      values: ["x/fake", "sum"].map((name) => valueInfo(name, "float32", [1, 8])),
    });

  it.each([
    ["all ranges that integers need", "w8a8", [node("FAKE_QUANT", ["sum"], ["y"], fake)]],
    ["one range too few", "w8a8-dynamic", [node("RELU", ["sum"], ["y"])]],
  ] as const)("a model with %s becomes %s", async (_, scheme, last) => {
    const { model, out } = await place(trained(last));
    const json = await quantized([model, "-o", out]);
    expect(json.scheme).toBe(scheme);
    expect(json.findings).toContainEqual(expect.objectContaining({ code: "default-scheme" }));
  });
});
