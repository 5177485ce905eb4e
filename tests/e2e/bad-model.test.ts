/** Models that nobody should quantize: one clear line each, the folder as it was. */
import { link, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { node } from "../../src/ir/build.ts";
import type { Model } from "../../src/ir/model.ts";
import { bytesSource } from "../../src/ir/source.ts";
import { writeModel } from "../../src/node/files.ts";
import { refused, saved, workspace } from "./cli.case.ts";
import { cnn, matrices, weights } from "./models.case.ts";

const quantize = (model: string, ...more: string[]): readonly string[] => ["quantize", model, "-s", "w8", ...more];

/** A folder with the two-matrix model, changed. */
async function folderWith(change: (model: Model) => Model = (model) => model) {
  const folder = await workspace();
  return { folder, model: await saved(folder, change(matrices())) };
}

/** The same with its weights in `weights.bin`. */
async function folderWithExternal() {
  const outer = await workspace();
  const folder = join(outer, "model");
  await mkdir(folder);
  const model = join(folder, "model.onnx");
  await writeModel(matrices(), model, { external: { location: "weights.bin" } });
  return { outer, folder, model, weights: join(folder, "weights.bin") };
}

/** Replaces bytes of a file by as many others. */
async function patch(path: string, find: Uint8Array | string, put: Uint8Array | string): Promise<void> {
  const bytes = await readFile(path);
  const [from, to] = [Buffer.from(find), Buffer.from(put)];
  const at = bytes.indexOf(from);
  expect(at).toBeGreaterThan(0);
  expect(to.length).toBe(from.length);
  to.copy(bytes, at);
  await writeFile(path, bytes);
}

describe("a file that is no model", () => {
  it.each([
    [
      "a picture",
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13),
      /not an ONNX model.*picture/,
    ],
    ["a text", "name,score\nanna,3\n", /model\.onnx/],
    ["empty", "", /model\.onnx.*(empty|truncated|0 bytes|not an ONNX)/i],
  ])("%s", async (_, content, message) => {
    const folder = await workspace();
    const path = join(folder, "model.onnx");
    await writeFile(path, content);
    await refused(folder, quantize(path), 1, message);
  });

  it("that is missing", async () => {
    const folder = await workspace();
    await refused(folder, quantize(join(folder, "absent.onnx")), 2, /absent\.onnx.*no such file/);
  });

  it("a folder without a model", async () => {
    const folder = await workspace();
    await refused(folder, quantize(folder), 2, /config\.json/);
  });

  it.each(["inspect", "schemes", "bench"])("%s refuses it as well", async (command) => {
    const folder = await workspace();
    const path = join(folder, "model.onnx");
    await writeFile(path, "no model\n");
    await refused(folder, [command, path], 1, /model\.onnx/);
  });
});

describe("a damaged model", () => {
  it.each([0.001, 0.02, 0.5, 0.9, 0.9999])("cut off at %f of its length", async (share) => {
    const { folder, model } = await folderWith();
    await truncate(model, Math.max(1, Math.floor((await readFile(model)).length * share)));
    await refused(folder, quantize(model), 1, /model\.onnx.*(truncated|damaged|not an ONNX)/);
  });

  it("whose tensor does not fit its shape", async () => {
    const { folder, model } = await folderWith(() => matrices(weights("first", [64, 33], 64)));
    // the list of dimensions, 64 and 33, becomes 127 and 127
    await patch(model, Uint8Array.of(8, 64, 8, 33), Uint8Array.of(8, 127, 8, 127));
    await refused(folder, quantize(model), 1, /"first" holds 8448 bytes.*needs 64516/);
  });

  it("whose dimensions overflow", async () => {
    const { folder, model } = await folderWith(() => matrices(weights("first", Array(10).fill(2), 64)));
    // ten dimensions of 2 become two of 2^63 - 1
    const twos = Array(10).fill([8, 2]).flat();
    const huge = [8, ...Array(8).fill(0xff), 0x7f];
    await patch(model, Uint8Array.from(twos), Uint8Array.from([...huge, ...huge]));
    await refused(folder, quantize(model), 1, /"first".*(9223372036854775807|overflow|dimension)/);
  });

  it("whose tensor is shorter than its shape", async () => {
    const { folder, model } = await folderWithExternal();
    await truncate(join(folder, "weights.bin"), 1000);
    await refused(folder, quantize(model), 1, /"first".*weights\.bin.*1000/);
  });

  it("with a cycle, and says which way it goes", async () => {
    const { folder, model } = await folderWith((model) => ({
      ...model,
      graph: {
        ...model.graph,
        nodes: [
          node("Add", ["x", "c"], ["a"], { name: "first" }),
          node("MatMul", ["a", "first"], ["b"], { name: "second" }),
          node("Relu", ["b"], ["c"], { name: "third" }),
          node("MatMul", ["c", "second"], ["y"], { name: "two" }),
        ],
      },
    }));
    await refused(folder, quantize(model), 1, /cycle.*"second"/);
  });

  it("that reads a value nobody makes", async () => {
    const { folder, model } = await folderWith((model) => ({
      ...model,
      graph: { ...model.graph, nodes: [node("MatMul", ["ghost", "second"], ["y"], { name: "two" })] },
    }));
    await refused(folder, quantize(model), 1, /"two".*"ghost"/);
  });

  it("of an operator set the engine does not know", async () => {
    const { folder, model } = await folderWith((model) => ({ ...model, opsets: { "": 99 } }));
    await refused(folder, quantize(model), 1, /opset 99|operator set 99/i);
  });

  it("with an op the engine does not know", async () => {
    const { folder, model } = await folderWith((model) => ({
      ...model,
      opsets: { "": 17, "my.company": 1 },
      graph: {
        ...model.graph,
        nodes: model.graph.nodes.map((old) =>
          old.op === "Relu" ? node("Twirl", ["h"], ["r"], { name: "odd", domain: "my.company" }) : old,
        ),
      },
    }));
    await refused(folder, quantize(model), 1, /Twirl|my\.company/);
  });
});

describe("numbers that no scale can hold", () => {
  const SCHEMES = ["w8", "w8a8", "w8a8-dynamic", "fp16", "q4"];

  it.each(
    SCHEMES.flatMap((scheme) => [
      [scheme, "NaN", Number.NaN, /weight "first" holds 1 NaN and 0 infinite/] as const,
      [scheme, "infinity", Number.POSITIVE_INFINITY, /weight "first" holds 0 NaN and 1 infinite/] as const,
    ]),
  )("%s names the weight that holds %s", async (scheme, _, value, message) => {
    const first = weights("first", [64, 64], 64);
    const bytes = (await first.data.read(0, first.data.size)).slice();
    new DataView(bytes.buffer).setFloat32(400, value, true);
    const { folder, model } = await folderWith(() => matrices({ ...first, data: bytesSource(bytes) }));
    await refused(folder, ["quantize", model, "-s", scheme, "-c", "random"], 1, message);
  });

  it.each([
    ["NaN", Number.NaN, /weight "left.b" holds 1 NaN/],
    // biases may hold infinities on purpose; calibration sees what comes of it
    ["infinity", Number.POSITIVE_INFINITY, /value "(left|right)" holds \d+ (NaN|infinite)/],
  ])("%s in a bias is named", async (_, value, message) => {
    const folder = await workspace();
    const { graph, ...rest } = cnn();
    const bias = graph.tensors.get("left.b")!;
    const bytes = (await bias.data.read(0, bias.data.size)).slice();
    new DataView(bytes.buffer).setFloat32(8, value, true);
    const tensors = new Map([...graph.tensors, ["left.b", { ...bias, data: bytesSource(bytes) }]]);
    const model = await saved(folder, { ...rest, graph: { ...graph, tensors } });
    await refused(folder, ["quantize", model, "-s", "w8a8", "-c", "random"], 1, message);
  });
});

describe("external data", () => {
  it("that is missing", async () => {
    const { folder, model, weights: data } = await folderWithExternal();
    await rm(data);
    await refused(folder, quantize(model), 2, /weights\.bin.*missing/);
  });

  it("outside the model's folder", async () => {
    const { outer, folder, model, weights: data } = await folderWithExternal();
    await rename(data, join(outer, "ghts.bin"));
    await patch(model, "weights.bin", "../ghts.bin");
    await refused(folder, quantize(model), 1, /\.\.\/ghts\.bin/);
    await refused(outer, quantize(model), 1, /\.\.\/ghts\.bin/);
  });

  it("at an absolute path", async () => {
    const { folder, model } = await folderWithExternal();
    await patch(model, "weights.bin", "/etc/passwd");
    await refused(folder, quantize(model), 1, /\/etc\/passwd/);
  });

  it("behind a link that leads out of the folder", async () => {
    const { outer, folder, model, weights: data } = await folderWithExternal();
    await rename(data, join(outer, "elsewhere.bin"));
    await symlink(join(outer, "elsewhere.bin"), data);
    await refused(folder, quantize(model), 1, /weights\.bin.*link to outside/);
  });
});

describe("an output that is the input", () => {
  it("by the same path", async () => {
    const { folder, model } = await folderWith();
    await refused(folder, quantize(model, "-o", model), 2, /being read from.*another output/);
  });

  it("through a symbolic link", async () => {
    const { folder, model } = await folderWith();
    await symlink(model, join(folder, "link.onnx"));
    await refused(folder, quantize(model, "-o", join(folder, "link.onnx")), 2, /being read from.*another output/);
  });

  it("through a hard link", async () => {
    const { folder, model } = await folderWith();
    await link(model, join(folder, "hard.onnx"));
    await refused(folder, quantize(model, "-o", join(folder, "hard.onnx")), 2, /being read from.*another output/);
  });

  it("through a linked folder", async () => {
    const { folder, model } = await folderWith();
    const other = await workspace();
    await symlink(folder, join(other, "here"));
    await refused(folder, quantize(model, "-o", join(other, "here", "model.onnx")), 2, /being read from/);
  });

  it("its file of external data", async () => {
    const { folder, model, weights: data } = await folderWithExternal();
    await refused(folder, quantize(model, "-o", data), 2, /weights\.bin.*being read from/);
  });

  it("in its data: an input that keeps its weights where the output would put its own", async () => {
    const folder = await workspace();
    const model = join(folder, "model.onnx");
    await writeModel(matrices(), model, { external: { location: "small.onnx_data" } });
    await refused(
      folder,
      quantize(model, "--keep", "node:two", "-o", join(folder, "small.onnx")),
      2,
      /small\.onnx_data.*being read from/,
    );
  });
});
