/** Stand-ins for tests of parsing, formatting and exit codes; the real services have tests of their own. */

import { names } from "../node/services.ts";
import { sampleCandidate, sampleReport } from "../pipeline/report/sample.case.ts";
import type { QuantizeReport } from "../pipeline/result.ts";
import type { Io } from "./io.ts";
import { main } from "./main.ts";
import type { Services } from "./services.ts";

export interface FakeIo extends Io {
  readonly out: string[];
  readonly err: string[];
}

export function fakeIo(changes: Partial<Io> = {}): FakeIo {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out,
    err,
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    isTTY: false,
    columns: 100,
    width: Number.POSITIVE_INFINITY,
    color: false,
    signal: new AbortController().signal,
    ...changes,
  };
}

const model = { name: "model.onnx", sha256: "00", size: 1000, ops: 3, opset: 17 };
const environment = sampleReport().environment;

/** Answers made up in advance; each call is remembered as [function, request]. */
export function fakeServices(changes: Partial<Services> = {}, report: QuantizeReport = sampleReport()) {
  const calls: [string, unknown][] = [];
  const written = new Map<string, string>();
  const answer =
    <T>(name: string, value: T) =>
    async (request: unknown): Promise<T> => {
      calls.push([name, request]);
      return value;
    };
  const services: Services = {
    names,
    quantize: answer("quantize", report),
    plan: answer("plan", { model, plans: [], findings: [] }),
    inspect: answer("inspect", {
      kind: "inspect" as const,
      model,
      container: "onnx" as const,
      formatVersion: 8,
      opsets: { "": 17 },
      inputs: [{ name: "x", dtype: "float32", shape: ["batch", 3] }],
      outputs: [],
      parameters: 250,
      weights: [{ dtype: "float32", tensors: 1, bytes: 1000 }],
      ops: [{ op: "MatMul", count: 1, weightBytes: 1000, quantizable: 1, reasons: [] }],
      largest: [],
      findings: [],
    }),
    compare: answer("compare", {
      ...report,
      kind: "compare" as const,
      evaluation: { origin: "test.npy", samples: 10, random: false },
      candidate: sampleCandidate("small.onnx", 3, 2, 0.87),
    }),
    convert: answer("convert", {
      ...report,
      kind: "convert" as const,
      output: "model.onnx",
      files: [{ name: "model.onnx", size: 900, sha256: "11" }],
      size: { before: 1000, after: 900, ratio: 1.11 },
      ops: { before: 3, after: 4 },
      reference: "litert 2.5.3",
      evaluation: { origin: "test.npy", samples: 10, random: false },
      outputs: [{ name: "y", sqnr: 130.5, maxAbs: 2e-7, largest: 1 }],
      openBatch: true,
    }),
    bench: answer("bench", { kind: "bench" as const, environment, runs: 50, rows: [], findings: [] }),
    schemes: answer("schemes", {
      kind: "schemes" as const,
      schemes: [{ name: "w8", container: "onnx" as const, summary: "8 bit", needsData: false }],
    }),
    train: answer("train", report),
    demo: answer("demo", report),
    async writeText(path, text) {
      written.set(path, text);
    },
    cleanup() {
      calls.push(["cleanup", undefined]);
    },
    ...changes,
  };
  return { services, calls, written };
}

/** Runs a command line against fakes. */
export async function runCli(line: string, changes: Partial<Services> = {}, io: FakeIo = fakeIo()) {
  const fake = fakeServices(changes);
  const argv = line.split(" ").filter((word) => word !== "");
  const code = await main(argv, io, { version: "1.2.3", load: async () => fake.services });
  return { ...fake, code, stdout: io.out.join(""), stderr: io.err.join("") };
}
