/** With WebAssembly alone everything works, and says what it runs on. */
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { fewbitJson, type Json, quantized, samples, saved, savedArray, workspace } from "./cli.case.ts";
import { CONV_CASES, matrices } from "./models.case.ts";

function onlyWasm(): void {
  vi.stubEnv("FEWBIT_ENGINE", "ort-web");
  onTestFinished(() => void vi.unstubAllEnvs());
}

describe("the WebAssembly engine", () => {
  it.each([
    ["w8a8", 25],
    ["w8", 25],
    ["w4", 9],
  ])("runs %s", async (scheme, least) => {
    onlyWasm();
    const folder = await workspace();
    const model = await saved(folder, matrices());
    const data = await savedArray(folder, "x.npy", samples([16, 64]));
    const json = await quantized([model, "-s", scheme, "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.environment.engine).toMatch(/^ort-web/);
    expect(json.metrics.sqnr).toBeGreaterThan(least);
    expect(json.size.ratio).toBeGreaterThan(2);
    const slow = json.findings.filter(({ code }: Json) => code === "slow-on-wasm");
    expect(slow).toHaveLength(scheme === "w8a8" ? 0 : 1);
  });

  it("runs convolutions in integers", async () => {
    onlyWasm();
    const folder = await workspace();
    const model = await saved(folder, CONV_CASES["a residual whose Relu is an output too"]!());
    const data = await savedArray(folder, "x.npy", samples([8, 8, 8, 8]));
    const json = await quantized([model, "-s", "w8a8", "-c", data, "-o", join(folder, "small.onnx")]);
    expect(json.metrics.sqnr).toBeGreaterThan(25);
    expect(json.opHistogram.after.QLinearConv).toBe(2);
  });

  it("can be asked for by name, and an unknown one is refused", async () => {
    const folder = await workspace();
    const model = await saved(folder, matrices());
    const { json } = await fewbitJson(["bench", model, "--runs", "2", "--engine", "ort-web"]);
    expect(json.environment.engine).toMatch(/^ort-web/);
    const { code, json: other } = await fewbitJson(["bench", model, "--engine", "ort-wab"]);
    expect(code).toBe(2);
    expect(other.error.message).toMatch(/did you mean "ort-web"/);
  });
});
