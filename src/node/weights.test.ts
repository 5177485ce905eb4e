/** Weights on disk: opened by file, shard, index or folder, and written whole or not at all. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { changed, contentOf, tensor, tensorMap } from "../containers/tensor-files.case.ts";
import { bytesSource, computedSource } from "../ir/source.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { noHooks } from "../pipeline/progress.ts";
import { openWeights } from "./open-weights.ts";
import { inspect } from "./services.ts";
import { writeWeights } from "./write-weights.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "fewbit-weights-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const file: TensorFile = {
  container: "safetensors",
  formatVersion: 1,
  metadata: new Map([["format", { type: "string", value: "pt" }]]),
  tensors: tensorMap(...Array.from({ length: 9 }, (_, i) => tensor(`w${i}`, "float32", [10, 10]))),
};

async function content(path: string): Promise<unknown> {
  const { weights, close } = await openWeights(path);
  const found = await contentOf(weights);
  await close();
  return found;
}

test.each(["m.gguf", "m.safetensors"])("%s is written in one file or several, and opened again", async (name) => {
  const at = folder();
  const [whole] = await writeWeights(file, join(at, name));
  expect(whole?.path).toBe(join(at, name));
  expect(whole?.size).toBe(readFileSync(join(at, name)).length);
  const expected = await contentOf(file);
  expect(await content(join(at, name))).toEqual(expected);
  const parts = folder();
  const written = await writeWeights(file, join(parts, name), { maxBytes: 1500 });
  expect(written.map(({ path }) => path)).toEqual(readdirSync(parts).map((part) => join(parts, part)));
  expect(await content(written.at(name.endsWith("gguf") ? 2 : -1)!.path)).toEqual(expected);
});

test("a folder is opened by its index, its safetensors file or its only GGUF model", async () => {
  const at = folder();
  await expect(openWeights(at)).rejects.toThrowError("no model.safetensors");
  await writeWeights(file, join(at, "x.gguf"), { maxBytes: 1500 });
  const { files, close } = await openWeights(at);
  expect(files[0]).toMatch(/x-00001-of-\d{5}\.gguf$/);
  await close();
  await writeWeights(file, join(at, "y.gguf"));
  await expect(openWeights(at)).rejects.toThrowError("2 GGUF models");
  await writeWeights(file, join(at, "model.safetensors"), { maxBytes: 1500 });
  expect(await content(at)).toEqual(await contentOf(file));
});

test("a missing file, and one that is a link to outside, are refused with their names", async () => {
  const at = folder();
  const other = folder();
  const written = await writeWeights(file, join(at, "model.safetensors"), { maxBytes: 1500 });
  const second = written[1]!.path;
  writeFileSync(join(other, "outside"), readFileSync(second));
  rmSync(second);
  await expect(openWeights(at)).rejects.toThrowError("model-00002-of-");
  await expect(openWeights(at)).rejects.toThrowError("is missing; put that file beside the model");
  symlinkSync(join(other, "outside"), second);
  await expect(openWeights(at)).rejects.toThrowError("is a link to outside the model's folder");
  const gguf = await writeWeights(file, join(other, "m.gguf"), { maxBytes: 1500 });
  rmSync(gguf[1]!.path);
  await expect(openWeights(gguf[0]!.path)).rejects.toThrowError("m-00002-of-");
});

test("errors name the file, and say what it looks like", async () => {
  const at = folder();
  writeFileSync(join(at, "page.gguf"), "<!doctype html><html>");
  await expect(openWeights(join(at, "page.gguf"))).rejects.toThrowError(
    /"[^"]*page.gguf": not a GGUF file.*a web page/,
  );
  writeFileSync(join(at, "lfs.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  await expect(openWeights(join(at, "lfs.safetensors"))).rejects.toThrowError("Git LFS pointer");
  await expect(openWeights(join(at, "none.gguf"))).rejects.toThrowError("no such file");
  writeFileSync(join(at, "a.bin"), "");
  await expect(openWeights(join(at, "a.bin"))).rejects.toThrowError("is not named .gguf");
});

test("a failure while writing leaves the folder as it was", async () => {
  const at = folder();
  await writeWeights(file, join(at, "m.gguf"));
  const before = readFileSync(join(at, "m.gguf"));
  const bad = {
    name: "bad",
    type: "float32",
    shape: [1],
    data: computedSource(4, () => Promise.reject(new Error("no"))),
  } as const;
  const broken = { ...file, tensors: new Map([...file.tensors, ["bad", bad]]) };
  await expect(writeWeights(broken, join(at, "m.gguf"))).rejects.toThrowError("no");
  expect(readdirSync(at)).toEqual(["m.gguf"]);
  expect(Buffer.compare(readFileSync(join(at, "m.gguf")), before)).toBe(0);
});

test("weights are not written over the file they are read from", async () => {
  const at = folder();
  await writeWeights(file, join(at, "m.gguf"));
  const { weights, close } = await openWeights(join(at, "m.gguf"));
  await expect(writeWeights(changed(weights), join(at, "m.gguf"))).rejects.toThrowError("is being read from");
  await writeWeights(weights, join(at, "copy.gguf"));
  await close();
  expect(Buffer.compare(readFileSync(join(at, "copy.gguf")), readFileSync(join(at, "m.gguf")))).toBe(0);
  await expect(writeWeights(file, join(at, "m.onnx"))).rejects.toThrowError("must end in .gguf or .safetensors");
  const none = {
    ...file,
    tensors: tensorMap({ ...tensor("q", "float32", [1]), data: bytesSource(new Uint8Array(3)) }),
  };
  await expect(writeWeights(none, join(at, "z.gguf"))).rejects.toThrowError("takes 4");
});

test("inspect takes files of weights and folders of them, and counts all their files", async () => {
  const at = folder();
  const written = await writeWeights(file, join(at, "model.safetensors"), { maxBytes: 1500 });
  const size = written.reduce((sum, own) => sum + own.size, 0);
  const report = await inspect({ model: at }, noHooks);
  expect(report).toMatchObject({ kind: "weights", container: "safetensors", tensors: 9, parameters: 900 });
  expect(report.model).toMatchObject({ files: written.length, size });
});
