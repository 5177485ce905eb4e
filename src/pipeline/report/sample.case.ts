/** Reports made up for tests: shapes and sizes of real ones, numbers of nothing real. */
import type { Candidate, LayerResult, QuantizeReport, ValueHistogram } from "../result.ts";
import { ratioOf } from "../result.ts";

/** Counts of a bell curve with a thin tail on the right. */
const bell = (bins: number, min: number, max: number): ValueHistogram => ({
  min,
  max,
  counts: Array.from({ length: bins }, (_, i) => {
    const x = (i / bins) * 8 - 3;
    return Math.round(20_000 * Math.exp((-x * x) / 2) + (x > 2 ? 12 : 0));
  }),
});

export const sampleLayers = (
  length: number,
  name = (i: number) => `/model/layer${i}/conv/Conv`,
): readonly LayerResult[] =>
  Array.from({ length }, (_, i) => ({
    node: name(i),
    op: i % 4 === 3 ? "Gemm" : "Conv",
    value: `${name(i)}_output_0`,
    kind: i % 2 === 0 ? "activation" : "weight",
    form: "qdq",
    bits: 8,
    sqnr: i === 1 ? null : 44 - 22 * Math.abs(Math.sin(i * 1.7)) - (i / length) * 8,
    mse: i === 1 ? 0 : 1.3e-5 * (1 + i),
    meanError: i === 1 ? 0 : 1e-4 * (i - 3),
    maxAbs: i === 1 ? 0 : 0.01 * (1 + i),
    steps: i === 1 ? 0 : 0.29 + 0.1 * i,
    range: { min: -0.91, max: 2.42 },
    histogram: bell(64, -1.8, 3.1 + i / 10),
  }));

export function sampleCandidate(scheme: string, sizeRatio: number, speed: number, top1: number): Candidate {
  const before = 312_402;
  const after = Math.round(before / sizeRatio);
  return {
    scheme,
    output: `out/resnet8.${scheme}.onnx`,
    files: [
      {
        name: `resnet8.${scheme}.onnx`,
        size: after,
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      },
    ],
    size: ratioOf(before, after),
    latency: {
      ...ratioOf(1.21, 1.21 / speed),
      p90: { before: 1.3, after: 0.8 },
      runs: 200,
      engine: "ort-node 1.30.0",
      threads: 1,
      batch: 1,
    },
    memory: { ...ratioOf(9_400_000, 7_800_000), load: ratioOf(41, 48) },
    outputs: [{ name: "logits", sqnr: 12 + top1 * 20, cosine: 0.99 + top1 / 100, maxAbs: 0.31 }],
    metrics: { top1: { before: 0.8771, after: top1, higherIsBetter: true, unit: "share" } },
    agreement: 0.97 + (top1 - 0.87) * 2,
    integerShare: scheme.startsWith("w8a8") ? 1 : 0,
    opHistogram: {
      before: { Conv: 9, Gemm: 1, Add: 3 },
      after: { QLinearConv: 9, QGemm: 1, QLinearAdd: 3, QuantizeLinear: 1 },
    },
    kept: [
      {
        scope: "",
        index: 20,
        node: "softmax",
        op: "Softmax",
        reason: "runs once, on ten values; quantizing it costs accuracy and saves nothing",
      },
    ],
    layers: sampleLayers(13),
    findings: [],
    notes: [],
    seconds: 4.2,
  };
}

export const sampleReport = (changes: Partial<QuantizeReport> = {}): QuantizeReport => ({
  kind: "quantize",
  version: 1,
  createdAt: "2026-08-01T12:00:00.000Z",
  command:
    "fewbit quantize resnet8.onnx -s w8a8,w8,w4 -c calib_images.npy --data test_images.npy --labels test_labels.npy -o out",
  environment: {
    fewbit: "0.1.0",
    node: "20.20.2",
    engine: "ort-node 1.30.0",
    platform: "linux x64",
    cpu: "Example CPU 3.0 GHz",
    threads: 1,
  },
  model: {
    name: "resnet8.onnx",
    sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    size: 312_402,
    ops: 34,
    opset: 13,
  },
  calibration: { origin: "calib_images.npy", samples: 512, random: false },
  evaluation: { origin: "test_images.npy", samples: 10_000, random: false },
  candidates: [
    sampleCandidate("w8a8", 3.42, 1.71, 0.8755),
    sampleCandidate("w8", 3.31, 0.98, 0.877),
    sampleCandidate("w4", 5.4, 0.91, 0.8412),
  ],
  recommended: { scheme: "w8a8", reason: "the fastest of those that lose less than one point of accuracy" },
  refused: [],
  findings: [
    {
      severity: "warning",
      code: "slow-scheme",
      message: "w4 is slower than the original on this engine: its 4 bit kernels are made for one row at a time",
      remedy: "use w8a8 here, or w4 where memory is what counts",
    },
  ],
  seconds: 14.8,
  ...changes,
});
