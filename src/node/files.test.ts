import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
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
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { floatTensor, node, onnxModel, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { FewbitError } from "../numeric/errors.ts";
import { cleanupTemporaries, fileSource, isBeingRead, openModelFile, sha256File, writeModel } from "./files.ts";
import { temporaryPath } from "./temporaries.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fewbit-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...parts: readonly string[]): string => join(folder, ...parts);
const listing = (): readonly string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();

const model = (weights = floatTensor("w", [2048], new Float32Array(2048).fill(0.5))): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [2048])],
    outputs: [valueInfo("y", "float32", [2048])],
    nodes: [node("Add", ["x", "w"], ["y"])],
    tensors: [weights],
  });

async function errorOf(work: Promise<unknown>): Promise<FewbitError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FewbitError) return error;
    throw error;
  }
  return expect.unreachable("no error");
}

/** Runs `work` on an opened model and closes it. */
async function opened<T>(path: string, work: (model: Model, files: readonly string[]) => Promise<T>): Promise<T> {
  const { model, files, close } = await openModelFile(path);
  try {
    return await work(model, files);
  } finally {
    await close();
  }
}

test("a written model opens again, and the checksums are those of the files", async () => {
  const written = await writeModel(model(), at("m.onnx"), { external: {} });
  expect(written.map(({ path }) => path)).toEqual([at("m.onnx"), at("m.onnx_data")]);
  for (const { path, size, sha256 } of written) {
    const bytes = readFileSync(path);
    expect(size).toBe(bytes.length);
    expect(sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
    expect(await sha256File(path)).toBe(sha256);
  }
  await opened(at("m.onnx"), async ({ graph }, files) => {
    expect(files).toEqual([at("m.onnx"), at("m.onnx_data")]);
    const weights = await readAll(graph.tensors.get("w")!.data);
    expect(new Float32Array(weights.slice().buffer)[2047]).toBe(0.5);
  });
  expect(listing()).toEqual(["m.onnx", "m.onnx_data"]);
});

test("an unchanged model with external data is copied byte for byte to another folder", async () => {
  await writeModel(model(), at("m.onnx"), { external: { location: "data/w.bin" } });
  mkdirSync(at("copy"));
  await opened(at("m.onnx"), (read) => writeModel(read, at("copy", "n.onnx")));
  expect(readFileSync(at("copy", "n.onnx"))).toEqual(readFileSync(at("m.onnx")));
  expect(readFileSync(at("copy", "data", "w.bin"))).toEqual(readFileSync(at("data", "w.bin")));
});

test("an unchanged copy in the same folder gets a data file of its own", async () => {
  await writeModel(model(), at("m.onnx"), { external: {} });
  await opened(at("m.onnx"), (read) => writeModel(read, at("n.onnx")));
  expect(listing()).toEqual(["m.onnx", "m.onnx_data", "n.onnx", "n.onnx_data"]);
});

test("a changed model keeps its weights outside when it came so, unless told otherwise", async () => {
  await writeModel(model(), at("m.onnx"), { external: {} });
  await opened(at("m.onnx"), async (read) => {
    const changed = { ...read, metadata: { changed: "yes" } };
    await writeModel(changed, at("n.onnx"));
    await writeModel(changed, at("o.onnx"), { external: false });
  });
  expect(listing()).toEqual(["m.onnx", "m.onnx_data", "n.onnx", "n.onnx_data", "o.onnx"]);
});

test.each([
  ["missing.onnx", "usage", "no such file"],
  [".", "usage", "is a folder"],
  ["file/m.onnx", "usage", "a file where a folder was expected"],
])("opening %s is an error of code %s that says %s", async (name, code, text) => {
  writeFileSync(at("file"), "x");
  const error = await errorOf(openModelFile(at(name)));
  expect(error.code).toBe(code);
  expect(error.message).toContain(text);
});

test("a named pipe is refused, not waited for", async () => {
  execFileSync("mkfifo", [at("pipe")]);
  expect((await errorOf(openModelFile(at("pipe")))).message).toContain("not a regular file");
});

test.skipIf(process.getuid?.() === 0)("a file without read permission is an error of code io", async () => {
  writeFileSync(at("m.onnx"), "x");
  chmodSync(at("m.onnx"), 0);
  expect((await errorOf(openModelFile(at("m.onnx")))).message).toContain("permission denied");
});

test.each([
  ["", "an empty file"],
  ["GGUF\x03\0\0\0", "a GGUF model"],
  ["PK\x03\x04\0\0\0\0", "PyTorch"],
  ["<!DOCTYPE html><html></html>", "a web page"],
  ["version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"],
])("%j is not an ONNX model, and the error says what it looks like", async (content, what) => {
  writeFileSync(at("m.onnx"), content, "latin1");
  const error = await errorOf(openModelFile(at("m.onnx")));
  expect(error.code).toBe("format");
  expect(error.message).toContain("is not an ONNX model; it looks like");
  expect(error.message).toContain(what);
});

const tflite = (): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [2048])],
    outputs: [valueInfo("y", "float32", [2048])],
    nodes: [node("ADD", ["x", "w"], ["y"])],
    tensors: [floatTensor("w", [2048], new Float32Array(2048).fill(0.5))],
  });

test("a TFLite model is told by its content, copied while unchanged, and changed and written again", async () => {
  await writeModel(tflite(), at("m.onnx"));
  await opened(at("m.onnx"), async (model) => {
    expect(model.container).toBe("tflite");
    await writeModel(model, at("copy.tflite"));
    const half = floatTensor("w", [2048], new Float32Array(2048).fill(0.25));
    const graph = { ...model.graph, tensors: new Map([["w", half]]) };
    await writeModel({ ...model, graph }, at("changed.tflite"));
    expect((await errorOf(writeModel(model, at("m.onnx")))).message).toContain("is being read from");
  });
  expect(readFileSync(at("copy.tflite"))).toEqual(readFileSync(at("m.onnx")));
  await opened(at("changed.tflite"), async ({ graph }) => {
    const bytes = await readAll(graph.tensors.get("w")!.data);
    expect(new Float32Array(bytes.slice().buffer)[2047]).toBe(0.25);
  });
  expect((await errorOf(writeModel(tflite(), at("n"), { external: {} }))).message).toContain("is one file");
});

test("a damaged TFLite model says so with its path", async () => {
  await writeModel(tflite(), at("m.tflite"));
  truncateSync(at("m.tflite"), 500);
  const { code, message } = await errorOf(openModelFile(at("m.tflite")));
  expect(code).toBe("format");
  expect(message).toContain(`"${at("m.tflite")}": `);
});

test("a truncated model says so with its path, and its file is closed", async () => {
  await writeModel(model(), at("m.onnx"));
  truncateSync(at("m.onnx"), 5000);
  const error = await errorOf(openModelFile(at("m.onnx")));
  expect(error.message).toContain(at("m.onnx"));
  expect(error.message).toContain("truncated");
  expect(await isBeingRead(at("m.onnx"))).toBe(false);
});

test("external data that is missing or too short is named", async () => {
  await writeModel(model(), at("m.onnx"), { external: {} });
  truncateSync(at("m.onnx_data"), 100);
  expect((await errorOf(openModelFile(at("m.onnx")))).message).toMatch(
    /"w" needs 8192 bytes of "m.onnx_data", which has 100/,
  );
  rmSync(at("m.onnx_data"));
  expect((await errorOf(openModelFile(at("m.onnx")))).message).toContain('"m.onnx_data", which is missing');
});

test("external data that is a link to outside the model's folder is refused", async () => {
  mkdirSync(at("in"));
  await writeModel(model(), at("in", "m.onnx"), { external: {} });
  writeFileSync(at("secret"), Buffer.alloc(8192));
  rmSync(at("in", "m.onnx_data"));
  symlinkSync(at("secret"), at("in", "m.onnx_data"));
  const error = await errorOf(openModelFile(at("in", "m.onnx")));
  expect(error.code).toBe("format");
  expect(error.message).toContain("a link to outside the model's folder");
});

test("a folder of links into a store of blobs opens, as the Hugging Face cache has it", async () => {
  mkdirSync(at("blobs"));
  mkdirSync(at("snapshot"));
  await writeModel(model(), at("blobs", "m.onnx"), { external: {} });
  for (const name of ["m.onnx", "m.onnx_data"]) symlinkSync(at("blobs", name), at("snapshot", name));
  await opened(at("snapshot", "m.onnx"), async ({ graph }) => {
    expect((await readAll(graph.tensors.get("w")!.data)).length).toBe(8192);
  });
});

test("models with hundreds of data files open", async () => {
  const tensors = Array.from({ length: 150 }, (_, i) => floatTensor(`w${i}`, [300], new Float32Array(300).fill(i)));
  const many = onnxModel({ inputs: [], outputs: [], nodes: [], tensors });
  await writeModel(many, at("m.onnx"), { external: { maxBytes: 1 } });
  expect(listing()).toHaveLength(151);
  await opened(at("m.onnx"), async ({ graph }) => {
    const last = await readAll(graph.tensors.get("w149")!.data);
    expect(new Float32Array(last.slice().buffer)[0]).toBe(149);
  });
});

test("the model being read, under whatever name, and its data are not written over", async () => {
  await writeModel(model(), at("m.onnx"), { external: {} });
  symlinkSync(at("m.onnx"), at("link.onnx"));
  linkSync(at("m.onnx_data"), at("other"));
  const before = listing().map((name) => readFileSync(at(name)));
  await opened(at("m.onnx"), async (read) => {
    const changed = { ...read, metadata: { a: "b" } };
    for (const path of ["m.onnx", "link.onnx", "other", "m.onnx_data"]) {
      const error = await errorOf(writeModel(changed, at(path), { external: false }));
      expect(error.code, path).toBe("usage");
      expect(error.message).toContain("being read from");
    }
    const clash = writeModel(changed, at("new.onnx"), { external: { location: "m.onnx_data" } });
    expect((await errorOf(clash)).message).toContain("m.onnx_data");
  });
  expect(listing().map((name) => readFileSync(at(name)))).toEqual(before);
  await writeModel(model(), at("m.onnx"));
});

const failing = (after: number): Model => {
  let reads = 0;
  const compute = () => {
    if (reads++ >= after) throw Object.assign(new Error("write"), { code: "ENOSPC" });
    return new Uint8Array(8192);
  };
  const weights = ["w", "v"].map((name) => ({
    ...floatTensor(name, [2048], []),
    data: computedSource(8192, compute),
  }));
  return onnxModel({ inputs: [], outputs: [], nodes: [], tensors: weights });
};

test.each([0, 1])("when writing fails, after %i tensors, old files stay and nothing new is left", async (after) => {
  await writeModel(model(), at("m.onnx"), { external: {} });
  const before = listing().map((name) => readFileSync(at(name)));
  const error = await errorOf(writeModel(failing(after), at("m.onnx"), { external: { location: "sub/folder/data" } }));
  expect(error.code).toBe("io");
  expect(error.message).toContain("no space is left");
  expect(listing()).toEqual(["m.onnx", "m.onnx_data"]);
  expect(listing().map((name) => readFileSync(at(name)))).toEqual(before);
});

test("when a name can't be given at the end, the names given before are taken back", async () => {
  writeFileSync(at("m.onnx_data"), "old data");
  mkdirSync(at("m.onnx"));
  const error = await errorOf(writeModel(model(), at("m.onnx"), { external: {} }));
  expect(error.message).toContain("is a folder");
  expect(readFileSync(at("m.onnx_data"), "utf8")).toBe("old data");
  expect(listing()).toEqual(["m.onnx", "m.onnx_data"]);
});

test("a folder that appears under the model's name while it is written leaves the old data in place", async () => {
  writeFileSync(at("m.onnx_data"), "old data");
  const data = computedSource(8192, () => {
    mkdirSync(at("m.onnx"), { recursive: true });
    return new Uint8Array(8192);
  });
  const weights = { ...floatTensor("w", [2048], []), data };
  expect((await errorOf(writeModel(model(weights), at("m.onnx"), { external: {} }))).code).toMatch(/usage|io/);
  expect(readFileSync(at("m.onnx_data"), "utf8")).toBe("old data");
  expect(listing()).toEqual(["m.onnx", "m.onnx_data"]);
});

test("a model that does not fit on the disk is refused before anything is written", async () => {
  const size = 2 ** 52;
  const huge = { ...floatTensor("w", [], [0]), shape: [size / 4], data: { size, read: async () => new Uint8Array(0) } };
  const error = await errorOf(writeModel(model(huge), at("m.onnx")));
  expect(error.code).toBe("io");
  expect(error.message).toMatch(/bytes free, but the model needs \d+/);
  expect(listing()).toEqual([]);
});

test("an aborted writing leaves nothing behind", async () => {
  const controller = new AbortController();
  const data = computedSource(8192, () => {
    controller.abort();
    return new Uint8Array(8192);
  });
  const error = await errorOf(
    writeModel(model({ ...floatTensor("w", [2048], []), data }), at("m.onnx"), { signal: controller.signal }),
  );
  expect(error.code).toBe("cancelled");
  expect(listing()).toEqual([]);
});

test.each([
  ["no/m.onnx", "no such file or folder"],
  ["file/m.onnx", "a file where a folder was expected"],
])("writing to %s says %s", async (path, text) => {
  writeFileSync(at("file"), "x");
  const error = await errorOf(writeModel(model(), at(path)));
  expect(error.code).toBe("usage");
  expect(error.message).toContain(text);
});

test("data may not be written through a link to outside the output folder", async () => {
  mkdirSync(at("out"));
  mkdirSync(at("elsewhere"));
  symlinkSync(at("elsewhere"), at("out", "sub"));
  const error = await errorOf(writeModel(model(), at("out", "m.onnx"), { external: { location: "sub/w" } }));
  expect(error.message).toContain("a link to outside");
  expect(readdirSync(at("elsewhere"))).toEqual([]);
});

test("a model and its data need different names", async () => {
  const error = await errorOf(writeModel(model(), at("m.onnx"), { external: { location: "m.onnx" } }));
  expect(error.message).toContain("different names");
});

test("unfinished files are removed at once when asked", () => {
  const path = temporaryPath(folder);
  writeFileSync(path, "half");
  cleanupTemporaries();
  expect(existsSync(path)).toBe(false);
});

test("a file that becomes shorter while it is read is an error", async () => {
  writeFileSync(at("f"), Buffer.alloc(100));
  const source = await fileSource(at("f"));
  truncateSync(at("f"), 10);
  expect((await errorOf(source.read(0, 100))).message).toContain("became shorter");
  await expect(source.read(50, 51)).rejects.toThrow("outside");
  await source.close();
});
