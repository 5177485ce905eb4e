/** Ctrl-C at any moment: the user's files are as before, and nothing unfinished stays. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { fewbit, fewbitJson, listing, samples, saved, savedArray, workspace } from "./cli.case.ts";
import { cnn, matrices } from "./models.case.ts";

async function folderWithData() {
  const folder = await workspace();
  const model = await saved(folder, cnn());
  const data = await savedArray(folder, "x.npy", samples([64, 3, 16, 16]));
  return { folder, model, data, out: join(folder, "out", "small.onnx") };
}

/** Aborts once the progress says `word`. */
function stopAt(word: string) {
  const stop = new AbortController();
  const onProgress = (text: string): void => {
    if (text.includes(word)) stop.abort();
  };
  return { signal: stop.signal, onProgress };
}

/** A temporary folder of this test's own: other tests run at the same time and use the system's. */
async function ownTemporaries(): Promise<() => Promise<readonly string[]>> {
  vi.stubEnv("TMPDIR", await workspace());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  return () => readdir(tmpdir());
}

describe("Ctrl-C", () => {
  it.each([
    "planning",
    "calibrating",
    "quantizing",
    "comparing outputs",
    "comparing outputs:",
    "measuring speed",
    "comparing layers",
  ])('at "%s" leaves everything as it was', async (word) => {
    const { folder, model, data, out } = await folderWithData();
    const before = await listing(folder);
    const temporaries = await ownTemporaries();
    const ran = await fewbitJson(["quantize", model, "-s", "w8a8", "-c", data, "-o", out], stopAt(word));
    expect(ran).toMatchObject({ code: 130, json: { error: { code: "cancelled" } } });
    expect(ran.stderr).toContain("interrupted");
    expect(await listing(folder)).toEqual(before);
    expect(await temporaries()).toEqual([]);
  });

  it("before anything began", async () => {
    const { folder, model, data, out } = await folderWithData();
    const before = await listing(folder);
    const stop = new AbortController();
    stop.abort();
    const ran = await fewbit(["quantize", model, "-s", "w8a8", "-c", data, "-o", out], { signal: stop.signal });
    expect(ran.code).toBe(130);
    expect(await listing(folder)).toEqual(before);
  });

  it("between two schemes keeps the first, which was finished", async () => {
    const { folder, model, data } = await folderWithData();
    const ran = await fewbit(
      ["quantize", model, "-s", "w8,w8a8", "-c", data, "-o", join(folder, "out")],
      stopAt("planning w8a8"),
    );
    expect(ran.code).toBe(130);
    expect(ran.stderr).not.toContain("nothing was written");
    expect(Object.keys(await listing(folder))).toEqual(["model.onnx", "out", "out/model.w8.onnx", "x.npy"]);
  });

  it("keeps the file that was there under the output's name", async () => {
    const { folder, model, data } = await folderWithData();
    await writeFile(join(folder, "old.onnx"), "the user's own");
    const before = await listing(folder);
    const ran = await fewbit(
      ["quantize", model, "-s", "w8a8", "-c", data, "-o", join(folder, "old.onnx")],
      stopAt("measuring speed"),
    );
    expect(ran.code).toBe(130);
    expect(await listing(folder)).toEqual(before);
  });

  it("in a folder of two sessions leaves no dtype half done", async () => {
    const folder = await workspace();
    await mkdir(join(folder, "onnx"));
    await writeFile(join(folder, "config.json"), "{}");
    await saved(join(folder, "onnx"), matrices(), "decoder_model.onnx");
    await saved(join(folder, "onnx"), matrices(), "encoder_model.onnx");
    const before = await listing(folder);
    const ran = await fewbit(["quantize", folder, "-s", "q8"], stopAt("session encoder_model"));
    expect(ran.code).toBe(130);
    expect(await listing(folder)).toEqual(before);
  });

  it("ends a real process in order", async () => {
    const bin = fileURLToPath(new URL("../../bin/fewbit.js", import.meta.url));
    const built = fileURLToPath(new URL("../../dist/cli/run.js", import.meta.url));
    if (!existsSync(built)) return console.log("skipped: dist/ is not built; npm run build");
    const { folder, model, data, out } = await folderWithData();
    const before = await listing(folder);
    const child = spawn(process.execPath, [bin, "quantize", model, "-s", "w8a8", "-c", data, "-o", out]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
      if (stderr.includes("measuring speed")) child.kill("SIGINT");
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect(code).toBe(130);
    expect(stderr.trim().split("\n").at(-1)).toMatch(/^fewbit: interrupted/);
    expect(await listing(folder)).toEqual(before);
  });
});
