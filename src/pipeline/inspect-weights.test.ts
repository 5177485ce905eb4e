import { expect, test } from "vitest";
import { tensor, tensorMap } from "../containers/tensor-files.case.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { inspectWeights } from "./inspect-weights.ts";

const file: TensorFile = {
  container: "gguf",
  formatVersion: 3,
  metadata: new Map([
    ["general.architecture", { type: "string", value: "llama" }],
    ["template", { type: "string", value: "x".repeat(100) }],
    ["raw", { type: "string", value: Uint8Array.of(255) }],
    ["count", { type: "uint64", value: 18446744073709551615n }],
    ["eps", { type: "float32", value: Math.fround(1e-5) }],
    ["scores", { type: "array", of: "float32", value: Float32Array.of(0.5, -1, 2, 3, 4) }],
    ["tokens", { type: "array", of: "string", value: ["<s>", Uint8Array.of(1, 2)] }],
    ["nested", { type: "array", of: "array", value: [{ type: "array", of: "bool", value: Uint8Array.of(1) }] }],
  ]),
  tensors: tensorMap(tensor("a", "q4_0", [2, 32]), tensor("b", "float32", [3]), tensor("c", "q4_0", [64])),
};

test("tensors are counted by type, and metadata is shown in short", () => {
  expect(inspectWeights(file)).toMatchObject({
    architecture: "llama",
    tensors: 3,
    parameters: 131,
    weights: [
      { dtype: "q4_0", tensors: 2, bytes: 72 },
      { dtype: "float32", tensors: 1, bytes: 12 },
    ],
    largest: [{ name: "a", dtype: "q4_0", shape: [2, 32], bytes: 36 }, { name: "c" }, { name: "b" }],
    metadata: [
      { key: "general.architecture", type: "string", value: "llama" },
      { key: "template", value: `${"x".repeat(60)}...` },
      { key: "raw", value: "1 bytes" },
      { key: "count", type: "uint64", value: "18446744073709551615" },
      { key: "eps", type: "float32", value: "0.00001" },
      { key: "scores", type: "float32[]", value: "5: 0.5, -1, 2, 3, ..." },
      { key: "tokens", type: "string[]", value: '2: "<s>", "2 bytes"' },
      { key: "nested", type: "array[]", value: "1: [...]" },
    ],
  });
});
