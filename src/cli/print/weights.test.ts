import { expect, test } from "vitest";
import type { WeightsReport } from "../../pipeline/result.ts";
import { runCli } from "../fake.case.ts";

const report: WeightsReport = {
  kind: "weights",
  model: { name: "m.gguf", files: 3, size: 1_250_000 },
  container: "gguf",
  formatVersion: 3,
  architecture: "llama",
  tensors: 2,
  parameters: 312_000,
  weights: [{ dtype: "q4_k", tensors: 2, bytes: 1_200_000 }],
  largest: [{ name: "token_embd.weight", dtype: "q4_k", shape: [512, 256], bytes: 600_000 }],
  metadata: [{ key: "tokenizer.chat_template", type: "string", value: "{% for\n\u001b[2Jm %}" }],
};

test("inspect shows weights without a graph: files, types, metadata on one line each, largest tensors", async () => {
  const { code, stdout } = await runCli("inspect m.gguf", { inspect: async () => report });
  expect(code).toBe(0);
  expect(stdout).toContain("1.25 MB in 3 files, gguf version 3, architecture llama");
  expect(stdout).toContain("2 tensors, 312k parameters");
  expect(stdout).toMatch(/q4_k +2 +1\.20 MB/);
  expect(stdout).toMatch(/tokenizer\.chat_template +string +\{% for .*m %\}/);
  expect(stdout).toMatch(/token_embd\.weight +q4_k +512 x 256 +600 kB/);
  expect(stdout).not.toContain("\u001b");
});

test("inspect --json prints the same as one object", async () => {
  const { stdout } = await runCli("inspect m.gguf --json", { inspect: async () => report });
  expect(JSON.parse(stdout)).toEqual(report);
});
